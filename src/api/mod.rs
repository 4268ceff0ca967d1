//! What the CRM and operators read and do over HTTP. One file per endpoint.

mod act_on_dead_letters;
pub(crate) mod bearer;
mod change_member;
mod change_ticket;
mod explain_mrr;
mod list_acts;
mod list_campaigns;
mod list_dead_letters;
mod list_events;
mod list_members;
mod list_parked;
mod list_tickets;
mod problem;
mod query;
pub(crate) mod rejects;
mod reply_to_ticket;
mod show_campaign;
mod show_event;
mod show_member;
mod show_mrr;
mod show_ticket;
mod show_waterfall;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::receive::problem::Problem;
use crate::store::Store;

use self::bearer::Guard;

/// The largest change that is taken, in bytes.
const BODY_LIMIT_BYTES: usize = 64 * 1024;

/// What the audit log calls whoever bears the admin token.
const ACTOR: &str = "api";

/// What the endpoints need.
#[derive(Clone, Debug)]
pub struct ApiState {
    /// The members' tables, and what derives them anew after a change by hand.
    pub store: Store,
    /// The moment of reading.
    pub clock: Clock,
    /// Who knows it may read and set everything; without it the API is off.
    pub admin_token: Option<SecretString>,
}

impl ApiState {
    /// What begins phone numbers that are written without a country.
    fn country_code(&self) -> &str {
        &self.store.rules().texting.country_code
    }
}

/// The endpoints, each behind the bearer token.
pub fn routes(state: ApiState) -> Router {
    Router::new()
        .route("/api/members", get(list_members::list))
        .route("/api/members/{user_id}", get(show_member::show).patch(change_member::change))
        .route("/api/members/{user_id}/mrr", get(explain_mrr::explain))
        .route("/api/mrr", get(show_mrr::show))
        .route("/api/mrr/waterfall", get(show_waterfall::show))
        .route("/api/tickets", get(list_tickets::list))
        .route("/api/tickets/{ticket}", get(show_ticket::show).patch(change_ticket::change))
        .route("/api/tickets/{ticket}/replies", post(reply_to_ticket::reply))
        .route("/api/campaigns", get(list_campaigns::list))
        .route("/api/campaigns/{campaign}", get(show_campaign::show))
        .route("/api/events", get(list_events::list))
        .route("/api/events/{source}/{event_id}", get(show_event::show))
        .route("/api/dead-letters", get(list_dead_letters::list))
        .route("/api/dead-letters/causes", get(list_dead_letters::causes))
        .route("/api/dead-letters/redrive", post(act_on_dead_letters::redrive))
        .route("/api/dead-letters/drop", post(act_on_dead_letters::drop_all))
        .route("/api/parked", get(list_parked::list))
        .route("/api/parked/reasons", get(list_parked::reasons))
        .route("/api/audit", get(list_acts::list))
        .method_not_allowed_fallback(refuse_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(middleware::from_fn_with_state(Guard::new(&state), bearer::require))
        .with_state(state)
}

/// The fields of a JSON object. An object first: a struct alone would take an array for its fields in order.
fn object<T: DeserializeOwned>(Json(fields): Json<Map<String, Value>>) -> Result<T, serde_json::Error> {
    serde_json::from_value(Value::Object(fields))
}

async fn refuse_method() -> Problem {
    let detail = "the header Allow names the methods that this address knows";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
}
