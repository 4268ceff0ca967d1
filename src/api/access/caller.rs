//! The caller: whoever bears the admin token, or a program with a token of its own.

use axum::extract::{FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::http::problem::Problem;
use crate::ops::tokens::{Scope, Token};

/// What the audit log calls whoever bears the admin token.
const ADMIN: &str = "api";

/// The caller, and what it requests.
#[derive(Clone, Debug)]
pub(in crate::api) struct Caller {
    /// What the audit log says.
    pub(in crate::api) actor: String,
    /// None: everything.
    scopes: Option<Vec<String>>,
}

impl Caller {
    /// Who bears the admin token.
    pub(in crate::api) fn admin() -> Self {
        Self { actor: ADMIN.to_owned(), scopes: None }
    }

    /// Who bears `token`.
    pub(in crate::api) fn of(token: Token) -> Self {
        Self { actor: format!("token:{}", token.name), scopes: Some(token.scopes) }
    }

    fn may(&self, scope: Scope) -> bool {
        let is_given = |given: Scope, scopes: &[String]| scopes.iter().any(|name| name == given.as_str());
        self.scopes.as_deref().is_none_or(|scopes| is_given(scope, scopes) || is_given(Scope::Admin, scopes))
    }
}

/// What the audit log says of whoever makes `request`.
pub(in crate::api) fn actor(request: &Request) -> String {
    request.extensions().get::<Caller>().map_or_else(String::new, |caller| caller.actor.clone())
}

/// Lets a request through that its token has `scope` for.
pub(in crate::api) async fn within(scope: Scope, request: Request, next: Next) -> Response {
    match request.extensions().get::<Caller>() {
        Some(caller) if caller.may(scope) => next.run(request).await,
        _ => missing(scope).into_response(),
    }
}

fn missing(scope: Scope) -> Problem {
    let detail = format!(
        "this token lacks the scope {scope}: make one that has it with `memberflow tokens create NAME --scope {scope}`",
        scope = scope.as_str()
    );
    Problem::new(StatusCode::FORBIDDEN, "scope-missing", "Not allowed with this token", detail)
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Every route has the guard before it, which sets the caller.
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::internal)
    }
}
