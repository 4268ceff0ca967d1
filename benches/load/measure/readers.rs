//! Whether people who have the console open slow down what is applied: the same load with nobody there, and with so many
//! pages open that each is told of every change.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use memberflow::ops::realtime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::client::Connection;
use super::population::populated;
use super::report::{Report, Target};
use super::service::{Queue, Service};
use super::whole::{HISTORY, rate};
use super::{Options, console, yardstick};
use crate::support::edge::ADMIN_TOKEN;
use crate::support::process::Serving;

/// The pages that are open.
const PAGES: [&str; 8] = [
    "/console",
    "/console/members",
    "/console/revenue",
    "/console/events",
    "/console/attention",
    "/console/tickets",
    "/console/messages",
    "/console/audit",
];
/// Between a change and the look for what is new, as in `console.js`.
const LOOK_AFTER: Duration = Duration::from_millis(1500);

/// What open pages do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// None is open.
    Nobody,
    /// They are told of changes.
    Told,
    /// Lists in the order of time are read again as well, to say how many rows are new.
    Looking,
}

/// One round: each kind twice, in an order that makes up for a rate that rises or falls meanwhile.
pub async fn measure(options: &Options, report: &mut Report) {
    use Reading::{Looking, Nobody, Told};
    let scale = options.scale();
    let (database, mut traffic) = populated(scale.few, HISTORY).await;
    // Each page is told of its tables by notification, too.
    realtime::install(&database.pool).await.unwrap();
    let yardstick = yardstick::measure(scale.yardstick).await;
    let service = Service::start(&database, Queue::RabbitMq).await;
    let settings = vec![("DATABASE_URL", database.url()), ("MEMBERFLOW_ADMIN_TOKEN", ADMIN_TOKEN.to_owned())];
    let api = Serving::roles("api", &settings);
    let mut seconds = [0.0; 3];
    for reading in [Nobody, Told, Looking, Looking, Told, Nobody] {
        let readers = Readers::open(&api, scale.readers, reading).await;
        seconds[reading as usize] += scale.applied as f64 / rate(&service, &mut traffic, scale.applied).await;
        readers.close().await;
    }
    let nobody = "applied, RabbitMQ, nobody reading";
    let told = format!("applied, RabbitMQ, {} pages open", scale.readers);
    let looking = format!("{told} that look for what is new");
    let names = [nobody, &told, &looking];
    let targets = [Target::None, Target::OfRow(nobody.to_owned(), 0.95), Target::None];
    for ((name, target), seconds) in names.into_iter().zip(targets).zip(seconds) {
        report.rate(name, 2.0 * scale.applied as f64 / seconds, yardstick, target);
    }
}

/// Open pages, each of a person who is signed in.
struct Readers {
    pages: JoinSet<()>,
    /// How often a page was told of a change.
    told: Arc<AtomicUsize>,
}

impl Readers {
    async fn open(api: &Serving, count: usize, reading: Reading) -> Self {
        let mut readers = Self { pages: JoinSet::new(), told: Arc::default() };
        let count = if reading == Reading::Nobody { 0 } else { count };
        for path in PAGES.into_iter().cycle().take(count) {
            let page = Page::open(api, path, reading).await;
            readers.pages.spawn(page.follow(readers.told.clone()));
        }
        readers
    }

    /// All were there until now, and were told something.
    async fn close(mut self) {
        assert!(self.pages.try_join_next().is_none(), "a page is not open any more");
        assert!(
            self.pages.is_empty() || self.told.load(Ordering::Relaxed) > 0,
            "no page was told of a change"
        );
        self.pages.shutdown().await;
    }
}

/// An open page.
struct Page {
    path: &'static str,
    cookie: String,
    connection: Connection,
    stream: TcpStream,
    looks: bool,
}

impl Page {
    async fn open(api: &Serving, path: &'static str, reading: Reading) -> Self {
        let mut connection = Connection::open(api.address).await;
        let cookie = console::sign_in(&mut connection).await;
        let page = console::read(&mut connection, &cookie, path).await;
        let (_, live) = page.split_once("data-live=\"").expect("a page that is told of changes");
        let (tables, rest) = live.split_once('"').unwrap();
        let looks = reading == Reading::Looking && rest.starts_with(" data-newest");
        let mut stream = TcpStream::connect(api.address).await.unwrap();
        let request = format!(
            "GET /console/live?tables={tables} HTTP/1.1\r\nhost: memberflow\r\ncookie: {cookie}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { path, cookie, connection, stream, looks }
    }

    async fn follow(mut self, told: Arc<AtomicUsize>) {
        let (mut received, mut look) = (Vec::with_capacity(4096), None);
        loop {
            let is_due = async {
                match look {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                read = self.stream.read_buf(&mut received) => {
                    assert!(read.unwrap() > 0, "the stream of {} has ended", self.path);
                    if String::from_utf8_lossy(&received).contains("event: changed") {
                        told.fetch_add(1, Ordering::Relaxed);
                        look = look.or_else(|| self.looks.then(|| Instant::now() + LOOK_AFTER));
                    }
                    received.clear();
                }
                () = is_due => {
                    look = None;
                    console::read(&mut self.connection, &self.cookie, self.path).await;
                }
            }
        }
    }
}
