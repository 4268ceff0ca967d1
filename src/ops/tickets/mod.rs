//! Support tickets: list, show, change.

mod change;
mod list;
mod show;

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

pub use change::{Change, ChangeError, change, change_expected};
pub use list::{Assignee, Filter, ListError, MAX_LIMIT, Page, count, list};
pub use show::{Detail, Entry, show};

/// What a status can be.
pub const STATUSES: [&str; 5] = ["open", "in_progress", "waiting_reply", "resolved", "closed"];
/// What a priority can be.
pub const PRIORITIES: [&str; 4] = ["low", "normal", "high", "urgent"];
/// Whose turn it can be.
pub const WAITING_FOR: [&str; 2] = ["staff", "member"];

/// One ticket and what follows from its replies and statuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
pub struct Ticket {
    /// `support_tickets.id`
    pub id: Uuid,
    /// The number that people quote.
    pub ticket_number: String,
    /// The member; none for a guest.
    pub user_id: Option<Uuid>,
    /// The member's address, else the guest's.
    pub email: Option<String>,
    /// In the words of who asks.
    pub subject: String,
    /// One of [`STATUSES`].
    pub status: Option<String>,
    /// One of [`PRIORITIES`].
    pub priority: Option<String>,
    /// In the application's words.
    pub category: Option<String>,
    /// The assigned colleague.
    pub assigned_to: Option<Uuid>,
    /// Whose turn it is: one of [`WAITING_FOR`]; none once resolved or closed.
    pub waiting_for: Option<String>,
    /// The earliest message that staff have not replied to.
    #[serde(with = "time::serde::rfc3339::option")]
    pub waiting_since: Option<OffsetDateTime>,
    /// When staff first replied.
    #[serde(with = "time::serde::rfc3339::option")]
    pub first_response_at: Option<OffsetDateTime>,
    /// The member's latest reply.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_member_reply_at: Option<OffsetDateTime>,
    /// The latest reply of staff.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_staff_reply_at: Option<OffsetDateTime>,
    /// Replies, without internal notes.
    pub reply_count: i32,
    /// How often it left resolved or closed.
    pub reopened_count: i32,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// When it was last resolved; none once reopened.
    #[serde(with = "time::serde::rfc3339::option")]
    pub resolved_at: Option<OffsetDateTime>,
    /// Likewise.
    #[serde(with = "time::serde::rfc3339::option")]
    pub closed_at: Option<OffsetDateTime>,
    /// From its creation to `resolved_at`, else `closed_at`.
    pub resolution_seconds: Option<i64>,
}

/// The columns of a [`Ticket`], of tickets `t` and their [`OWNERS`].
const COLUMNS: &str = "
select t.id, t.ticket_number::text as ticket_number, t.user_id, coalesce(u.email::text, t.guest_email::text) as email,
       t.subject::text as subject, t.status::text as status, t.priority::text as priority,
       t.category::text as category, t.assigned_to, t.waiting_for, t.waiting_since, t.first_response_at,
       t.last_member_reply_at, t.last_staff_reply_at, t.reply_count, t.reopened_count, t.created_at,
       t.resolved_at, t.closed_at, t.resolution_seconds";

/// All tickets.
const FROM_TICKETS: &str = "
from public.support_tickets t";

/// Whose they are.
const OWNERS: &str = "
left join auth.users u on u.id = t.user_id";

/// The ticket with this id or number, in any case.
async fn find(connection: &mut PgConnection, name: &str) -> Result<Option<Uuid>, sqlx::Error> {
    if let Ok(id) = Uuid::parse_str(name) {
        let found = sqlx::query_scalar("select id from public.support_tickets where id = $1").bind(id);
        return found.fetch_optional(connection).await;
    }
    // Postgres text holds none.
    if name.contains('\0') {
        return Ok(None);
    }
    sqlx::query_scalar("select id from public.support_tickets where ticket_number in ($1, upper($1)) limit 1")
        .bind(name)
        .fetch_optional(connection)
        .await
}
