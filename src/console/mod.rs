//! The operators' console: pages for people, made on the server. One file per page, each with its template in
//! `templates/`.
//!
//! Every page reads and works as links and forms. htmx replaces a list in place where scripts run; nothing depends on it.

mod assets;
mod html;
pub mod signing_in;

mod attention;
mod audit;
mod campaigns;
mod change_member;
mod events;
mod export;
mod live;
mod member;
mod members;
mod messages;
mod not_found;
mod overview;
mod parked;
mod revenue;
mod settings;
mod ticket;
mod tickets;
mod views;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::response::Redirect;
use axum::routing::{any, get, post};
use axum::{Router, middleware};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::api::access::rejects::Rejects;
use crate::clock::Clock;
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::ops::doctor::Doctor;
use crate::store::Store;

use self::html::page::PageError;
use self::signing_in::supabase::{Supabase, by_email, by_password};
use self::signing_in::{sign_in, sign_in_link, sign_out};

/// The largest form that is taken, in bytes.
const BODY_LIMIT_BYTES: usize = 256 * 1024;

/// Where the console is.
pub const HOME: &str = "/console";

/// What the pages share. Cheap to clone.
#[derive(Clone)]
pub struct Console(Arc<Shared>);

struct Shared {
    store: Store,
    clock: Clock,
    /// What signs in an admin, if it is set.
    admin_token: Option<SecretString>,
    /// What fingerprints of sessions are made with.
    key: SecretString,
    /// The project whose users sign in, if it is set.
    supabase: Option<Supabase>,
    /// Whether people reach the console over TLS.
    is_secure: bool,
    rejects: Rejects,
    live: live::Live,
    doctor: Doctor,
}

impl Console {
    fn pool(&self) -> &PgPool {
        self.0.store.pool()
    }

    fn now(&self) -> OffsetDateTime {
        self.0.clock.now()
    }

    fn key(&self) -> &SecretString {
        &self.0.key
    }

    /// The project whose users sign in; without one there are no such pages.
    fn supabase(&self) -> Result<&Supabase, PageError> {
        self.0.supabase.as_ref().ok_or(PageError::NotFound)
    }
}

/// The pages; none without an admin token and without Supabase, for then nobody could sign in.
pub fn routes(store: Store, clock: Clock, config: &Config, lifecycle: &Lifecycle) -> Router {
    let admin_token = config.admin_token.clone().filter(|token| !token.expose_secret().is_empty());
    let supabase = Supabase::new(config);
    // Ids are too long to be guessed, whoever knows the key. A changed one ends all sessions.
    let by_supabase = config.supabase_publishable_key.clone().filter(|_| supabase.is_some());
    let Some(key) = admin_token.clone().or(by_supabase) else { return Router::new() };
    let is_secure = config.console_address().is_some_and(|url| url.starts_with("https://"));
    let shared = Shared {
        store,
        clock,
        admin_token,
        key,
        supabase,
        is_secure,
        rejects: Rejects::default(),
        live: live::Live::new(lifecycle),
        doctor: Doctor::new(config),
    };
    let console = Console(Arc::new(shared));
    for_everybody()
        .merge(
            for_people_signed_in()
                .layer(middleware::from_fn_with_state(console.clone(), signing_in::session::require)),
        )
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(middleware::from_fn(signing_in::same_origin::require))
        .layer(middleware::from_fn(html::headers::add))
        .with_state(console)
}

fn for_everybody() -> Router<Console> {
    Router::new()
        .route("/console/assets/{name}", get(assets::serve))
        .route("/console/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/console/sign-in/link", get(sign_in_link::show).post(sign_in_link::redeem))
        .route("/console/sign-in/password", post(by_password::sign_in))
        .route("/console/sign-in/email", get(by_email::show).post(by_email::send))
        .route("/console/sign-in/email/link", post(by_email::redeem))
        .route("/console/sign-in/email/code", post(by_email::enter_code))
}

/// Each list whole, in each form.
fn downloads() -> Router<Console> {
    let files = export::LISTS
        .iter()
        .flat_map(|list| export::FORMATS.map(|format| format!("/console/{list}.{format}")));
    files.fold(Router::new(), |routes, file| routes.route(&file, get(export::download)))
}

fn for_people_signed_in() -> Router<Console> {
    downloads()
        .route("/console", get(overview::show))
        .route("/console/", get(async || Redirect::permanent(HOME)))
        .route("/console/live", get(live::stream))
        .route("/console/members", get(members::show))
        .route("/console/members/{user_id}", get(member::show).post(change_member::change))
        .route("/console/tickets", get(tickets::show))
        .route("/console/tickets/{ticket}", get(ticket::show))
        .route("/console/tickets/{ticket}/reply", post(ticket::reply))
        .route("/console/tickets/{ticket}/assign", post(ticket::assign))
        .route("/console/tickets/{ticket}/status", post(ticket::set_status))
        .route("/console/messages", get(messages::list))
        .route("/console/messages/{number}", get(messages::conversation))
        .route("/console/revenue", get(revenue::show))
        .route("/console/revenue/movements", get(revenue::movements::show))
        .route("/console/campaigns", get(campaigns::list))
        .route("/console/campaigns/{campaign}", get(campaigns::show))
        .route("/console/events", get(events::list::show))
        .route("/console/events/acts", post(events::acts::act))
        .route("/console/events/{source}/{event_id}", get(events::show::show))
        .route("/console/attention", get(attention::show).post(attention::act))
        .route("/console/parked", get(parked::show).post(parked::act))
        .route("/console/audit", get(audit::show))
        .route("/console/settings", get(settings::show))
        .route("/console/views", post(views::change))
        .route("/console/sign-out", post(sign_out::sign_out))
        .route("/console/sign-out/everywhere", post(sign_out::sign_out_everywhere))
        .route("/console/{*rest}", any(not_found::show))
}
