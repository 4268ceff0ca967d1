//! A client that sends prepared requests: as fast as they are answered, or at a steady rate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::post::Post;
use super::visible::Follower;

/// Connections at a steady rate: enough that none waits for an answer to the one before.
const STEADY_CONNECTIONS: usize = 64;

/// One kept-alive connection.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// The answer to one request.
pub struct Answer {
    pub status: u16,
    /// The lines before the body.
    pub head: String,
    pub body: String,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::with_capacity(4096) }
    }

    pub async fn get(&mut self, path: &str, token: Option<&str>) -> Answer {
        let token = token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
        self.send(format!("GET {path} HTTP/1.1\r\nhost: memberflow\r\n{token}\r\n").as_bytes()).await
    }

    /// Sends one request and reads its answer.
    pub async fn send(&mut self, request: &[u8]) -> Answer {
        self.stream.write_all(request).await.unwrap();
        self.received.clear();
        let head = loop {
            if let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.read().await;
        };
        let lines = String::from_utf8_lossy(&self.received[..head]).into_owned();
        let headers = lines.to_lowercase();
        let status = headers.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        let length = headers.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let length: usize = length.trim().parse().unwrap();
        while self.received.len() < head + length {
            self.read().await;
        }
        Answer { status, head: lines, body: String::from_utf8_lossy(&self.received[head..]).into_owned() }
    }

    async fn read(&mut self) {
        assert!(self.stream.read_buf(&mut self.received).await.unwrap() > 0, "the connection was closed");
    }

    async fn deliver(&mut self, post: &Post) {
        let answer = self.send(&post.request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

/// Posts all of `posts` as fast as they are accepted, and says how long that took.
pub async fn flood(address: SocketAddr, posts: Vec<Post>, connections: usize) -> Duration {
    let (posts, next) = (Arc::new(posts), Arc::new(AtomicUsize::new(0)));
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(address).await);
    }
    let began = Instant::now();
    let mut senders = JoinSet::new();
    for mut connection in open {
        let (posts, next) = (posts.clone(), next.clone());
        senders.spawn(async move {
            while let Some(post) = posts.get(next.fetch_add(1, Ordering::Relaxed)) {
                connection.deliver(post).await;
            }
        });
    }
    senders.join_all().await;
    began.elapsed()
}

/// Posts `posts` at `rate` a second, each when it is due, and hands it to `follower`. How long that took.
pub async fn steady(address: SocketAddr, posts: Vec<Post>, rate: f64, follower: Arc<Follower>) -> Duration {
    let (posts, next) = (Arc::new(posts), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let mut senders = JoinSet::new();
    for _ in 0..STEADY_CONNECTIONS.min(posts.len()) {
        let mut connection = Connection::open(address).await;
        let (posts, next, follower) = (posts.clone(), next.clone(), follower.clone());
        senders.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(post) = posts.get(number) else { return };
                let due = began + Duration::from_secs_f64(number as f64 / rate);
                sleep_until(due).await;
                // Counted from when it was due: a service that holds up the load does not look quicker for it.
                if let Some(shown) = &post.shown {
                    follower.follow(shown.clone(), due);
                }
                connection.deliver(post).await;
            }
        });
    }
    senders.join_all().await;
    began.elapsed()
}
