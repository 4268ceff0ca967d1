//! A TCP proxy between us and a server, to cut, to stall and to delay what passes through it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep_until};
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
    round_trip: watch::Sender<Duration>,
    end: DropGuard,
}

/// What each connection listens to.
#[derive(Clone)]
struct Orders {
    mode: watch::Receiver<Mode>,
    gone: watch::Receiver<()>,
    round_trip: watch::Receiver<Duration>,
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
            round_trip: watch::Sender::new(Duration::ZERO),
            end: CancellationToken::new().drop_guard(),
        };
        let tasks = TaskTracker::new();
        let (mode, cut, inject) = (proxy.mode.clone(), proxy.cut.clone(), proxy.to_clients.clone());
        let (gone, round_trip) = (proxy.gone.clone(), proxy.round_trip.clone());
        let (end, server) = (proxy.end.token().clone(), proxy.server.clone());
        tasks.clone().spawn(async move {
            while let Some(Ok((client, _))) = end.run_until_cancelled(listener.accept()).await {
                if *mode.borrow() == Mode::Refuse {
                    continue;
                }
                let inject = inject.subscribe();
                let orders = Orders {
                    mode: mode.subscribe(),
                    gone: gone.subscribe(),
                    round_trip: round_trip.subscribe(),
                };
                let (mut cut, end, server) = (cut.subscribe(), end.clone(), *server.borrow());
                tasks.spawn(async move {
                    tokio::select! {
                        () = carry(client, server, orders, inject) => {}
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

    /// The server is so far away from now on: half of it on the way there, half on the way back.
    pub fn set_round_trip(&self, round_trip: Duration) {
        self.round_trip.send_replace(round_trip);
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
    pub fn send_to_clients(&self, bytes: Vec<u8>) {
        self.to_clients.send(bytes).ok();
    }
}

async fn carry(client: TcpStream, server: SocketAddr, orders: Orders, inject: broadcast::Receiver<Vec<u8>>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let nothing = broadcast::Sender::new(1);
    tokio::select! {
        () = pump(from_client, to_server, orders.clone(), nothing.subscribe()) => {}
        () = pump(from_server, to_client, orders, inject) => {}
    }
}

async fn pump(from: OwnedReadHalf, to: OwnedWriteHalf, orders: Orders, inject: broadcast::Receiver<Vec<u8>>) {
    // What is on its way does not hold up what is read after it.
    let (sender, under_way) = mpsc::channel(64);
    tokio::select! {
        () = read(from, sender, orders.clone(), inject) => {}
        () = write(to, under_way, orders.mode) => {}
    }
}

async fn read(
    mut from: OwnedReadHalf,
    under_way: mpsc::Sender<(Instant, Vec<u8>)>,
    mut orders: Orders,
    mut inject: broadcast::Receiver<Vec<u8>>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let passing = tokio::select! {
            Ok(bytes) = inject.recv() => bytes,
            Ok(()) = orders.gone.changed() => return std::future::pending().await,
            read = from.read(&mut buffer) => match read {
                Ok(0) | Err(_) => break,
                Ok(length) => buffer[..length].to_vec(),
            },
        };
        let due = Instant::now() + *orders.round_trip.borrow() / 2;
        if under_way.send((due, passing)).await.is_err() {
            return;
        }
    }
    // The end arrives after everything before it: the writer sees it, and ends.
    drop(under_way);
    std::future::pending::<()>().await;
}

async fn write(
    mut to: OwnedWriteHalf,
    mut under_way: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut mode: watch::Receiver<Mode>,
) {
    while let Some((due, passing)) = under_way.recv().await {
        sleep_until(due).await;
        if mode.wait_for(|mode| *mode != Mode::Stall).await.is_err() || to.write_all(&passing).await.is_err()
        {
            return;
        }
    }
}
