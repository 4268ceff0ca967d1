//! Accepts connections: bounded in number, read time and header size, and closed in order.
//!
//! HTTP/1.1 only: every proxy speaks it, and detecting the client's version would be a wait without a bound.

use std::io::{self, ErrorKind};
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

use super::connection_limit::{ConnectionLimit, ConnectionPermit};
use crate::lifecycle::Lifecycle;

/// Request line and headers together.
const HEADERS_MAX_BYTES: usize = 64 * 1024;
/// Read ahead of a body.
const READ_AHEAD_MAX_BYTES: usize = 64 * 1024;
/// The pause after `accept` failed because no file descriptors or memory are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `routes` on `listener` until the process stops, within `connection_limit`. A client has
/// `read_timeout` to send its headers. Connections are tracked in the lifecycle's `requests`.
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
            // The client has gone already.
            Err(error) if is_of_the_client(&error) => {
                tracing::debug!(%error, "connection closed before it was accepted");
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                connection_limit.evict_oldest();
                lifecycle.until_stopping(tokio::time::sleep(ACCEPT_PAUSE)).await;
                continue;
            }
        };
        let Some(Some(permit)) = lifecycle.until_stopping(connection_limit.take()).await else { break };
        let (builder, routes, stopping) = (builder.clone(), routes.clone(), lifecycle.stopping.clone());
        lifecycle
            .requests
            .spawn(async move { serve_connection(&builder, stream, permit, routes, &stopping).await });
    }
}

/// Whether only the connection that was to be accepted failed.
fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
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

/// Serves one connection until it ends or is evicted. When the process stops, the request in progress is the
/// last.
async fn serve_connection(
    builder: &Builder,
    stream: TcpStream,
    permit: ConnectionPermit,
    routes: Router,
    stopping: &CancellationToken,
) {
    // Disables Nagle's algorithm: responses are small.
    stream.set_nodelay(true).ok();
    let permit = Arc::new(permit);
    let answering = permit.clone();
    let routes = MapResponse::new(routes, move |response: Response| {
        answering.answered();
        response
    });
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = permit.evicted() => return,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection closed with an error");
    }
}
