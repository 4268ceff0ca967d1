//! `POST /webhooks/stripe`.

use axum::extract::{Request, State};
use axum::response::Response;

use super::{Arrival, Receive, header};
use crate::envelope::{Source, peek};
use crate::http::problem::Problem;
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
    let (envelope, origin) = peek::stripe_with_origin(delivery.body, window.now)?;
    match receive.admission().check(&origin) {
        Ok(()) => receive.enqueue(envelope, delivery.permit).await,
        Err(reason) => receive.enqueue_not_counted(envelope, delivery.permit, &reason).await,
    }
}
