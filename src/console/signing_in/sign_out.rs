//! `POST /console/sign-out`: ends the session, here and wherever else its cookie may be; and
//! `POST /console/sign-out/everywhere`: ends every session of the same person.

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse as _, Redirect, Response};

use super::cookie::{cookie, id_of};
use super::sessions;
use crate::console::html::error::PageError;
use crate::console::session::Session;
use crate::console::state::Console;

/// Ends the session.
pub(in crate::console) async fn sign_out(
    State(console): State<Console>,
    _: Session,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    if let Some(id) = id_of(&headers) {
        sessions::end(console.pool(), console.key(), id).await?;
    }
    Ok(signed_out(&console))
}

/// Ends all of this person's sessions.
pub(in crate::console) async fn sign_out_everywhere(
    State(console): State<Console>,
    _: Session,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    if let Some(id) = id_of(&headers) {
        let ended = sessions::end_all(console.pool(), console.key(), id).await?;
        tracing::info!(ended, "signed out of the console everywhere");
    }
    Ok(signed_out(&console))
}

fn signed_out(console: &Console) -> Response {
    tracing::info!("signed out of the console");
    let taken_away = [
        (SET_COOKIE, cookie("", console.0.is_secure)),
        // With the pages that the browser would show from memory to whoever goes back.
        (HeaderName::from_static("clear-site-data"), "\"cache\"".to_owned()),
    ];
    (taken_away, Redirect::to("/console/sign-in")).into_response()
}
