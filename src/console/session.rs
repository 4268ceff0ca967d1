//! Who is signed in, and what they may do.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::html::error::PageError;
use crate::config::console_roles::ConsoleRole;

/// A person who is signed in: what the audit log calls them, and what they may do. As an argument of a page it is there
/// always: [`super::signing_in::guard`] goes before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// For the audit log.
    pub actor: String,
    /// What this person may do.
    pub role: ConsoleRole,
}

impl Session {
    /// Refuses what takes `least`.
    ///
    /// # Errors
    /// [`PageError::Forbidden`].
    pub(in crate::console) fn require(&self, least: ConsoleRole) -> Result<(), PageError> {
        if self.role >= least {
            return Ok(());
        }
        Err(PageError::Forbidden(match least {
            ConsoleRole::Admin => "This is for admins. Ask one of them for what you need.",
            _ => "Your role may read and not change anything. Ask an admin for the role operator.",
        }))
    }

    /// Whether the page shows what changes something.
    #[must_use]
    pub fn may_change(&self) -> bool {
        self.role >= ConsoleRole::Operator
    }
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        parts.extensions.get::<Self>().cloned().ok_or(PageError::Forbidden("Sign in first."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_includes_those_below_it() {
        let session = |role| Session { actor: "ada".to_owned(), role };
        assert!(
            session(ConsoleRole::Viewer).require(ConsoleRole::Operator).is_err()
                && !session(ConsoleRole::Viewer).may_change()
        );
        assert!(session(ConsoleRole::Operator).require(ConsoleRole::Operator).is_ok());
        assert!(session(ConsoleRole::Admin).require(ConsoleRole::Operator).is_ok());
        for role in [ConsoleRole::Viewer, ConsoleRole::Operator, ConsoleRole::Admin] {
            assert_eq!(ConsoleRole::stored(role.as_str()), role);
        }
        assert_eq!(ConsoleRole::stored("owner"), ConsoleRole::Viewer);
    }
}
