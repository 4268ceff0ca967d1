//! The lists apart from their pages: had whole as files, and counted.

mod columns;
pub(super) mod counted;
pub(super) mod export;

use axum::http::Uri;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgPool;
use time::OffsetDateTime;

use super::html::error::PageError;
use super::html::query;
use super::state::Console;
use super::{
    audit as audit_page, campaigns as campaigns_page, events as events_page, members as members_page,
    messages as messages_page, parked as parked_page, revenue, tickets as tickets_page,
};
use crate::config::console_roles::ConsoleRole;
use crate::ops::ledger::{self, Cell, CohortMonth};
use crate::ops::page::{Count, MAX_LIMIT};
use crate::ops::{audit, campaigns, dead_letters, events, members, messages, parked, tickets};

/// Where each list is, below `/console`.
pub(super) const LISTS: [&str; 10] = [
    "members",
    "events",
    "dead-letters",
    "parked",
    "tickets",
    "messages",
    "campaigns",
    "revenue/movements",
    "revenue/cohort",
    "audit",
];

/// A list and its filter.
enum List {
    Members(members::PageRequest),
    Events(events::Filter),
    DeadLetters(dead_letters::Selection),
    Parked(parked::Filter),
    Tickets(tickets::Filter),
    Messages(messages::Filter),
    /// In this status.
    Campaigns(Option<String>),
    Movements(Cell),
    Cohort(CohortMonth),
    Acts(audit::Filter),
}

/// Rows as the API has them, and where the next ones begin.
struct Rows {
    rows: Vec<Value>,
    next: Option<String>,
}

impl Rows {
    fn of<T: Serialize>(rows: &[T], next: Option<String>) -> Self {
        Self { rows: rows.iter().map(|row| json!(row)).collect(), next }
    }
}

/// The query string of the dead letters; their page is that of all events.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DeadLetterParams {
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    reason: String,
    since: String,
    until: String,
}

impl DeadLetterParams {
    fn filters(&self) -> [(&'static str, &str); 5] {
        [
            ("source", &self.source),
            ("type", &self.event_type),
            ("reason", &self.reason),
            ("since", &self.since),
            ("until", &self.until),
        ]
    }

    fn selection(&self) -> Result<dead_letters::Selection, PageError> {
        Ok(dead_letters::Selection {
            source: query::text("source", &self.source)?,
            event_type: query::text("type", &self.event_type)?,
            reason: query::text("reason", &self.reason)?,
            since: query::moment("since", &self.since)?,
            until: query::moment("until", &self.until)?,
            ..dead_letters::Selection::default()
        })
    }
}

impl List {
    /// The list whose file or count is at this address, with its filter, and as the audit log keeps that.
    fn at(uri: &Uri, now: OffsetDateTime) -> Result<(Self, Value), PageError> {
        let path = uri.path().trim_start_matches("/console/");
        let (list, _) = path.split_once('.').ok_or(PageError::NotFound)?;
        Ok(match list {
            "members" => {
                let params: members_page::Params = query::parse(uri)?;
                (Self::Members(params.request(MAX_LIMIT)?), query::audited(&params.filters()))
            }
            "events" => {
                let params: events_page::list::Params = query::parse(uri)?;
                (Self::Events(params.filter(now)?), query::audited(&params.filters()))
            }
            "dead-letters" => {
                let params: DeadLetterParams = query::parse(uri)?;
                (Self::DeadLetters(params.selection()?), query::audited(&params.filters()))
            }
            "parked" => {
                let params: parked_page::Params = query::parse(uri)?;
                (Self::Parked(params.filter()?), query::audited(&params.filters()))
            }
            "tickets" => {
                let params: tickets_page::Params = query::parse(uri)?;
                (Self::Tickets(params.filter()?), query::audited(&params.filters()))
            }
            "messages" => {
                let params: messages_page::Params = query::parse(uri)?;
                (Self::Messages(params.filter()?), query::audited(&params.filters()))
            }
            "campaigns" => {
                let params: campaigns_page::Params = query::parse(uri)?;
                (Self::Campaigns(params.status()?), query::audited(&params.filters()))
            }
            "revenue/movements" => {
                let params: revenue::movements::Params = query::parse(uri)?;
                (Self::Movements(params.cell()?), query::audited(&params.filters()))
            }
            "revenue/cohort" => {
                let params: revenue::cohort::Params = query::parse(uri)?;
                (Self::Cohort(params.cohort()?), query::audited(&params.filters()))
            }
            "audit" => {
                let params: audit_page::Params = query::parse(uri)?;
                (Self::Acts(params.filter()?), query::audited(&params.filters()))
            }
            _ => return Err(PageError::NotFound),
        })
    }

    /// Who may have it: who sees its page.
    const fn least(&self) -> ConsoleRole {
        match self {
            Self::Acts(_) => ConsoleRole::Admin,
            _ => ConsoleRole::Viewer,
        }
    }

    /// The fields of a CSV file.
    const fn columns(&self) -> &'static [&'static str] {
        match self {
            Self::Members(_) => columns::MEMBERS,
            Self::Events(_) => columns::EVENTS,
            Self::DeadLetters(_) => columns::DEAD_LETTERS,
            Self::Parked(_) => columns::PARKED,
            Self::Tickets(_) => columns::TICKETS,
            Self::Messages(_) => columns::MESSAGES,
            Self::Campaigns(_) => columns::CAMPAIGNS,
            Self::Movements(_) => columns::MOVEMENTS,
            Self::Cohort(_) => columns::COHORT,
            Self::Acts(_) => columns::ACTS,
        }
    }

    async fn page(&self, console: &Console, cursor: Option<String>) -> Result<Rows, PageError> {
        let (pool, after) = (console.pool(), cursor.as_deref());
        Ok(match self {
            Self::Members(request) => {
                let request = members::PageRequest { cursor, ..request.clone() };
                let page = members::list(pool, &request, console.now()).await?;
                Rows::of(&page.members, page.next_cursor)
            }
            Self::Events(filter) => {
                let page = events::list(pool, filter, after, MAX_LIMIT).await?;
                Rows::of(&page.events, page.next_cursor)
            }
            Self::DeadLetters(selection) => {
                let page = dead_letters::page(pool, selection, after, MAX_LIMIT).await?;
                Rows::of(&page.dead_letters, page.next_cursor)
            }
            Self::Parked(filter) => {
                let page = parked::page(pool, filter, after, MAX_LIMIT).await?;
                Rows::of(&page.parked, page.next_cursor)
            }
            Self::Tickets(filter) => {
                let page = tickets::list(pool, filter, after, MAX_LIMIT).await?;
                Rows::of(&page.tickets, page.next_cursor)
            }
            Self::Messages(filter) => {
                let page = messages::list(pool, filter, after, MAX_LIMIT).await?;
                Rows::of(&page.messages, page.next_cursor)
            }
            Self::Campaigns(status) => {
                let page = campaigns::list(pool, status.as_deref(), after, MAX_LIMIT).await?;
                Rows::of(&page.campaigns, page.next_after)
            }
            Self::Movements(cell) => {
                let page = ledger::movements(pool, cell, after, MAX_LIMIT).await?;
                Rows::of(&page.movements, page.next_cursor)
            }
            Self::Cohort(cohort) => {
                let page = ledger::cohort_customers(pool, cohort, after, MAX_LIMIT).await?;
                Rows::of(&page.customers, page.next_cursor)
            }
            Self::Acts(filter) => {
                let page = audit::list(pool, filter, after, MAX_LIMIT).await?;
                Rows::of(&page.acts, page.next_cursor)
            }
        })
    }

    /// How many rows match, and of movements how many customers; `None` if counting takes too long.
    async fn count(&self, pool: &PgPool) -> Result<(Option<Count>, Option<Count>), PageError> {
        let count = match self {
            Self::Members(request) => members::count(pool, &request.filter).await?,
            Self::Events(filter) => events::count(pool, filter).await?,
            Self::DeadLetters(selection) => dead_letters::capped_count(pool, selection).await?,
            Self::Parked(filter) => parked::count(pool, filter).await?,
            Self::Tickets(filter) => tickets::count(pool, filter).await?,
            Self::Messages(filter) => messages::count(pool, filter).await?,
            Self::Campaigns(status) => campaigns::count(pool, status.as_deref()).await?,
            Self::Movements(cell) => {
                let movements = ledger::count_movements(pool, cell).await?;
                let customers = ledger::count_customers(pool, cell).await?;
                // Of more movements than are counted there may be more customers.
                let is_capped = movements.is_some_and(|count| count.is_capped);
                let customers =
                    customers.map(|count| Count { is_capped: count.is_capped || is_capped, ..count });
                return Ok((movements, customers));
            }
            Self::Cohort(cohort) => ledger::count_cohort(pool, cohort).await?,
            Self::Acts(filter) => audit::count(pool, filter).await?,
        };
        Ok((count, None))
    }
}
