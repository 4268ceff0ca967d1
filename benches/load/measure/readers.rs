//! Whether open pages of the console slow down the consumer: the same load without pages, with pages that are notified of
//! changes, and with pages that also reload.

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
use crate::support::process::Serving;
use crate::support::receiver::ADMIN_TOKEN;

/// The pages that are open.
const PATHS: [&str; 8] = [
    "/console",
    "/console/members",
    "/console/revenue",
    "/console/events",
    "/console/attention",
    "/console/tickets",
    "/console/messages",
    "/console/audit",
];
/// Between a notification and the reload, as in `console.js`.
const RELOAD_AFTER: Duration = Duration::from_millis(1500);

/// What open pages do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pages {
    /// None is open.
    Closed,
    /// They are notified of changes.
    Notified,
    /// Lists sorted by time also reload, to count the new rows.
    Reloading,
}

/// One round: each kind twice, in an order that makes up for a rate that rises or falls meanwhile.
pub async fn measure(options: &Options, report: &mut Report) {
    use Pages::{Closed, Notified, Reloading};
    let scale = options.scale();
    let (database, mut traffic) = populated(scale.few, HISTORY).await;
    // So that tables notify the pages, too.
    realtime::install(&database.pool).await.unwrap();
    let yardstick = yardstick::measure(scale.yardstick).await;
    let service = Service::start(&database, Queue::RabbitMq).await;
    let settings = vec![("DATABASE_URL", database.url()), ("MEMBERFLOW_ADMIN_TOKEN", ADMIN_TOKEN.to_owned())];
    let api = Serving::roles("api", &settings);
    let mut seconds = [0.0; 3];
    for pages in [Closed, Notified, Reloading, Reloading, Notified, Closed] {
        let readers = Readers::open(&api, scale.readers, pages).await;
        seconds[pages as usize] += scale.applied as f64 / rate(&service, &mut traffic, scale.applied).await;
        readers.close().await;
    }
    let closed = "applied, RabbitMQ, nobody reading";
    let notified = format!("applied, RabbitMQ, {} pages open", scale.readers);
    let reloading = format!("{notified} that look for what is new");
    let names = [closed, &notified, &reloading];
    let targets = [Target::None, Target::OfRow(closed.to_owned(), 0.95), Target::None];
    for ((name, target), seconds) in names.into_iter().zip(targets).zip(seconds) {
        report.rate(name, 2.0 * scale.applied as f64 / seconds, yardstick, target);
    }
}

/// Open pages, each of a person who is signed in.
struct Readers {
    pages: JoinSet<()>,
    /// How often a page was notified of a change.
    notifications: Arc<AtomicUsize>,
}

impl Readers {
    async fn open(api: &Serving, count: usize, pages: Pages) -> Self {
        let mut readers = Self { pages: JoinSet::new(), notifications: Arc::default() };
        let count = if pages == Pages::Closed { 0 } else { count };
        for path in PATHS.into_iter().cycle().take(count) {
            let page = Page::open(api, path, pages == Pages::Reloading).await;
            readers.pages.spawn(page.follow(readers.notifications.clone()));
        }
        readers
    }

    /// Checks that all pages were open until now and were notified.
    async fn close(mut self) {
        assert!(self.pages.try_join_next().is_none(), "a page is not open any more");
        assert!(
            self.pages.is_empty() || self.notifications.load(Ordering::Relaxed) > 0,
            "no page was notified of a change"
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
    reloads: bool,
}

impl Page {
    async fn open(api: &Serving, path: &'static str, reloads: bool) -> Self {
        let mut connection = Connection::open(api.address).await;
        let cookie = console::sign_in(&mut connection).await;
        let page = console::read(&mut connection, &cookie, path).await;
        let (_, live) = page.split_once("data-live=\"").expect("a page that is notified of changes");
        let (tables, rest) = live.split_once('"').unwrap();
        let reloads = reloads && rest.starts_with(" data-newest");
        let mut stream = TcpStream::connect(api.address).await.unwrap();
        let request = format!(
            "GET /console/live?tables={tables} HTTP/1.1\r\nhost: memberflow\r\ncookie: {cookie}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { path, cookie, connection, stream, reloads }
    }

    async fn follow(mut self, notifications: Arc<AtomicUsize>) {
        let (mut received, mut reload_at) = (Vec::with_capacity(4096), None);
        loop {
            let is_due = async {
                match reload_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                read = self.stream.read_buf(&mut received) => {
                    assert!(read.unwrap() > 0, "the stream of {} has ended", self.path);
                    if String::from_utf8_lossy(&received).contains("event: changed") {
                        notifications.fetch_add(1, Ordering::Relaxed);
                        reload_at = reload_at.or_else(|| self.reloads.then(|| Instant::now() + RELOAD_AFTER));
                    }
                    received.clear();
                }
                () = is_due => {
                    reload_at = None;
                    console::read(&mut self.connection, &self.cookie, self.path).await;
                }
            }
        }
    }
}
