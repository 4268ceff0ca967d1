//! `POST /webhooks/supabase/database`: Database Webhooks, signed like Auth Hooks.

use axum::extract::{Request, State};
use axum::response::Response;

use super::auth_hooks::signed_headers;
use super::{Arrival, Receive};
use crate::envelope::{Source, peek};
use crate::http::problem::Problem;
use crate::project::supabase;
use crate::verify::standard_webhooks;

pub(super) async fn post(State(receive): State<Receive>, request: Request) -> Response {
    let arrival = Arrival::of(Source::SupabaseDatabase, &request);
    receive.answer(arrival, take(&receive, request).await).await
}

async fn take(receive: &Receive, request: Request) -> Result<Response, Problem> {
    let secrets = receive.supabase_secrets()?;
    let delivery = receive.read(Source::SupabaseDatabase, request).await?;
    let window = receive.window();
    let headers = signed_headers(&delivery.headers);
    let verified = standard_webhooks::verify(secrets, headers, &delivery.body, window)?;
    let mut envelope = peek::database(verified.id, verified.signed_at, delivery.body, window.now)?;
    // Only the columns that count are stored: members can write anything into the others.
    if let Some(reduced) = supabase::reduced(&envelope.body, receive.tables()) {
        envelope.body = reduced.into();
    }
    receive.enqueue(envelope, delivery.permit).await
}
