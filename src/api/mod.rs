//! What the CRM reads and sets over HTTP. One file per endpoint.

mod bearer;
mod change_member;
mod explain_mrr;
mod list_members;
mod problem;
mod rejects;
mod show_member;
mod show_mrr;
mod show_waterfall;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Router, middleware};
use secrecy::SecretString;

use crate::clock::Clock;
use crate::receive::problem::Problem;
use crate::store::Store;

use self::bearer::Guard;

/// The largest change that is taken, in bytes.
const BODY_LIMIT_BYTES: usize = 64 * 1024;

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

/// The endpoints, each behind the bearer token.
pub fn routes(state: ApiState) -> Router {
    Router::new()
        .route("/api/members", get(list_members::list))
        .route("/api/members/{user_id}", get(show_member::show).patch(change_member::change))
        .route("/api/members/{user_id}/mrr", get(explain_mrr::explain))
        .route("/api/mrr", get(show_mrr::show))
        .route("/api/mrr/waterfall", get(show_waterfall::show))
        .method_not_allowed_fallback(refuse_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(middleware::from_fn_with_state(Guard::new(&state), bearer::require))
        .with_state(state)
}

async fn refuse_method() -> Problem {
    let detail = "the header Allow names the methods that this address knows";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
}
