//! Listening addresses: a taken one ends the process before it connects, and operators may have a separate
//! one.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::Output;

use crate::support::database::TestDatabase;
use crate::support::process::{Serving, Settings, memberflow};
use crate::support::receiver::{STRIPE_SECRETS, SUPABASE_SECRETS, assert_problem};

const TOKEN: &str = "a-token-for-operators-alone";

/// Somebody else's listener; nobody ever accepts.
fn taken() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

fn serve(settings: &Settings, bind: &str) -> Output {
    memberflow(settings).args(["serve", "--bind", bind]).output().unwrap()
}

#[test]
fn taken_address_ends_serve_before_connecting() {
    let (postgres, rabbitmq, other) = (taken(), taken(), taken());
    let address = |listener: &TcpListener| listener.local_addr().unwrap();
    let urls = [
        ("DATABASE_URL", format!("postgres://nobody@{}/none", address(&postgres))),
        ("AMQP_URL", format!("amqp://guest:guest@{}/%2f", address(&rabbitmq))),
    ];
    let ops = ("MEMBERFLOW_OPS_BIND", address(&other).to_string());
    for (settings, bind, setting) in [
        (urls.to_vec(), address(&other).to_string(), "MEMBERFLOW_BIND (--bind)"),
        ([urls.to_vec(), vec![ops]].concat(), "127.0.0.1:0".to_owned(), "MEMBERFLOW_OPS_BIND"),
    ] {
        let ended = serve(&settings, &bind);
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{stderr}");
        let says = format!("cannot listen on {}", address(&other));
        assert!(stderr.contains(&says) && stderr.contains(setting), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
    for server in [&postgres, &rabbitmq] {
        assert_eq!(server.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "it connected");
    }
}

#[test]
fn too_few_connections_for_the_roles_end_serve_with_2() {
    let settings = vec![
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none".to_owned()),
        ("MEMBERFLOW_DATABASE_CONNECTIONS", "5".to_owned()),
    ];
    let ended = serve(&settings, "127.0.0.1:0");
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("set it to 6 or more, or run fewer roles"), "{stderr}");
}

#[tokio::test]
async fn remote_plaintext_connection_is_warned_about() {
    for (host, warned) in [("postgres.invalid", true), ("127.0.0.1", false)] {
        let url = format!("postgres://nobody:hunter2@{host}:1/none");
        let serving = Serving::roles("api", &vec![("DATABASE_URL", url)]);
        let log = serving.log();
        assert_eq!(log.contains("connection to Postgres may go unencrypted"), warned, "{log}");
        assert!(!log.contains("hunter2"), "{log}");
    }
}

#[tokio::test]
async fn ops_endpoints_have_a_separate_address() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let database = TestDatabase::migrated().await;
    let settings: Settings = vec![
        ("DATABASE_URL", database.url()),
        ("STRIPE_WEBHOOK_SECRETS", STRIPE_SECRETS.to_owned()),
        ("SUPABASE_WEBHOOK_SECRETS", SUPABASE_SECRETS.to_owned()),
        ("MEMBERFLOW_ADMIN_TOKEN", TOKEN.to_owned()),
        ("MEMBERFLOW_OPS_BIND", "127.0.0.1:0".to_owned()),
    ];
    let serving = Serving::all(&settings);
    let (public, ops) = (serving.url(), format!("http://{}", serving.ops_address()));
    let client = reqwest::Client::new();
    let get = async |url: String| client.get(url).bearer_auth(TOKEN).send().await.unwrap();
    for path in ["/readyz", "/metrics", "/api/members"] {
        assert_problem(get(format!("{public}{path}")).await, 404, "not-found").await;
        assert_eq!(get(format!("{ops}{path}")).await.status(), 200, "{path}");
    }
    for address in [&public, &ops] {
        assert_eq!(get(format!("{address}/healthz")).await.status(), 200);
        let problem = assert_problem(get(format!("{address}/nowhere")).await, 404, "not-found").await;
        let help = get(format!("{address}{}", problem["help"].as_str().unwrap())).await;
        assert_eq!(
            (help.status().as_u16(), &help.headers()["content-type"]),
            (200, &"text/plain; charset=utf-8".parse().unwrap())
        );
        assert!(help.text().await.unwrap().contains("correct the address"));
        assert_eq!(get(format!("{address}/problems")).await.status(), 200);
        assert_problem(get(format!("{address}/problems/none")).await, 404, "not-found").await;
    }
    let post = async |address: &str| client.post(format!("{address}/webhooks/stripe")).send().await.unwrap();
    assert_problem(post(&ops).await, 404, "not-found").await;
    assert_problem(post(&public).await, 415, "content-type-not-json").await;
}
