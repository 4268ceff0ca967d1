//! Staff actions on a ticket: reply, assign, set the status. Each is recorded in the audit log.

use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{FromRow, PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{STATUSES, find};
use crate::database;
use crate::ops::version::{self, Expected};
use crate::store::audit::{self, Act};

/// The longest reply, in characters.
const MAX_MESSAGE_CHARS: usize = 20_000;

/// An action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Says something, as staff.
    Reply {
        /// What.
        message: String,
        /// Visible only to staff.
        is_internal: bool,
        /// The staff member.
        user_id: Option<Uuid>,
    },
    /// Assigns it to a colleague, or to nobody.
    Assign(Option<Uuid>),
    /// Sets the status.
    Status(String),
}

/// The change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It is invalid, with the reason.
    #[error("{0}")]
    Invalid(String),
    /// There is no such ticket.
    #[error("there is no ticket {0}: `memberflow tickets list` shows them")]
    NotFound(String),
    /// It was changed meanwhile.
    #[error("changed in the meantime: reload, then repeat the change")]
    Stale,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The state of a ticket.
#[derive(Debug, Serialize, FromRow)]
pub(super) struct TicketState {
    pub(super) status: Option<String>,
    pub(super) assigned_to: Option<Uuid>,
    pub(super) reply_count: i32,
    pub(super) reopened_count: i32,
}

const STATE: &str = "
select status::text as status, assigned_to, reply_count, reopened_count from public.support_tickets
where id = $1 for update";

/// Makes the changes to the ticket with this id or number, all or none; triggers in the database derive the
/// rest. Recorded in the audit log for `actor`, without the text of a reply, which may hold personal data.
///
/// # Errors
/// The change makes no sense, there is no such ticket, or the database does not answer.
pub async fn change(
    pool: &PgPool,
    name: &str,
    changes: &[Change],
    actor: &str,
    now: OffsetDateTime,
) -> Result<Uuid, ChangeError> {
    change_expected(pool, name, changes, &Expected::Any, actor, now).await
}

/// The same, if the ticket has one of the `expected` versions.
///
/// # Errors
/// Also where it is not.
pub async fn change_expected(
    pool: &PgPool,
    name: &str,
    changes: &[Change],
    expected: &Expected,
    actor: &str,
    now: OffsetDateTime,
) -> Result<Uuid, ChangeError> {
    changes.iter().try_for_each(Change::check)?;
    let mut tx = database::begin(pool).await?;
    let id = find(&mut tx, name).await?.ok_or_else(|| ChangeError::NotFound(name.to_owned()))?;
    let state: TicketState = sqlx::query_as(STATE).bind(id).fetch_one(&mut *tx).await?;
    if !expected.is(&version::of(&state)) {
        return Err(ChangeError::Stale);
    }
    for change in changes {
        change.make(&mut tx, id, now).await?;
        let (act, what) = change.audited();
        let act = Act { actor, act, arguments: json!({"ticket_id": id}), outcome: what };
        audit::record(&mut tx, act, now).await?;
    }
    tx.commit().await?;
    Ok(id)
}

impl Change {
    fn check(&self) -> Result<(), ChangeError> {
        match self {
            Self::Reply { message, .. }
                if message.trim().is_empty()
                    || message.contains('\0')
                    || message.chars().count() > MAX_MESSAGE_CHARS =>
            {
                let detail = format!("a reply holds 1 to {MAX_MESSAGE_CHARS} characters, without NUL");
                Err(ChangeError::Invalid(detail))
            }
            Self::Status(status) if !STATUSES.contains(&status.as_str()) => {
                Err(ChangeError::Invalid(crate::ops::unknown_value("status", status, &STATUSES)))
            }
            _ => Ok(()),
        }
    }

    async fn make(&self, tx: &mut PgConnection, id: Uuid, now: OffsetDateTime) -> Result<(), ChangeError> {
        let query = match self {
            Self::Reply { message, is_internal, user_id } => sqlx::query(
                "insert into public.support_ticket_replies (ticket_id, created_at, message, is_staff, is_internal, user_id)
                 values ($1, $2, $3, true, $4, $5)",
            )
            .bind(id)
            .bind(now)
            .bind(message)
            .bind(is_internal)
            .bind(user_id),
            Self::Assign(user_id) => sqlx::query(
                "update public.support_tickets set updated_at = $2, assigned_to = $3 where id = $1",
            )
            .bind(id)
            .bind(now)
            .bind(user_id),
            Self::Status(status) => {
                sqlx::query("update public.support_tickets set updated_at = $2, status = $3 where id = $1")
                    .bind(id)
                    .bind(now)
                    .bind(status)
            }
        };
        match query.execute(tx).await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_database_error()
                    .is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation) =>
            {
                let detail = "no such account: use the user id of an existing account".to_owned();
                Err(ChangeError::Invalid(detail))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn audited(&self) -> (&'static str, Value) {
        match self {
            Self::Reply { is_internal, .. } => ("tickets reply", json!({"is_internal": is_internal})),
            Self::Assign(user_id) => ("tickets assign", json!({"assigned_to": user_id})),
            Self::Status(status) => ("tickets status", json!({"status": status})),
        }
    }
}
