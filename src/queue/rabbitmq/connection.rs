//! One connection to the broker: opened within a time limit, and closed when dropped.

use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lapin::tcp::{AsyncTcpStream, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::queue::QueueError;

/// For the whole of name resolution, TCP, TLS and the AMQP handshake.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// For closing a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// A peer that is silent for twice as long is considered dead.
const HEARTBEAT_SECONDS: u16 = 10;

/// An open connection, until it has failed.
pub(super) struct BrokerConnection {
    pub amqp: Connection,
    socket: Socket,
    probe_requested: Notify,
    failed: CancellationToken,
    reason: OnceLock<Arc<str>>,
}

/// A second handle of the connection's socket: lapin cannot close one by force, and would wait for a silent
/// peer forever, during the handshake and while the broker blocks it.
#[derive(Clone, Default)]
struct Socket(Arc<OnceLock<TcpStream>>);

impl Socket {
    fn shutdown(&self) {
        if let Some(socket) = self.0.get() {
            socket.shutdown(Shutdown::Both).ok();
        }
    }
}

/// Parses the URL and sets our heartbeat, unless it has one.
pub(super) fn parse(url: &str) -> Result<AMQPUri, QueueError> {
    let mut uri: AMQPUri = url.parse().map_err(QueueError::Url)?;
    uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
    Ok(uri)
}

/// Opens a connection that the management UI lists as `name`.
pub(super) async fn open(uri: &AMQPUri, name: &str) -> Result<BrokerConnection, QueueError> {
    let socket = Socket::default();
    let handle = socket.clone();
    let connecting = Connection::connector(
        uri.clone(),
        lapin::runtime::default_runtime()?,
        async move |uri: AMQPUri, runtime| {
            let address = runtime.to_socket_addrs((uri.authority.host.clone(), uri.authority.port));
            let connecting = timeout(OPEN_TIMEOUT, AsyncTcpStream::connect(&runtime, address));
            let stream = connecting.await.map_err(std::io::Error::from)??;
            if let AsyncTcpStream::Plain(plain) = &stream {
                let socket = plain.get_ref().as_fd().try_clone_to_owned()?;
                handle.0.set(TcpStream::from(socket)).ok();
            }
            Ok(match uri.scheme {
                AMQPScheme::AMQP => stream,
                AMQPScheme::AMQPS => {
                    stream.into_tls(&uri.authority.host, OwnedTLSConfig::default().as_ref()).await?
                }
            })
        },
        ConnectionProperties::default().with_connection_name(name.into()),
    );
    match timeout(OPEN_TIMEOUT, connecting).await {
        Ok(Ok(amqp)) => {
            let (probe_requested, failed, reason) = Default::default();
            Ok(BrokerConnection { amqp, socket, probe_requested, failed, reason })
        }
        Ok(Err(error)) => Err(error.into()),
        Err(_) => {
            socket.shutdown();
            Err(QueueError::Timeout(OPEN_TIMEOUT))
        }
    }
}

impl BrokerConnection {
    /// Call when an answer did not come: the connection is then probed.
    pub fn request_probe(&self) {
        self.probe_requested.notify_one();
    }

    /// Waits for [`BrokerConnection::request_probe`].
    pub async fn probe_requested(&self) {
        self.probe_requested.notified().await;
    }

    /// Call when the connection no longer works: it is then replaced.
    pub fn mark_failed(&self, reason: impl Into<Arc<str>>) {
        self.reason.set(reason.into()).ok();
        self.failed.cancel();
    }

    /// Waits for [`BrokerConnection::mark_failed`] and returns the reason.
    pub async fn failed(&self) -> Arc<str> {
        self.failed.cancelled().await;
        self.reason.get().cloned().unwrap_or_else(|| "failed".into())
    }

    /// Closes the connection in order.
    pub async fn close(&self) {
        timeout(CLOSE_TIMEOUT, self.amqp.close(200, "stopping".into())).await.ok();
    }

    /// Shuts the socket down, whoever still uses the connection.
    pub fn shutdown_socket(&self) {
        self.socket.shutdown();
    }
}

impl Drop for BrokerConnection {
    fn drop(&mut self) {
        self.shutdown_socket();
    }
}
