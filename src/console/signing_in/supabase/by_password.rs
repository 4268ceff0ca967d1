//! `POST /console/sign-in/password`: signing in by an e-mail address and a password.

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::Password;
use crate::console::html::error::PageError;
use crate::console::signing_in::cookie::own_page;
use crate::console::signing_in::sign_in;
use crate::console::state::Console;

/// The form.
#[derive(Debug, Deserialize)]
pub(in crate::console) struct Fields {
    email: String,
    password: String,
    #[serde(default)]
    code: String,
    next: Option<String>,
}

/// Signs in. Whoever is refused waits for the answer, the longer the more are.
pub(in crate::console) async fn sign_in(
    State(console): State<Console>,
    headers: HeaderMap,
    fields: Result<Form<Fields>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(Fields { email, password, code, next }) = fields?;
    let supabase = console.supabase()?;
    let next = own_page(next.as_deref());
    let attempt = Password { email: &email, password: &password, code: &code };
    match supabase.by_password(console.pool(), &attempt, console.now()).await {
        Ok((session, account)) => sign_in::begin(&console, &headers, &session, Some(account), next).await,
        Err(error) => sign_in::refuse(&console, error, next).await,
    }
}
