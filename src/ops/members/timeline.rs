//! What happened with a member, newest first, a page at a time: each entry with the event that made it, if that is stored.

use serde::Serialize;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::events;
use crate::database;
use crate::ops::events::{NAMES_USER, USER_NAMED};
use crate::ops::page::{self, Neighbours, PageError, Seek};

/// What an entry can be about.
pub const TIMELINE_KINDS: [&str; 9] =
    ["payment", "plan", "login", "file", "vision", "row", "ticket", "text", "act"];

/// Something that happened. Amounts are minor units of `currency`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = TimelineEntry)]
pub struct Entry {
    /// When; for a row the moment of its present state.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// `payment`, `plan` (a change of the MRR), `login`, `file`, `vision`, `row` (another row that counts), `ticket`, `text`
    /// or `act` (of an operator).
    pub kind: String,
    /// The payment's status; the movement's kind; the login's evidence; the row's table; `ticket`, `reply`, `note` or
    /// `status`; `inbound` or `outbound`; the act's name.
    pub what: String,
    /// Its key among those of its kind.
    pub id: String,
    /// `member` or `staff`; for an act the operator.
    pub by: Option<String>,
    /// What was said; for an act the names of its arguments.
    pub text: Option<String>,
    /// The ticket that it belongs to.
    pub ticket_number: Option<String>,
    /// The object whose events are about it: `in_…`, `cus_…`, `public.vision_versions/…`.
    pub object: Option<String>,
    /// In lower case.
    pub currency: Option<String>,
    /// Collected.
    pub amount: Option<i64>,
    /// Given back.
    pub amount_refunded: Option<i64>,
    /// Withdrawn by disputes.
    pub amount_disputed: Option<i64>,
    /// The customer's MRR before.
    pub mrr_before: Option<i64>,
    /// And after.
    pub mrr_after: Option<i64>,
    /// The source of the event that made it; none where no event did, or it is not known.
    pub event_source: Option<String>,
    /// The id of that event.
    pub event_id: Option<String>,
}

/// Some entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = TimelinePage)]
pub struct Timeline {
    /// The newest first.
    pub entries: Vec<Entry>,
    /// The cursor of the next page; `None` on the last one.
    pub next_cursor: Option<String>,
    /// Where the page before continues; none on the first one.
    pub prev_cursor: Option<String>,
}

/// A position in the timeline.
struct CursorPosition {
    at: OffsetDateTime,
    kind: String,
    id: String,
}

/// One page of what happened with the member, after `cursor`, at most `limit`; `kind`: of [`TIMELINE_KINDS`] this alone.
/// `None` if there is no such account.
///
/// # Errors
/// If the cursor or the limit is invalid, or the database does not answer.
pub async fn timeline(
    pool: &PgPool,
    user_id: Uuid,
    kind: Option<&str>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Option<Timeline>, PageError> {
    let limit = page::checked(limit)?;
    let from = cursor.map(CursorPosition::decode).transpose()?;
    let seek = from.as_ref().map(|(seek, _)| *seek);
    let mut query = query(user_id, kind, from, page::one_more(limit));
    let mut reading = database::begin_read_only(pool).await?;
    if !events::is_there(&mut reading, user_id).await? {
        return Ok(None);
    }
    let mut entries: Vec<Entry> = query.build_query_as().fetch_all(&mut *reading).await?;
    reading.commit().await?;
    let place = |it: &Entry| [page::from_moment(it.at), it.kind.clone(), it.id.clone()];
    let Neighbours { next, prev } = page::paginate(&mut entries, limit, seek, place);
    Ok(Some(Timeline { entries, next_cursor: next, prev_cursor: prev }))
}

/// Each branch reads the newest rows of the member after the position; their events are looked up for the rows of the page.
fn query(
    user_id: Uuid,
    kind: Option<&str>,
    from: Option<(Seek, CursorPosition)>,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let (seek, from) = from.map_or((Seek::default(), None), |(seek, place)| (seek, Some(place)));
    let mut query =
        QueryBuilder::new("select t.*, found.source as event_source, found.event_id from (select * from (");
    let chosen = BRANCHES.iter().filter(|(of, ..)| kind.is_none_or(|kind| kind == *of));
    for (at, (_, rows, user)) in chosen.enumerate() {
        query.push(if at > 0 { " union all (" } else { "(" });
        query.push("select * from (").push(rows).push(user).push(" = ").push_bind(user_id);
        // The audit log names users in JSON.
        query.push(if *user == NAMED_IN_ACT { "::text" } else { "" }).push(") b where at is not null");
        if let Some(CursorPosition { at, kind, id }) = &from {
            let (beyond, _) = seek.descending();
            query.push(" and at").push(beyond.trim_end()).push("= ").push_bind(*at);
            query.push(" and (at, kind, id)").push(beyond).push("(").push_bind(*at);
            query.push(", ").push_bind(kind.clone()).push(", ").push_bind(id.clone()).push(")");
        }
        push_order(&mut query, "", seek);
        query.push(" limit ").push_bind(limit).push(")");
    }
    query.push(") merged");
    push_order(&mut query, "", seek);
    query.push(" limit ").push_bind(limit).push(") t left join lateral (").push(EVENT_OF_ENTRY);
    query.push(NAMES_USER).push(" and ").push(USER_NAMED).push(" = ").push_bind(user_id.to_string());
    query.push(EVENT_OF_LOGIN).push(") found on true");
    push_order(&mut query, "t.", seek);
    query
}

fn push_order(query: &mut QueryBuilder<Postgres>, table: &str, seek: Seek) {
    let (_, order) = seek.descending();
    for (at, column) in ["at", "kind", "id"].into_iter().enumerate() {
        query.push(if at == 0 { " order by " } else { ", " }).push(table).push(column).push(order);
    }
}

impl CursorPosition {
    fn decode(cursor: &str) -> Result<(Seek, Self), PageError> {
        let (seek, [moment, kind, id]) = page::decode(cursor)?;
        Ok((seek, Self { at: page::to_moment(&moment)?, kind, id }))
    }
}

/// The user in an act's arguments: the expression of the index `audit_log_member`.
const NAMED_IN_ACT: &str = "a.arguments ->> 'user_id'";

/// The columns of payments and movements, for the other kinds.
macro_rules! no_amounts {
    () => {
        "null::text as currency, null::bigint as amount, null::bigint as amount_refunded,
         null::bigint as amount_disputed, null::bigint as mrr_before, null::bigint as mrr_after,
         null::uuid as history_id"
    };
}
macro_rules! of_row {
    ($kind:literal, $which:literal) => {
        concat!(
            "select f.occurred_at as at, '",
            $kind,
            "' as kind, f.relation as what, f.relation || '/' || f.row_id as id, null::text as by, null::text as text,
             null::text as ticket_number, f.relation || '/' || f.row_id as object, ",
            no_amounts!(),
            ", f.event_id as decided_by from ingest.row_facts f where f.counted and f.relation ",
            $which,
            " and "
        )
    };
}
macro_rules! of_ticket {
    ($at:literal, $what:literal, $id:literal, $by:literal, $text:literal, $from:literal) => {
        concat!(
            "select ",
            $at,
            " as at, 'ticket' as kind, ",
            $what,
            " as what, ",
            $id,
            "::text as id, ",
            $by,
            "::text as by, ",
            $text,
            "::text as text, t.ticket_number::text as ticket_number, null::text as object, ",
            no_amounts!(),
            ", null::text as decided_by from public.support_tickets t ",
            $from
        )
    };
}
macro_rules! of_act {
    ($from:literal) => {
        concat!(
            "select a.at, 'act' as kind, a.act as what, a.id::text as id, a.actor as by,
                    (select string_agg(k, ', ' order by k) from jsonb_object_keys(a.arguments) k
                     where k not in ('user_id', 'ticket_id')) as text,
                    null::text as ticket_number, null::text as object, ",
            no_amounts!(),
            ", null::text as decided_by from ",
            $from
        )
    };
}

/// The rows of each kind, and what must be the user's id.
const BRANCHES: [(&str, &str, &str); 12] = [
    (
        "payment",
        "select coalesce(h.paid_at, h.created_at) as at, 'payment' as kind, h.status::text as what, h.id::text as id,
                null::text as by, h.description::text as text, null::text as ticket_number,
                coalesce(h.stripe_invoice_id, h.stripe_payment_intent_id)::text as object,
                coalesce(h.currency, 'usd')::text as currency, h.amount::bigint as amount,
                coalesce(h.amount_refunded, 0)::bigint as amount_refunded,
                coalesce(h.amount_disputed, 0)::bigint as amount_disputed, null::bigint as mrr_before,
                null::bigint as mrr_after, h.id as history_id, null::text as decided_by
         from public.payment_history h where ",
        "h.user_id",
    ),
    (
        "plan",
        "select m.effective_at as at, 'plan' as kind, m.kind as what, m.id::text as id, null::text as by,
                null::text as text, null::text as ticket_number, m.customer_id as object, m.currency,
                null::bigint as amount, null::bigint as amount_refunded, null::bigint as amount_disputed,
                m.mrr_before, m.mrr_after, null::uuid as history_id, m.cause_event_id as decided_by
         from public.mrr_movements m where m.superseded_at is null and ",
        "m.user_id",
    ),
    (
        "login",
        concat!(
            "select l.logged_in_at as at, 'login' as kind,
                    case l.evidence when 0 then 'session' when 1 then 'audit log' else 'last sign-in' end as what,
                    l.session_id as id, null::text as by, null::text as text, null::text as ticket_number,
                    null::text as object, ",
            no_amounts!(),
            ", null::text as decided_by from ingest.logins l where l.counted and "
        ),
        "l.user_id",
    ),
    ("file", of_row!("file", "= 'storage.objects'"), "f.user_id"),
    ("vision", of_row!("vision", "= 'public.vision_versions'"), "f.user_id"),
    ("row", of_row!("row", "not in ('storage.objects', 'public.vision_versions')"), "f.user_id"),
    (
        "ticket",
        of_ticket!("t.created_at", "'ticket'", "t.id", "'member'", "t.subject", "where "),
        "t.user_id",
    ),
    (
        "ticket",
        of_ticket!(
            "r.created_at",
            "case when r.is_internal then 'note' else 'reply' end",
            "r.id",
            "case when coalesce(r.is_staff, false) then 'staff' else 'member' end",
            "r.message",
            "cross join lateral (
                 select * from public.support_ticket_replies r where r.ticket_id = t.id offset 0) r where "
        ),
        "t.user_id",
    ),
    (
        "ticket",
        of_ticket!(
            "c.at",
            "'status'",
            "c.number",
            "null",
            "c.status",
            "cross join lateral (select * from ingest.ticket_changes c where c.ticket_id = t.id offset 0) c
             where not c.is_first and "
        ),
        "t.user_id",
    ),
    (
        "text",
        concat!(
            "select m.created_at as at, 'text' as kind, coalesce(m.direction, '')::text as what, m.id::text as id,
                    case m.direction when 'inbound' then 'member' else 'staff' end as by, m.body::text as text,
                    (select t.ticket_number::text from public.support_tickets t where t.id = m.ticket_id) as ticket_number,
                    m.twilio_sid::text as object, ",
            no_amounts!(),
            ", null::text as decided_by from public.sms_messages m where "
        ),
        "m.user_id",
    ),
    ("act", of_act!("ingest.audit_log a where "), NAMED_IN_ACT),
    (
        "act",
        of_act!(
            "public.support_tickets t cross join lateral (
                 select * from ingest.audit_log a where a.arguments ->> 'ticket_id' = t.id::text offset 0) a where "
        ),
        "t.user_id",
    ),
];

/// The event that made an entry `t`: the one that decided it, the one that decided the payment, the last one about the text
/// message, or the first of a login.
const EVENT_OF_ENTRY: &str = "
(select i.source, i.event_id from ingest.events i
 where i.source in ('stripe', 'supabase.database', 'internal') and i.event_id = t.decided_by limit 1)
union all
(select i.source, i.event_id from ingest.payments p
 cross join lateral (
     (select p.id as object, 0 as place)
     union all
     (select l.other, 1 from ingest.stripe_links l where l.id = p.id offset 0)
 ) o
 cross join lateral (
     select f.event_id, f.occurred_at from ingest.stripe_facts f where f.id = o.object offset 0
 ) f
 cross join lateral (
     select i.source, i.event_id from ingest.events i
     where i.source in ('stripe', 'internal') and i.event_id = f.event_id offset 0
 ) i
 where p.history_id = t.history_id order by o.place, f.occurred_at desc limit 1)
union all
(select i.source, i.event_id from ingest.events i
 where t.kind = 'text' and i.subject = t.object order by i.occurred_at desc limit 1)
union all
(select source, event_id from ingest.events
 where t.kind = 'login' and occurred_at between t.at - interval '1 hour' and t.at + interval '1 day' and ";

const EVENT_OF_LOGIN: &str =
    " and position(convert_to(t.id, 'UTF8') in body) > 0 order by occurred_at limit 1) limit 1";
