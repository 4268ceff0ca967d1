//! Text messages by page, the newest first: all, or those with one number.

use serde::Serialize;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::page::{self, Count, Neighbours, PageError};

/// What a status can be.
pub const STATUSES: [&str; 5] = ["queued", "sent", "delivered", "failed", "received"];
/// The directions of messages.
pub const DIRECTIONS: [&str; 2] = ["inbound", "outbound"];

/// One text message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = TextMessage)]
pub struct Message {
    /// `sms_messages.id`
    pub id: Uuid,
    /// `inbound` or `outbound`.
    pub direction: Option<String>,
    /// The number of the member, lead or stranger.
    pub number: Option<String>,
    /// Our own number.
    pub our_number: Option<String>,
    /// The text.
    pub body: Option<String>,
    /// One of [`STATUSES`].
    pub status: Option<String>,
    /// Twilio's own word for it.
    pub twilio_status: Option<String>,
    /// Twilio's error code.
    pub error_code: Option<i32>,
    /// What went wrong.
    pub error_message: Option<String>,
    /// The member.
    pub user_id: Option<Uuid>,
    /// The member's address.
    pub email: Option<String>,
    /// The lead.
    pub lead_id: Option<Uuid>,
    /// The ticket that it belongs to.
    pub ticket_number: Option<String>,
    /// When it was written.
    #[serde(with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
}

/// Conditions that all must hold; an absent one always does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// One of [`STATUSES`].
    pub status: Option<String>,
    /// One of [`DIRECTIONS`].
    pub direction: Option<String>,
    /// With this number, as E.164 writes it; spaces, brackets and hyphens count for nothing.
    pub number: Option<String>,
    /// Of this member.
    pub member: Option<Uuid>,
    /// Written since then.
    pub since: Option<OffsetDateTime>,
    /// Written before then.
    pub until: Option<OffsetDateTime>,
}

/// Some messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = TextMessagePage)]
pub struct Page {
    /// The newest first.
    pub messages: Vec<Message>,
    /// Where the next page continues; none on the last one.
    pub next_cursor: Option<String>,
    /// Where the page before continues; none on the first one.
    pub prev_cursor: Option<String>,
    /// How many match; only where that was asked for, and could be counted within a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
}

/// The number that is not ours, as an index has it.
const NUMBER: &str = "case when m.direction = 'inbound' then m.from_number else m.to_number end";
/// What the list is sorted by before the id, as an index has it.
const MOMENT: &str = "coalesce(m.created_at, '-infinity'::timestamptz)";

const COLUMNS: &str = "
select m.id, m.direction::text as direction,
       (case when m.direction = 'inbound' then m.from_number else m.to_number end)::text as number,
       (case when m.direction = 'inbound' then m.to_number else m.from_number end)::text as our_number,
       m.body::text as body, m.status::text as status, m.twilio_status, m.error_code,
       m.error_message::text as error_message, m.user_id, u.email::text as email, m.lead_id,
       t.ticket_number::text as ticket_number, m.created_at
from public.sms_messages m
left join auth.users u on u.id = m.user_id
left join public.support_tickets t on t.id = m.ticket_id
where true";

/// One page of the messages that match `filter`, after `cursor`, at most `limit`.
///
/// # Errors
/// The cursor or the limit makes no sense, or the database does not answer.
pub async fn list(
    pool: &PgPool,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page, PageError> {
    let limit = page::checked(limit)?;
    let from = cursor.map(page::decode).transpose()?;
    let seek = from.as_ref().map(|(seek, _)| *seek);
    let (beyond, order) = seek.unwrap_or_default().descending();
    let mut query = QueryBuilder::new(COLUMNS);
    filter.push(&mut query);
    if let Some((_, [moment, id])) = from {
        let moment = Some(moment.as_str()).filter(|part| !part.is_empty());
        let id: Uuid = id.parse().map_err(|_| PageError::Cursor)?;
        query.push(" and (").push(MOMENT).push(", m.id)").push(beyond).push("(coalesce(");
        query.push_bind(moment.map(page::to_moment).transpose()?);
        query.push(", '-infinity'::timestamptz), ").push_bind(id).push(")");
    }
    query.push(" order by ").push(MOMENT).push(order).push(", m.id").push(order);
    query.push(" limit ").push_bind(page::one_more(limit));
    // Not a prepared statement: the best index depends on how rare the filters' values are.
    let mut messages: Vec<Message> = query.build_query_as().persistent(false).fetch_all(pool).await?;
    let Neighbours { next, prev } = page::paginate(&mut messages, limit, seek, |message| {
        [message.created_at.map(page::from_moment).unwrap_or_default(), message.id.to_string()]
    });
    Ok(Page { messages, next_cursor: next, prev_cursor: prev, count: None })
}

/// How many messages match `filter`; `None` if counting takes too long.
pub async fn count(pool: &PgPool, filter: &Filter) -> Result<Option<Count>, sqlx::Error> {
    let mut query = page::counting();
    query.push(COLUMNS);
    filter.push(&mut query);
    page::count(pool, query).await
}

impl Filter {
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        // In a `case`, which Postgres assumes to be often true: no index covers these conditions, and the list should be
        // read in its order until the page is full.
        for (column, value) in [("m.status", &self.status), ("m.direction", &self.direction)] {
            if let Some(value) = value {
                query.push(" and case ").push(column).push("::text when ").push_bind(value.clone());
                query.push(" then true else false end");
            }
        }
        if let Some(number) = &self.number {
            query.push(" and (").push(NUMBER).push(") = ").push_bind(plain(number));
        }
        if let Some(member) = self.member {
            query.push(" and m.user_id = ").push_bind(member);
        }
        for (bound, moment) in [(" >= ", self.since), (" < ", self.until)] {
            if let Some(moment) = moment {
                query.push(" and ").push(MOMENT).push(bound).push_bind(moment);
            }
        }
    }
}

/// A number without separators.
fn plain(number: &str) -> String {
    number.chars().filter(|character| !" ()-.\u{a0}".contains(*character)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_between_digits_are_ignored() {
        assert_eq!(plain("+1 (555) 010-0001"), "+15550100001");
    }
}
