//! Taking connections: bounded in number, patience and header size, and closed in order.
//!
//! HTTP/1.1 alone: every proxy in front speaks it, and waiting to hear which version a client means
//! would be a wait without a bound.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::util::MapResponse;

use super::connection_limit::{ConnectionLimit, Place};
use crate::lifecycle::Lifecycle;

/// A request's line and headers altogether.
const HEADERS_MAX_BYTES: usize = 64 * 1024;
/// What is read ahead of a body.
const READ_AHEAD_MAX_BYTES: usize = 64 * 1024;
/// The pause after the system has refused us a connection (no file descriptors left, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `routes` on `listener` until the process stops, over as many connections at once as `connection_limit` has. A client has `read_timeout` for its headers,
/// and for saying something at all. Connections are tracked among the lifecycle's requests.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    connection_limit: ConnectionLimit,
    read_timeout: Duration,
    lifecycle: Lifecycle,
) {
    let builder = Arc::new(connection_builder(read_timeout));
    while let Some(accepted) = lifecycle.until_stopping(listener.accept()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(fault) => {
                tracing::warn!(%fault, "connection rejected");
                connection_limit.give_up_longest();
                lifecycle.until_stopping(tokio::time::sleep(ACCEPT_PAUSE)).await;
                continue;
            }
        };
        let Some(Some(place)) = lifecycle.until_stopping(connection_limit.take()).await else { break };
        let (builder, routes, stopping) = (builder.clone(), routes.clone(), lifecycle.stopping.clone());
        lifecycle.requests.spawn(async move { converse(&builder, stream, place, routes, &stopping).await });
    }
}

fn connection_builder(read_timeout: Duration) -> Builder {
    let mut builder = Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(read_timeout)
        .max_header_size(HEADERS_MAX_BYTES)
        .max_buf_size(READ_AHEAD_MAX_BYTES);
    builder
}

/// Serves one connection, until its place is needed. When the process stops, the request under way is the last.
async fn converse(
    builder: &Builder,
    stream: TcpStream,
    place: Place,
    routes: Router,
    stopping: &CancellationToken,
) {
    // Answers are small and awaited: they must not wait for company.
    stream.set_nodelay(true).ok();
    let place = Arc::new(place);
    let answering = place.clone();
    let routes = MapResponse::new(routes, move |response: Response| {
        answering.answered();
        response
    });
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = place.needed() => return,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(fault) = ended {
        tracing::debug!(%fault, "connection broken off");
    }
}
