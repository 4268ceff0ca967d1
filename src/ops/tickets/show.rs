//! One ticket with its replies and statuses in order of time.

use serde::Serialize;
use sqlx::{AssertSqlSafe, FromRow, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::change::TicketState;
use super::{COLUMNS, FROM_TICKETS, OWNERS, Ticket, find};
use crate::database;
use crate::ops::version;

/// The most entries that one view holds: the newest.
const MAX_ENTRIES: i64 = 500;

/// One ticket with everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = TicketDetail)]
pub struct Detail {
    /// What the list shows.
    #[serde(flatten)]
    pub ticket: Ticket,
    /// What it is about, in the words of who asks.
    pub description: String,
    /// Replies, notes, text messages and statuses, the oldest first; at most the 500 newest.
    pub timeline: Vec<Entry>,
}

/// Something that was said or decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = TicketEntry)]
pub struct Entry {
    /// When.
    #[serde(with = "time::serde::rfc3339::option")]
    pub at: Option<OffsetDateTime>,
    /// `reply`, `note`, `sms` or `status`.
    pub kind: String,
    /// `member` or `staff`; none for a status.
    pub by: Option<String>,
    /// Whose account wrote it.
    pub user_id: Option<Uuid>,
    /// What was said; the status that people gave it.
    pub text: String,
}

impl Detail {
    /// The version of its state.
    #[must_use]
    pub fn version(&self) -> String {
        let Ticket { status, assigned_to, reply_count, reopened_count, .. } = self.ticket.clone();
        version::of(&TicketState { status, assigned_to, reply_count, reopened_count })
    }
}

/// Reads the ticket with this id or number; `None` if there is none.
pub async fn show(pool: &PgPool, name: &str) -> Result<Option<Detail>, sqlx::Error> {
    let mut reading = database::begin_read_only(pool).await?;
    let Some(id) = find(&mut reading, name).await? else { return Ok(None) };
    let ticket: Ticket =
        sqlx::query_as(AssertSqlSafe(format!("{COLUMNS}{FROM_TICKETS}{OWNERS} where t.id = $1")))
            .bind(id)
            .fetch_one(&mut *reading)
            .await?;
    let description =
        sqlx::query_scalar("select description::text from public.support_tickets where id = $1")
            .bind(id)
            .fetch_one(&mut *reading)
            .await?;
    let timeline = sqlx::query_as(TIMELINE).bind(id).bind(MAX_ENTRIES).fetch_all(&mut *reading).await?;
    reading.commit().await?;
    Ok(Some(Detail { ticket, description, timeline }))
}

const TIMELINE: &str = "
select * from (
    select * from (
        select created_at as at, case when is_internal then 'note' else 'reply' end as kind,
               case when coalesce(is_staff, false) then 'staff' else 'member' end as by, user_id, message::text as text
        from public.support_ticket_replies where ticket_id = $1
        union all
        select created_at, 'sms', case direction when 'inbound' then 'member' else 'staff' end, user_id, coalesce(body, '')
        from public.sms_messages where ticket_id = $1
        union all
        select at, 'status', null, null, coalesce(status, '') from ingest.ticket_changes
        where ticket_id = $1 and not is_first
    ) said
    order by at desc nulls last, kind limit $2
) newest
order by at nulls first, kind desc";
