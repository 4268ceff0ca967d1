//! Taking connections: bounded in number, patience and header size, and closed in order.
//!
//! HTTP/1.1 alone: every proxy in front speaks it, and waiting to hear which version a client means
//! would be a wait without a bound.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::lifecycle::Lifecycle;

/// Connections open at once; further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 16_384;
/// A request's headers altogether.
const HEADERS_MAX_BYTES: usize = 64 * 1024;
/// The pause after the system has refused us a connection (no file descriptors left, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `routes` on `listener` until the process stops. A client has `read_timeout` for its headers,
/// and for saying something at all. Connections are tracked among the lifecycle's requests.
pub async fn serve(listener: TcpListener, routes: Router, read_timeout: Duration, lifecycle: Lifecycle) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let builder = Arc::new(connection_builder(read_timeout));
    while let Some(Ok(place)) = lifecycle.until_stopping(places.clone().acquire_owned()).await {
        let stream = match lifecycle.until_stopping(listener.accept()).await {
            None => break,
            Some(Ok((stream, _))) => stream,
            Some(Err(fault)) => {
                tracing::warn!(%fault, "connection not taken");
                lifecycle.until_stopping(tokio::time::sleep(ACCEPT_PAUSE)).await;
                continue;
            }
        };
        let (builder, routes, stopping) = (builder.clone(), routes.clone(), lifecycle.stopping.clone());
        lifecycle.requests.spawn(async move {
            let _place = place;
            converse(&builder, stream, routes, &stopping).await;
        });
    }
}

fn connection_builder(read_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(read_timeout)
        .max_buf_size(HEADERS_MAX_BYTES);
    builder
}

/// Serves one connection. When the process stops, the request under way is the last.
async fn converse(
    builder: &Builder<TokioExecutor>,
    stream: TcpStream,
    routes: Router,
    stopping: &CancellationToken,
) {
    // Answers are small and awaited: they must not wait for company.
    stream.set_nodelay(true).ok();
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(fault) = ended {
        tracing::debug!(%fault, "connection broken off");
    }
}
