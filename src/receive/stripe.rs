//! `POST /webhooks/stripe`.

use axum::extract::{Request, State};
use axum::response::Response;

use super::{Arrival, Endpoints, header};
use crate::envelope::{Source, parse};
use crate::http::problem::Problem;
use crate::verify::stripe;

pub(super) async fn post(State(endpoints): State<Endpoints>, request: Request) -> Response {
    let arrival = Arrival::of(Source::Stripe, &request);
    endpoints.answer(arrival, handle(&endpoints, request).await).await
}

async fn handle(endpoints: &Endpoints, request: Request) -> Result<Response, Problem> {
    let secrets = endpoints.stripe_secrets()?;
    let delivery = endpoints.read(Source::Stripe, request).await?;
    let window = endpoints.window();
    stripe::verify(secrets, header(&delivery.headers, stripe::HEADER), &delivery.body, window)?;
    let (envelope, origin) = parse::stripe_with_origin(delivery.body, window.now)?;
    match endpoints.origin_filter().check(&origin) {
        Ok(()) => endpoints.enqueue_and_ack(envelope, delivery.permit).await,
        // Only for the answer and the log: the consumer decides by its own settings.
        Err(reason) => endpoints.enqueue_not_counted(envelope, delivery.permit, &reason).await,
    }
}
