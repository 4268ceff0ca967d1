//! Rows of `customer_subscriptions` that no event has reported: they say whose the customer is, and represent
//! the subscription until Stripe reports it.

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::pages::Page;
use super::progress::PageTask;
use super::tables::Table;
use super::users::event;
use crate::project::internal::{ImportedSubscription, Internal};
use crate::store::{StoreSettings, apply};

/// Rows reported at once, each by its own event: the first row of a subscription counts.
const ROWS: i64 = 500;

/// A row of `customer_subscriptions`, and whether neither it nor its subscription is known.
#[derive(FromRow)]
struct SubscriptionRow {
    id: Uuid,
    user_id: Uuid,
    stripe_customer_id: String,
    stripe_subscription_id: Option<String>,
    stripe_price_id: Option<String>,
    status: String,
    created_at: Option<OffsetDateTime>,
    canceled_at: Option<OffsetDateTime>,
    membership_tier_id: Option<Uuid>,
    is_new: bool,
}

/// Imports a page of rows.
pub(in crate::store) async fn import(
    tx: &mut PgConnection,
    task: &PageTask,
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<Page, sqlx::Error> {
    if Table::find(tx, "public.customer_subscriptions").await?.is_none() {
        return Ok(Page::unreadable());
    }
    let rows: Vec<SubscriptionRow> = sqlx::query_as(
        "select id, user_id, stripe_customer_id, stripe_subscription_id, stripe_price_id, status::text,
                created_at, canceled_at, membership_tier_id,
                not exists (select from ingest.events i where i.source = 'internal' and i.event_id = 'found/' || s.id)
                and not exists (select from ingest.stripe_facts f where f.id = s.stripe_subscription_id) as is_new
         from public.customer_subscriptions s
         where ($1::text is null or id > $1::text::uuid) and stripe_customer_id <> ''
         order by id limit $2",
    )
    .bind(&task.position)
    .bind(ROWS)
    .fetch_all(&mut *tx)
    .await?;
    let mut page = Page { rows: i64::try_from(rows.len()).unwrap_or(i64::MAX), ..Page::default() };
    let mut events = Vec::new();
    for row in rows {
        page.next = (page.rows == ROWS).then(|| row.id.to_string());
        if row.is_new {
            page.found += 1;
            let event_id = format!("found/{}", row.id);
            events.push(event(task, event_id, "found", &Internal::ImportedSubscription(row.into()))?);
        }
    }
    apply::apply_internal(tx, &events, settings, now).await?;
    Ok(page)
}

impl From<SubscriptionRow> for ImportedSubscription {
    fn from(row: SubscriptionRow) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            customer: row.stripe_customer_id,
            subscription: row.stripe_subscription_id,
            price: row.stripe_price_id,
            tier: row.membership_tier_id,
            status: row.status,
            created: row.created_at.map_or(0, OffsetDateTime::unix_timestamp),
            canceled_at: row.canceled_at.map(OffsetDateTime::unix_timestamp),
        }
    }
}
