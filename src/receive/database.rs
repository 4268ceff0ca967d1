//! `POST /webhooks/supabase/database`: Database Webhooks, signed like Auth Hooks.

use axum::extract::{Request, State};
use axum::response::Response;

use super::auth_hooks::signed_headers;
use super::{Arrival, Endpoints};
use crate::envelope::{Source, parse};
use crate::http::problem::Problem;
use crate::project::supabase;
use crate::verify::standard_webhooks;

pub(super) async fn post(State(endpoints): State<Endpoints>, request: Request) -> Response {
    let arrival = Arrival::of(Source::SupabaseDatabase, &request);
    endpoints.answer(arrival, handle(&endpoints, request).await).await
}

async fn handle(endpoints: &Endpoints, request: Request) -> Result<Response, Problem> {
    let secrets = endpoints.database_webhook_secrets()?;
    let delivery = endpoints.read(Source::SupabaseDatabase, request).await?;
    let window = endpoints.window();
    let headers = signed_headers(&delivery.headers);
    let verified = standard_webhooks::verify(secrets, headers, &delivery.body, window)?;
    let mut envelope = parse::database(verified.id, verified.signed_at, delivery.body, window.now)?;
    // Only the mapped columns are stored: members can write anything into the others.
    if let Some(reduced) = supabase::reduced(&envelope.body, endpoints.tables()) {
        envelope.body = reduced.into();
    }
    endpoints.enqueue_and_ack(envelope, delivery.permit).await
}
