//! Abandoned transactions and connections.

use std::fs;
use std::mem::ManuallyDrop;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{FromRawFd as _, RawFd};
use std::time::Duration;

use futures_util::{FutureExt as _, poll};
use memberflow::database::{begin, begin_read_only, connect};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::net::lookup_host;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::support::broker::url_at;
use crate::support::database::TestDatabase;
use crate::support::proxy::Proxy;

/// Given up at every point on the way, from before the connection was there to after the answer.
const POINTS: usize = 40;

#[tokio::test]
async fn cancelled_begin_leaves_no_open_transaction() {
    let database = TestDatabase::empty().await;
    sqlx::query("create table kept (point int)").execute(&database.pool).await.unwrap();
    let one = PgPoolOptions::new().max_connections(1).connect_with(database.options()).await.unwrap();
    for point in 0..POINTS {
        give_up(begin(&one).boxed(), point).await;
        keep(&one, point).await;
        give_up(begin_read_only(&one).boxed(), point).await;
        keep(&one, point).await;
    }
    let kept: i64 = sqlx::query_scalar("select count(*) from kept").fetch_one(&database.pool).await.unwrap();
    assert_eq!(kept, 2 * i64::try_from(POINTS).unwrap(), "others do not see what was written");
}

#[tokio::test]
async fn transaction_is_read_committed_whatever_the_default() {
    let database = TestDatabase::empty().await;
    let name = database.options().get_database().unwrap().to_owned();
    let other = format!("alter database {name} set default_transaction_isolation = 'serializable'");
    sqlx::query(sqlx::AssertSqlSafe(other)).execute(&database.pool).await.unwrap();
    let pool = connect(&crate::support::config(database.url())).unwrap();
    let show = "show transaction_isolation";
    let default: String = sqlx::query_scalar(show).fetch_one(&pool).await.unwrap();
    let mut transaction = begin(&pool).await.unwrap();
    let begun: String = sqlx::query_scalar(show).fetch_one(&mut *transaction).await.unwrap();
    assert_eq!((default.as_str(), begun.as_str()), ("serializable", "read committed"));
}

#[tokio::test]
async fn vanished_connection_is_replaced() {
    let database = TestDatabase::empty().await;
    let server = database.options();
    let server = lookup_host((server.get_host(), server.get_port())).await.unwrap().next().unwrap();
    let proxy = Proxy::to(server).await;
    let mut config = crate::support::config(url_at(&database.url(), proxy.address));
    config.database_connections = 1;
    let pool = connect(&config).unwrap();
    sqlx::query("select 1").execute(&pool).await.unwrap();
    proxy.vanish();
    let nobody_answers = timeout(Duration::from_millis(200), sqlx::query("select 1").execute(&pool)).await;
    assert!(nobody_answers.is_err());
    while sqlx::query("select 2").execute(&pool).await.is_err() {
        yield_now().await;
    }
}

#[tokio::test]
async fn pooled_connection_sends_without_delay() {
    let database = TestDatabase::empty().await;
    let server = database.options();
    let server = lookup_host((server.get_host(), server.get_port())).await.unwrap().next().unwrap();
    let proxy = Proxy::to(server).await;
    let pool = connect(&crate::support::config(url_at(&database.url(), proxy.address))).unwrap();
    let held = pool.acquire().await.unwrap();
    let sockets = sockets_to(proxy.address);
    assert_eq!(sockets.len(), 1, "the pool's connection is found by its other end");
    assert!(sockets[0].nodelay().unwrap());
    drop(held);
}

/// The sockets of this process that are connected to `peer`: borrowed from whoever has them open.
fn sockets_to(peer: SocketAddr) -> Vec<ManuallyDrop<TcpStream>> {
    let descriptors = fs::read_dir("/dev/fd").unwrap();
    let descriptors = descriptors.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    // SAFETY: whatever a descriptor is, it is only asked, and never closed here.
    let sockets = descriptors.map(|fd| ManuallyDrop::new(unsafe { TcpStream::from_raw_fd(fd) }));
    sockets.filter(|socket| socket.peer_addr().is_ok_and(|address| address == peer)).collect()
}

/// Lets `work` go so far, and no further.
async fn give_up(mut work: impl Future + Unpin, point: usize) {
    for _ in 0..point {
        if poll!(&mut work).is_ready() {
            return;
        }
        yield_now().await;
    }
}

/// Whoever is next on the connection writes something and is answered that it is committed.
async fn keep(pool: &PgPool, point: usize) {
    let point = i32::try_from(point).unwrap();
    sqlx::query("insert into kept values ($1)").bind(point).execute(pool).await.unwrap();
}
