//! `/webhooks/twilio/messages` and `/webhooks/twilio/status`: incoming messages, and the status of outgoing
//! ones.
//!
//! Twilio calls by POST or by GET, as its console is set. It tries twice within fifteen seconds and then
//! gives up; what was missed is read from its API by `memberflow reconcile twilio`.

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Uri};
use axum::response::{IntoResponse as _, Response};

use super::read::{ContentType, Delivery};
use super::{Arrival, Endpoints, header};
use crate::envelope::{Malformed, Parameters, Source, twilio as envelope};
use crate::http::problem::Problem;
use crate::project::stripe::NotCounted;
use crate::verify::twilio;

/// An empty TwiML response: no message is sent back.
const NO_ANSWER: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Response></Response>"#;

pub(super) async fn call(State(endpoints): State<Endpoints>, request: Request) -> Response {
    let arrival = Arrival::of(Source::Twilio, &request);
    endpoints.answer(arrival, handle(&endpoints, request).await).await
}

async fn handle(endpoints: &Endpoints, request: Request) -> Result<Response, Problem> {
    let (tokens, public_url) = endpoints.twilio()?;
    let method = request.method().clone();
    if !matches!(method, Method::GET | Method::POST) {
        return Err(Problem::method_not_allowed(&method));
    }
    let url = format!("{public_url}{}", path_and_query(request.uri()));
    let accepted: &[ContentType] =
        if method == Method::GET { &[] } else { &[ContentType::Urlencoded, ContentType::Json] };
    let delivery = endpoints.read_as(Source::Twilio, request, accepted).await?;
    let signature = header(&delivery.headers, twilio::HEADER);
    let parameters = match (&method, delivery.content_type) {
        (&Method::GET, _) => {
            twilio::verify(tokens, signature, &url, twilio::Content::None)?;
            of_query(&url)?
        }
        (_, Some(ContentType::Json)) => {
            twilio::verify(tokens, signature, &url, twilio::Content::Body(&delivery.body))?;
            Parameters::from_json(&delivery.body)?
        }
        _ => {
            let parameters = Parameters::from_form(&delivery.body)?;
            twilio::verify(tokens, signature, &url, twilio::Content::Form(parameters.pairs()))?;
            parameters
        }
    };
    enqueue(endpoints, parameters, delivery).await
}

async fn enqueue(
    endpoints: &Endpoints,
    parameters: Parameters,
    delivery: Delivery,
) -> Result<Response, Problem> {
    let event = envelope::event(parameters, endpoints.window().now)?;
    let reason =
        endpoints.is_other_account(&event.account).then_some(NotCounted::OtherTwilioAccount(event.account));
    let id = endpoints.enqueue(event.envelope, delivery.permit).await?;
    if let Some(reason) = reason {
        endpoints.log_not_counted(Source::Twilio, &id, &reason);
    }
    Ok(([(CONTENT_TYPE, "text/xml")], NO_ANSWER).into_response())
}

/// The path as received: the signature covers these exact characters.
fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |it| it.as_str())
}

fn of_query(url: &str) -> Result<Parameters, Malformed> {
    Parameters::from_form(url.split_once('?').map_or("", |(_, query)| query).as_bytes())
}
