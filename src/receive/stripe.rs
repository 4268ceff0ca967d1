//! `POST /webhooks/stripe`.

use axum::extract::{Request, State};
use axum::response::Response;

use super::problem::Problem;
use super::{Arrival, Receive, header};
use crate::envelope::{Source, peek};
use crate::verify::stripe;

pub(super) async fn post(State(receive): State<Receive>, request: Request) -> Response {
    let arrival = Arrival::of(Source::Stripe, &request);
    receive.answer(arrival, take(&receive, request).await).await
}

async fn take(receive: &Receive, request: Request) -> Result<Response, Problem> {
    let secrets = receive.stripe_secrets()?;
    let delivery = receive.read(Source::Stripe, request).await?;
    let window = receive.window();
    stripe::verify(secrets, header(&delivery.headers, stripe::HEADER), &delivery.body, window)?;
    let envelope = peek::stripe(delivery.body, window.now)?;
    receive.keep(envelope, delivery.place).await
}
