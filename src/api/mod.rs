//! What the CRM and operators read and do over HTTP. One file per endpoint.

mod access;
mod act_on_dead_letters;
mod extract;
mod idempotency;
mod jobs;
mod list_acts;
mod list_campaigns;
mod list_dead_letters;
mod list_events;
mod list_messages;
mod list_parked;
mod members;
mod openapi;
mod problem;
mod query;
mod replay_events;
mod revenue;
mod show_campaign;
mod show_event;
mod show_overview;
mod show_throughput;
mod tickets;
mod versions;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::{Router, middleware};
use secrecy::SecretString;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::clock::Clock;
use crate::http::problem::Problem;
use crate::ops::doctor::Doctor;
use crate::ops::tokens::Scope;
use crate::store::Store;

use self::access::bearer::Guard;

/// The largest change that is taken, in bytes.
const BODY_LIMIT_BYTES: usize = 64 * 1024;

/// What the endpoints need.
#[derive(Clone, Debug)]
pub struct ApiState {
    /// The members' tables, and what derives them again after a change by hand.
    pub store: Store,
    /// The moment of reading.
    pub clock: Clock,
    /// Who knows it may read and set everything; without it the API is off.
    pub admin_token: Option<SecretString>,
    /// Checks what the service needs.
    pub doctor: Arc<Doctor>,
}

impl ApiState {
    /// What begins phone numbers that are written without a country.
    fn country_code(&self) -> &str {
        &self.store.settings().sms.country_code
    }
}

/// The endpoints, each behind the bearer token, and their description.
pub fn routes(state: ApiState) -> Router {
    let (endpoints, described) = endpoints().split_for_parts();
    let described = openapi::complete(described);
    let guard = Guard::new(state.admin_token.clone(), state.store.pool().clone(), state.clock.clone());
    endpoints
        .method_not_allowed_fallback(refuse_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(middleware::from_fn_with_state(state.clone(), idempotency::require_once))
        .layer(middleware::from_fn_with_state(guard, access::bearer::require))
        .with_state(state)
        .merge(openapi::route(&described))
}

/// The description of the endpoints, as `GET /openapi.json` gives it.
#[must_use]
pub fn description() -> OpenApi {
    openapi::complete(endpoints().into_openapi())
}

/// The endpoints by what a token needs for them.
fn endpoints() -> OpenApiRouter<ApiState> {
    let members = OpenApiRouter::new()
        .routes(routes!(members::list_members::list))
        .routes(routes!(members::show_member::show))
        .routes(routes!(members::list_timeline::list));
    let revenue = OpenApiRouter::new()
        .routes(routes!(members::explain_mrr::explain))
        .routes(routes!(members::show_mrr::show))
        .routes(routes!(revenue::show_waterfall::show))
        .routes(routes!(revenue::list_movements::list))
        .routes(routes!(revenue::list_cohorts::list))
        .routes(routes!(revenue::list_cohort_customers::list))
        .routes(routes!(list_campaigns::list))
        .routes(routes!(show_campaign::show));
    let tickets = OpenApiRouter::new()
        .routes(routes!(tickets::list_tickets::list))
        .routes(routes!(tickets::show_ticket::show))
        .routes(routes!(list_messages::list));
    let ticket_acts = OpenApiRouter::new()
        .routes(routes!(tickets::change_ticket::change))
        .routes(routes!(tickets::reply_to_ticket::reply));
    let events = OpenApiRouter::new()
        .routes(routes!(list_events::list))
        .routes(routes!(show_event::show))
        .routes(routes!(members::list_member_events::list))
        .routes(routes!(list_dead_letters::list))
        .routes(routes!(list_dead_letters::causes))
        .routes(routes!(list_parked::list))
        .routes(routes!(list_parked::reasons))
        .routes(routes!(show_overview::show))
        .routes(routes!(show_throughput::show))
        .routes(routes!(jobs::list_jobs::list))
        .routes(routes!(jobs::show_job::show));
    let event_acts = OpenApiRouter::new()
        .routes(routes!(act_on_dead_letters::redrive))
        .routes(routes!(act_on_dead_letters::drop_all))
        .routes(routes!(replay_events::replay))
        .routes(routes!(jobs::request_job::request))
        .routes(routes!(jobs::cancel_job::cancel));
    let changes = OpenApiRouter::new().routes(routes!(members::change_member::change));
    let audit = OpenApiRouter::new().routes(routes!(list_acts::list)).routes(routes!(show_overview::examine));
    [
        (Scope::MembersRead, members),
        (Scope::MembersWrite, changes),
        (Scope::RevenueRead, revenue),
        (Scope::TicketsRead, tickets),
        (Scope::TicketsWrite, ticket_acts),
        (Scope::EventsRead, events),
        (Scope::EventsAct, event_acts),
        (Scope::Admin, audit),
    ]
    .into_iter()
    .fold(OpenApiRouter::with_openapi(openapi::head()), |all, (scope, routes)| {
        all.merge(scoped(scope, routes))
    })
}

/// `routes`, for tokens with `scope`.
fn scoped(scope: Scope, routes: OpenApiRouter<ApiState>) -> OpenApiRouter<ApiState> {
    let guard = middleware::from_fn(move |request, next| access::caller::within(scope, request, next));
    let mut routes = routes.route_layer(guard);
    openapi::require(routes.get_openapi_mut(), scope);
    routes
}

async fn refuse_method() -> Problem {
    let detail = "the header Allow names the methods that this address knows";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
}
