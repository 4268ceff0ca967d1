//! What a member and staff have said to each other: tickets and text messages in one timeline.

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

/// The most entries that one view holds: the newest.
const MAX_ENTRIES: i64 = 100;

/// How a member stands with support.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
pub struct Support {
    /// Tickets that are neither resolved nor closed.
    pub open_tickets: i64,
    /// The earliest message of the member that staff have not replied to.
    #[serde(with = "time::serde::rfc3339::option")]
    pub waiting_since: Option<OffsetDateTime>,
    /// When either last wrote: a ticket, a reply or a text message; a note among staff is none.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_contact_at: Option<OffsetDateTime>,
}

/// Something that was said or decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
pub struct Contact {
    /// When.
    #[serde(with = "time::serde::rfc3339::option")]
    pub at: Option<OffsetDateTime>,
    /// `ticket`, `reply`, `note`, `status` or `sms`.
    pub kind: String,
    /// `member` or `staff`; none for a status.
    pub by: Option<String>,
    /// The ticket that it belongs to.
    pub ticket_number: Option<String>,
    /// The ticket's subject; what was said; the status that people gave it.
    pub text: String,
}

/// How the member stands with support, as `reading` sees it.
pub(super) async fn support(reading: &mut PgConnection, member: Uuid) -> Result<Support, sqlx::Error> {
    sqlx::query_as(SUPPORT).bind(member).fetch_one(reading).await
}

/// The member's timeline, the newest first, at most 100 entries.
pub(super) async fn timeline(reading: &mut PgConnection, member: Uuid) -> Result<Vec<Contact>, sqlx::Error> {
    sqlx::query_as(TIMELINE).bind(member).bind(MAX_ENTRIES).fetch_all(reading).await
}

const SUPPORT: &str = "
select count(*) filter (where coalesce(t.status::text, 'open') not in ('resolved', 'closed')) as open_tickets,
       min(t.waiting_since) as waiting_since,
       greatest(max(greatest(t.created_at, t.last_member_reply_at, t.last_staff_reply_at)),
                (select max(m.created_at) from public.sms_messages m where m.user_id = $1)) as last_contact_at
from public.support_tickets t where t.user_id = $1";

const TIMELINE: &str = "
select * from (
    select t.created_at as at, 'ticket' as kind, 'member' as by, t.ticket_number::text as ticket_number,
           t.subject::text as text
    from public.support_tickets t where t.user_id = $1
    union all
    select r.created_at, case when r.is_internal then 'note' else 'reply' end,
           case when coalesce(r.is_staff, false) then 'staff' else 'member' end, t.ticket_number::text, r.message::text
    from public.support_tickets t join public.support_ticket_replies r on r.ticket_id = t.id where t.user_id = $1
    union all
    select c.at, 'status', null, t.ticket_number::text, coalesce(c.status, '')
    from public.support_tickets t join ingest.ticket_changes c on c.ticket_id = t.id
    where t.user_id = $1 and not c.is_first
    union all
    select m.created_at, 'sms', case m.direction when 'inbound' then 'member' else 'staff' end, t.ticket_number::text,
           coalesce(m.body, '')
    from public.sms_messages m left join public.support_tickets t on t.id = m.ticket_id where m.user_id = $1
) contacts
order by at desc nulls last, kind limit $2";
