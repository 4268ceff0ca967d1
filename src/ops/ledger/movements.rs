//! The movements behind a sum of the waterfall, a page at a time, the newest first.

use serde::Serialize;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Month, Movement, sums};
use crate::ops::page::{self, Count, Neighbours, PageError};
use crate::project::movements::Kind;

/// What a movement can be.
pub const KINDS: [&str; 5] = [
    Kind::New.as_str(),
    Kind::Expansion.as_str(),
    Kind::Contraction.as_str(),
    Kind::Churn.as_str(),
    Kind::Reactivation.as_str(),
];

/// A sum of the waterfall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Its code, in lower case.
    pub currency: String,
    /// In UTC.
    pub month: Month,
    /// One of [`KINDS`].
    pub kind: String,
    /// As it was known then; none: as it is known now.
    pub known_at: Option<OffsetDateTime>,
}

/// A movement, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = ListedMrrMovement)]
pub struct Listed {
    #[serde(skip)]
    id: i64,
    /// None while the user is unknown, and after the user was deleted.
    pub user_id: Option<Uuid>,
    /// The user's address.
    pub email: Option<String>,
    /// Where the event came from that made the movement, if it is there.
    pub cause_source: Option<String>,
    /// What changed.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub movement: Movement,
}

/// Some movements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = MrrMovementPage)]
pub struct Page {
    /// The newest first.
    pub movements: Vec<Listed>,
    /// Asks for the next page; none on the last.
    pub next_cursor: Option<String>,
    /// Asks for the page before; none on the first.
    pub prev_cursor: Option<String>,
    /// How many match; only where that was asked for, and could be counted within a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
    /// Whose they are: how many customers, likewise, of at most 10,000 movements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customers: Option<Count>,
}

/// One page of the movements behind `cell`, after `cursor`, at most `limit`. Each page is read by index, however many
/// movements there are.
///
/// # Errors
/// If the cursor or the limit is invalid, or the database does not answer.
pub async fn movements(
    pool: &PgPool,
    cell: &Cell,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page, PageError> {
    let limit = page::checked(limit)?;
    let mut query = QueryBuilder::new(
        "select m.id, m.user_id, (select u.email::text from auth.users u where u.id = m.user_id) as email,
                m.customer_id, m.currency, m.effective_at, m.recorded_at, m.kind, m.delta, m.mrr_before, m.mrr_after,
                m.cause_event_id,
                (select e.source from ingest.events e
                 where e.source in ('stripe', 'internal') and e.event_id = m.cause_event_id limit 1) as cause_source
         from (",
    );
    cell.push(&mut query);
    let seek = page::push_seek_by_moment(&mut query, "effective_at", cursor, limit)?;
    let (_, order) = seek.unwrap_or_default().descending();
    query.push(") m order by m.effective_at").push(order).push(", m.id").push(order);
    let mut movements: Vec<Listed> = query.build_query_as().fetch_all(pool).await?;
    let place = |it: &Listed| [page::from_moment(it.movement.effective_at), it.id.to_string()];
    let Neighbours { next, prev } = page::paginate(&mut movements, limit, seek, place);
    Ok(Page { movements, next_cursor: next, prev_cursor: prev, count: None, customers: None })
}

/// How many movements there are behind `cell`; `None` if counting takes too long.
pub async fn count_movements(pool: &PgPool, cell: &Cell) -> Result<Option<Count>, sqlx::Error> {
    let mut query = page::counting();
    cell.push(&mut query);
    page::count(pool, query).await
}

/// How many customers the movements behind `cell` are of, as far as these are counted; `None` if that takes too long.
///
/// # Errors
/// Whatever the database says.
pub async fn count_customers(pool: &PgPool, cell: &Cell) -> Result<Option<Count>, sqlx::Error> {
    let mut query = page::counting();
    query.push("select distinct customer_id from (");
    cell.push(&mut query);
    page::push_cap(&mut query);
    query.push(") movements");
    page::count(pool, query).await
}

impl Cell {
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        query.push("select * from public.mrr_movements where currency = ").push_bind(self.currency.clone());
        query.push(" and kind = ").push_bind(self.kind.clone());
        query.push(" and effective_at >= ").push_bind(self.month.begin());
        if let Some(next) = self.month.plus(1) {
            query.push(" and effective_at < ").push_bind(next.begin());
        }
        sums::push_current(query, self.known_at);
    }
}
