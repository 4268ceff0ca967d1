//! The console as people meet it: in a real Chromium, by mouse and by keyboard, with scripts and without. What only the
//! answers' bytes show is tested in `console`.
//!
//! Opening Chromium costs more than any page: one test is one habit, in one window.

mod acting;
mod app;
mod axe;
mod by_supabase;
mod chromium;
mod driver;
mod jobs;
mod keyboard;
mod lists;
mod live;
mod reading;
mod revenue;
mod roles;
mod signing_in;
mod stored_scripts;
mod without_scripts;

use std::net::SocketAddr;

use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::config::console_roles::ConsoleRole;
use memberflow::console;
use memberflow::console::session::Session;
use memberflow::console::signing_in::links;
use memberflow::http::connection_limit::{ConnectionLimit, connections_max};
use memberflow::http::listener;
use memberflow::lifecycle::Lifecycle;
use memberflow::store::{Store, StoreSettings};
use tokio::net::TcpListener;

use self::chromium::Chromium;
use crate::support::app::{NOW, TestApp};

const TOKEN: &str = "a-long-random-token";

/// A console on a port of its own, and a Chromium that reads it.
struct Console {
    app: TestApp,
    chromium: Chromium,
    address: SocketAddr,
    lifecycle: Lifecycle,
}

impl Console {
    /// Of what `app` holds; nobody is signed in.
    async fn open(app: TestApp) -> Self {
        let config = crate::support::config(app.database.url());
        Self::with(app, config).await
    }

    /// The same as `config` says, at an address that is known as the console's.
    async fn with(app: TestApp, mut config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        config.admin_token = Some(TOKEN.into());
        config.console_url = Some(format!("http://{address}"));
        let lifecycle = Lifecycle::default();
        let clock = Clock::fixed(NOW);
        let store = Store::new(app.database.pool.clone(), clock.clone(), StoreSettings::new(&config));
        let routes = console::routes(store, clock, &config, &lifecycle);
        let limit = ConnectionLimit::new(connections_max());
        let serving = listener::serve(listener, routes, limit, config.read_timeout, lifecycle.clone());
        lifecycle.requests.spawn(serving);
        Self { app, chromium: Chromium::open().await, address, lifecycle }
    }

    /// The same, signed in as an admin.
    async fn signed_in(app: TestApp) -> Self {
        let console = Self::open(app).await;
        console.sign_in_as("ada", ConsoleRole::Admin).await;
        console
    }

    /// The address of a page.
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Goes to a page, whatever it answers.
    async fn go(&self, path: &str) {
        self.chromium.go(&self.url(path)).await;
    }

    /// Signs `actor` in by a link, as whoever may do what `role` may.
    async fn sign_in_as(&self, actor: &str, role: ConsoleRole) {
        let session = Session { actor: actor.to_owned(), role };
        let code = links::make(&self.app.database.pool, &TOKEN.into(), &session, NOW).await.unwrap();
        self.go(&links::path(&code)).await;
        self.chromium.click_on("main", "Sign in").await;
        self.chromium.wait_for("h1", "Overview").await;
    }

    /// Closes Chromium, which must have logged nothing that was not read, and the console.
    async fn close(&self) {
        self.chromium.assert_quiet("at the end").await;
        self.chromium.close().await;
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.lifecycle.stopping.cancel();
    }
}
