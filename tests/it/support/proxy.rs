//! A TCP proxy between us and a server, to cut and to stall what passes through it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// What the proxy does with connections and with the bytes on them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Bytes pass.
    Pass,
    /// Connections stay open and are accepted, but no byte passes.
    Stall,
    /// New connections are closed at once.
    Refuse,
}

/// Ends with this value.
pub struct Proxy {
    pub address: SocketAddr,
    server: watch::Sender<SocketAddr>,
    mode: watch::Sender<Mode>,
    cut: broadcast::Sender<()>,
    to_clients: broadcast::Sender<Vec<u8>>,
    gone: watch::Sender<()>,
    end: DropGuard,
}

impl Proxy {
    /// A proxy on a free port.
    pub async fn to(server: SocketAddr) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), server).await
    }

    /// A proxy on the given address.
    pub async fn at(address: SocketAddr, server: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            server: watch::Sender::new(server),
            mode: watch::Sender::new(Mode::Pass),
            cut: broadcast::Sender::new(8),
            to_clients: broadcast::Sender::new(8),
            gone: watch::Sender::new(()),
            end: CancellationToken::new().drop_guard(),
        };
        let tasks = TaskTracker::new();
        let (mode, cut, inject) = (proxy.mode.clone(), proxy.cut.clone(), proxy.to_clients.clone());
        let (end, server) = (proxy.end.token().clone(), proxy.server.clone());
        let gone = proxy.gone.clone();
        tasks.clone().spawn(async move {
            while let Some(Ok((client, _))) = end.run_until_cancelled(listener.accept()).await {
                if *mode.borrow() == Mode::Refuse {
                    continue;
                }
                let (mode, inject, gone) = (mode.subscribe(), inject.subscribe(), gone.subscribe());
                let (mut cut, end, server) = (cut.subscribe(), end.clone(), *server.borrow());
                tasks.spawn(async move {
                    tokio::select! {
                        () = carry(client, server, mode, inject, gone) => {}
                        _ = cut.recv() => {}
                        () = end.cancelled() => {}
                    }
                });
            }
        });
        proxy
    }

    /// New connections lead to this server from now on.
    pub fn lead_to(&self, server: SocketAddr) {
        self.server.send_replace(server);
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Breaks every connection; new ones are still taken.
    pub fn cut(&self) {
        self.cut.send(()).ok();
    }

    /// The other end of every connection is gone without a word: no byte passes on it any more, and no end. New ones are
    /// still taken.
    pub fn vanish(&self) {
        self.gone.send_replace(());
    }

    /// Sends bytes to every client, as if the server had.
    pub fn tell_clients(&self, bytes: Vec<u8>) {
        self.to_clients.send(bytes).ok();
    }
}

async fn carry(
    client: TcpStream,
    server: SocketAddr,
    mode: watch::Receiver<Mode>,
    inject: broadcast::Receiver<Vec<u8>>,
    gone: watch::Receiver<()>,
) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let nothing = broadcast::Sender::new(1);
    tokio::select! {
        () = pump(from_client, to_server, mode.clone(), nothing.subscribe(), gone.clone()) => {}
        () = pump(from_server, to_client, mode, inject, gone) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    mut inject: broadcast::Receiver<Vec<u8>>,
    mut gone: watch::Receiver<()>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let passing = tokio::select! {
            Ok(bytes) = inject.recv() => bytes,
            Ok(()) = gone.changed() => return std::future::pending().await,
            read = from.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => buffer[..length].to_vec(),
            },
        };
        if mode.wait_for(|mode| *mode != Mode::Stall).await.is_err() || to.write_all(&passing).await.is_err()
        {
            return;
        }
    }
}
