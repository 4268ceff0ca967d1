//! What stands before the pages: the session that a request's cookie names, or the way to sign in.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::cookie::{HOME, id_of};
use super::sessions;
use crate::console::html::error::PageError;
use crate::console::state::Console;

/// Lets a request through whose cookie names a session, and sends the others to sign in.
pub(in crate::console) async fn require(
    State(console): State<Console>,
    mut request: Request,
    next: Next,
) -> Response {
    let found = match id_of(request.headers()) {
        Some(id) => sessions::find(&console, id).await,
        None => Ok(None),
    };
    match found {
        Ok(Some(session)) => {
            request.extensions_mut().insert(session);
            next.run(request).await
        }
        Ok(None) => to_sign_in(&request),
        Err(error) => PageError::from(error).into_response(),
    }
}

/// Afterwards the reader comes back to the requested page; a form is lost, and its page's home is shown.
fn to_sign_in(request: &Request) -> Response {
    let wanted = request.uri().path_and_query().map_or(HOME, |it| it.as_str());
    let next = if request.method() == Method::GET { wanted } else { HOME };
    let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
    let address = format!("/console/sign-in?{query}");
    // A script that requested part of a page must not put the sign-in page into it.
    match HeaderValue::from_str(&address) {
        Ok(address) if request.headers().contains_key("hx-request") => {
            (StatusCode::OK, [("hx-redirect", address)]).into_response()
        }
        _ => Redirect::to(&address).into_response(),
    }
}
