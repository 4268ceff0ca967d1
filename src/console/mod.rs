//! The operators' console: pages for people, made on the server. One file per page, each with its template in
//! `templates/`.
//!
//! Every page reads and works as links and forms. htmx replaces a list in place where scripts run; nothing depends on it.

mod assets;
mod html;
pub mod session;
pub mod signing_in;

mod attention;
mod audit;
mod campaigns;
mod change_member;
mod events;
mod jobs;
mod lists;
mod live;
mod member;
mod members;
mod messages;
mod not_found;
mod overview;
mod parked;
mod revenue;
mod settings;
mod state;
mod ticket;
mod tickets;
mod views;

use axum::extract::DefaultBodyLimit;
use axum::response::Redirect;
use axum::routing::{any, get, post};
use axum::{Router, middleware};

use crate::clock::Clock;
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::store::Store;

use self::lists::{counted, export};
use self::signing_in::cookie::HOME;
use self::signing_in::supabase::{by_email, by_password};
use self::signing_in::{sign_in, sign_in_link, sign_out};
use self::state::Console;

/// The largest form that is taken, in bytes.
const BODY_LIMIT_BYTES: usize = 256 * 1024;

/// The pages; none if nobody could sign in.
pub fn routes(store: Store, clock: Clock, config: &Config, lifecycle: &Lifecycle) -> Router {
    let Some(console) = Console::new(store, clock, config, lifecycle) else { return Router::new() };
    for_everybody()
        .merge(
            for_people_signed_in()
                .layer(middleware::from_fn_with_state(console.clone(), signing_in::guard::require)),
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

/// Each list whole, in each form, and counted.
fn whole_lists() -> Router<Console> {
    lists::LISTS.iter().fold(Router::new(), |routes, list| {
        let counted = routes.route(&format!("/console/{list}.{}", counted::ENDING), get(counted::show));
        export::FORMATS.iter().fold(counted, |routes, format| {
            routes.route(&format!("/console/{list}.{format}"), get(export::download))
        })
    })
}

fn for_people_signed_in() -> Router<Console> {
    whole_lists()
        .route("/console", get(overview::show))
        .route("/console/", get(async || Redirect::permanent(HOME)))
        .route("/console/live", get(live::stream))
        .route("/console/members", get(members::show))
        .route("/console/members/{user_id}", get(member::show).post(change_member::change))
        .route("/console/members/{user_id}/events", get(member::events::show))
        .route("/console/tickets", get(tickets::show))
        .route("/console/tickets/{ticket}", get(ticket::show))
        .route("/console/tickets/{ticket}/reply", post(ticket::reply))
        .route("/console/tickets/{ticket}/assign", post(ticket::assign))
        .route("/console/tickets/{ticket}/status", post(ticket::set_status))
        .route("/console/messages", get(messages::list))
        .route("/console/messages/{number}", get(messages::conversation))
        .route("/console/revenue", get(revenue::show))
        .route("/console/revenue/movements", get(revenue::movements::show))
        .route("/console/revenue/cohort", get(revenue::cohort::show))
        .route("/console/campaigns", get(campaigns::list))
        .route("/console/campaigns/{campaign}", get(campaigns::show))
        .route("/console/events", get(events::list::show))
        .route("/console/events/acts", post(events::acts::act))
        .route("/console/events/{source}/{event_id}", get(events::show::show))
        .route("/console/events/{source}/{event_id}/body", get(events::fixture::download))
        .route("/console/events/{source}/{event_id}/fixture", get(events::fixture::show))
        .route("/console/attention", get(attention::show).post(attention::act))
        .route("/console/jobs", get(jobs::list).post(jobs::request))
        .route("/console/jobs/{job}", get(jobs::show))
        .route("/console/jobs/{job}/cancel", post(jobs::cancel))
        .route("/console/parked", get(parked::show).post(parked::act))
        .route("/console/audit", get(audit::show))
        .route("/console/settings", get(settings::show))
        .route("/console/views", post(views::change))
        .route("/console/sign-out", post(sign_out::sign_out))
        .route("/console/sign-out/everywhere", post(sign_out::sign_out_everywhere))
        .route("/console/{*rest}", any(not_found::show))
}
