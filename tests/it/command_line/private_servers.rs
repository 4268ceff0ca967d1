//! Private servers: started if none can be used, shared, found after a kill, stopped at the end.

use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;

use memberflow::dev::services::{Broker, Services, Wanted};
use sqlx::{Connection as _, PgConnection};

use crate::support::servers::{assert_can_start, quiet_port};

/// A folder of its own under the system's folder for temporary files, removed with this value.
struct Checkout(PathBuf);

impl Checkout {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("mf-local-{}", uuid::Uuid::new_v4().simple())))
    }

    /// Both servers wanted, looked for on ports where nothing listens.
    fn wanted(&self) -> Wanted {
        Wanted {
            folder: self.0.clone(),
            database_url: None,
            prefers_private_postgres: false,
            broker: Broker::Postgres,
            postgres_port: quiet_port(),
            rabbitmq_port: quiet_port(),
        }
    }

    /// The process id in the record of the private server `name`.
    fn pid(&self, name: &str) -> i32 {
        let record = std::fs::read(self.0.join(name).join("running.json")).unwrap();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        i32::try_from(record["processes"][0]["pid"].as_i64().unwrap()).unwrap()
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn port_of(url: &str) -> u16 {
    let host = url.rsplit('@').next().unwrap();
    host.split([':', '/']).nth(1).unwrap().parse().unwrap()
}

async fn notes(database_url: &str, statement: &'static str) -> Vec<String> {
    let mut connection = PgConnection::connect(database_url).await.expect("the private server lets us in");
    sqlx::query_scalar(statement).fetch_all(&mut connection).await.unwrap()
}

async fn start(wanted: &Wanted) -> Services {
    wanted.find_or_start().await.expect("private servers start")
}

#[tokio::test]
async fn servers_of_the_environment_are_used() {
    let checkout = Checkout::new();
    let mut wanted = checkout.wanted();
    wanted.database_url = Some("postgres://nobody@127.0.0.1:1/nothing".to_owned());
    wanted.broker = Broker::At("amqp://127.0.0.1:1".to_owned());

    let services = start(&wanted).await;

    assert_eq!(services.database_url, "postgres://nobody@127.0.0.1:1/nothing");
    assert_eq!(services.amqp_url.as_deref(), Some("amqp://127.0.0.1:1"));
    services.stop().await.unwrap();
    assert!(!checkout.0.exists(), "nothing private is needed, so nothing is made");
}

#[tokio::test]
async fn private_postgres_is_preferred_to_a_running_one_on_request() {
    assert_can_start();
    let (url, other) = (crate::support::database::server_url(), Checkout::new());
    let private = Wanted { postgres_port: port_of(&url), ..other.wanted() }.with_private_postgres();
    let services = start(&private).await;
    assert_ne!(port_of(&services.database_url), port_of(&url), "where the running one listens");
    assert_eq!(notes(&services.database_url, "show fsync").await, ["off"]);
    let verifier =
        notes(&services.database_url, "select rolpassword from pg_authid where rolname = 'postgres'");
    assert!(verifier.await[0].starts_with("SCRAM-SHA-256$1:"), "a login is hashed once");
    services.stop().await.unwrap();
    let is_in_memory = private.folder != other.0;
    assert_eq!(private.folder.join("postgres").exists(), !is_in_memory, "nothing stays in memory");
    std::fs::remove_dir_all(&private.folder).unwrap();
}

#[tokio::test]
async fn last_run_stops_shared_servers() {
    assert_can_start();
    let checkout = Checkout::new();
    let wanted = Wanted { broker: Broker::Local, ..checkout.wanted() };

    let (one, other) = tokio::join!(start(&wanted), start(&wanted));
    assert_eq!(one.database_url, other.database_url);
    assert_eq!(one.amqp_url, other.amqp_url);
    let broker = one.amqp_url.clone().expect("a private broker");
    lapin::Connection::connect(&broker, lapin::ConnectionProperties::default()).await.expect("it lets us in");

    let database_url = one.database_url.clone();
    one.stop().await.unwrap();
    assert_eq!(notes(&database_url, "select 'still there'").await, ["still there"]);
    other.stop().await.unwrap();
    for url in [&database_url, &broker] {
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port_of(url))).is_err(), "{url} is stopped");
    }
}

#[tokio::test]
async fn server_of_a_killed_run_is_reused_then_stopped() {
    assert_can_start();
    let checkout = Checkout::new();
    let wanted = checkout.wanted();

    let killed = start(&wanted).await;
    let database_url = killed.database_url.clone();
    drop(killed);

    let next = start(&wanted).await;
    assert_eq!(next.database_url, database_url);
    next.stop().await.unwrap();
    assert!(PgConnection::connect(&database_url).await.is_err());
}

#[tokio::test]
async fn crashed_server_restarts_with_its_data() {
    assert_can_start();
    let checkout = Checkout::new();
    let wanted = checkout.wanted();
    let first = start(&wanted).await;
    let make = "with kept as (insert into note values ('kept') returning text) select text from kept";
    notes(&first.database_url, "create table note (text text)").await;
    notes(&first.database_url, make).await;
    let pid = rustix::process::Pid::from_raw(checkout.pid("postgres")).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    drop(first);

    let again = start(&wanted).await;
    assert_eq!(notes(&again.database_url, "select text from note").await, ["kept"]);
    again.stop().await.unwrap();
}

#[tokio::test]
async fn refusing_server_is_left_alone() {
    assert_can_start();
    let (theirs, ours) = (Checkout::new(), Checkout::new());
    // A private server wants its password, which the other checkout does not know.
    let refusing = start(&theirs.wanted()).await;
    let taken = port_of(&refusing.database_url);

    let wanted = Wanted { postgres_port: taken, ..ours.wanted() };
    let services = start(&wanted).await;

    assert_ne!(port_of(&services.database_url), taken);
    services.stop().await.unwrap();
    assert_eq!(notes(&refusing.database_url, "select 'untouched'").await, ["untouched"]);
    refusing.stop().await.unwrap();
}
