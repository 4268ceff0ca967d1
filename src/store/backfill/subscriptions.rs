//! Rows of `customer_subscriptions` that no event has reported: they say whose the customer is, and represent
//! the subscription until Stripe reports it.

use sqlx::PgConnection;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::pages::Page;
use super::run::Turn;
use super::tables::Table;
use super::users::event;
use crate::project::internal::{ImportedSubscription, Internal};
use crate::store::{Rules, apply};

/// Rows reported at once, each by its own event: the first row of a subscription counts.
const ROWS: i64 = 500;

/// Imports a page of rows.
pub(in crate::store) async fn present(
    tx: &mut PgConnection,
    turn: &Turn,
    rules: &Rules,
    now: OffsetDateTime,
) -> Result<Page, sqlx::Error> {
    if Table::find(tx, "public.customer_subscriptions").await?.is_none() {
        return Ok(Page::unreadable());
    }
    let rows = sqlx::query(
        "select id, user_id, stripe_customer_id, stripe_subscription_id, stripe_price_id, status::text,
                created_at, canceled_at, membership_tier_id,
                not exists (select from ingest.events i where i.source = 'internal' and i.event_id = 'found/' || s.id)
                and not exists (select from ingest.stripe_facts f where f.id = s.stripe_subscription_id) as is_new
         from public.customer_subscriptions s
         where ($1::text is null or id > $1::text::uuid) and stripe_customer_id <> ''
         order by id limit $2",
    )
    .bind(&turn.position)
    .bind(ROWS)
    .fetch_all(&mut *tx)
    .await?;
    let mut page = Page { rows: i64::try_from(rows.len()).unwrap_or(i64::MAX), ..Page::default() };
    let mut events = Vec::new();
    for row in &rows {
        let found = found(row)?;
        page.next = (page.rows == ROWS).then(|| found.id.to_string());
        if row.try_get("is_new")? {
            page.found += 1;
            events.push(event(
                turn,
                format!("found/{}", found.id),
                "found",
                &Internal::ImportedSubscription(found),
            )?);
        }
    }
    apply::apply_internal(tx, &events, rules, now).await?;
    Ok(page)
}

fn found(row: &PgRow) -> Result<ImportedSubscription, sqlx::Error> {
    let created: Option<OffsetDateTime> = row.try_get(6)?;
    let canceled: Option<OffsetDateTime> = row.try_get(7)?;
    let id: Uuid = row.try_get(0)?;
    Ok(ImportedSubscription {
        id,
        user_id: row.try_get(1)?,
        customer: row.try_get(2)?,
        subscription: row.try_get(3)?,
        price: row.try_get(4)?,
        tier: row.try_get(8)?,
        status: row.try_get(5)?,
        created: created.unwrap_or(OffsetDateTime::UNIX_EPOCH).unix_timestamp(),
        canceled_at: canceled.map(OffsetDateTime::unix_timestamp),
    })
}
