//! Rows of `payment_history` that no event has reported: payments from before memberflow.

use sqlx::types::Json;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::pages::Page;
use super::progress::PageTask;
use super::tables::Table;
use super::users::event;
use crate::project::internal::{ImportedPayments, Internal};
use crate::project::stripe::{ImportedPayment, StripeObject};
use crate::store::decoded_batch::PREEXISTING_CUSTOMER_PREFIX;
use crate::store::{StoreSettings, apply};

/// Rows reported by one event: their users' rows are derived with them.
const ROWS: i64 = 500;

/// A row of `payment_history`, and what is known of it.
#[derive(FromRow)]
struct PaymentRow {
    id: Uuid,
    /// `None`: the user was deleted, and the application keeps the row.
    user_id: Option<Uuid>,
    invoice: Option<String>,
    payment_intent: Option<String>,
    status: String,
    amount: i64,
    currency: String,
    paid_at: Option<OffsetDateTime>,
    created_at: Option<OffsetDateTime>,
    is_reported: bool,
    /// The fact of its import, if it was imported before.
    state: Option<Json<StripeObject>>,
    /// Whether its deletion was reported; `None`: it was not imported.
    #[sqlx(rename = "final")]
    is_final: Option<bool>,
}

/// A page of rows whose payment Stripe has not reported, if they are new or changed.
pub(in crate::store) async fn import(
    tx: &mut PgConnection,
    task: &PageTask,
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<Page, sqlx::Error> {
    if Table::find(tx, "public.payment_history").await?.is_none() {
        return Ok(Page::unreadable());
    }
    let rows: Vec<PaymentRow> = sqlx::query_as(
        "select h.id, h.user_id, nullif(btrim(h.stripe_invoice_id), '') as invoice,
                nullif(btrim(h.stripe_payment_intent_id), '') as payment_intent, h.status, h.amount::bigint as amount,
                lower(coalesce(nullif(btrim(h.currency), ''), 'usd')) as currency, h.paid_at, h.created_at,
                exists (select from ingest.payments p where p.history_id = h.id) as is_reported, f.state, f.final
         from (select * from public.payment_history h
               where ($1::text is null or h.id > $1::text::uuid) order by h.id limit $2) h
         left join ingest.stripe_facts f on f.id = 'found/' || h.id
         order by h.id",
    )
    .bind(&task.position)
    .bind(ROWS)
    .fetch_all(&mut *tx)
    .await?;
    let mut page = Page { rows: i64::try_from(rows.len()).unwrap_or(i64::MAX), ..Page::default() };
    let mut found = Vec::new();
    for row in rows {
        page.next = (page.rows == ROWS).then(|| row.id.to_string());
        page.reported_deleted += i64::from(row.is_final == Some(true));
        found.extend(row.new_payment());
    }
    page.found = i64::try_from(found.len()).unwrap_or(i64::MAX);
    report(tx, task, ImportedPayments { rows: found, deleted: Vec::new() }, settings, now).await?;
    Ok(page)
}

impl PaymentRow {
    /// The payment, unless it is known already or nobody's.
    fn new_payment(self) -> Option<ImportedPayment> {
        if self.is_reported || self.is_final == Some(true) {
            return None;
        }
        let payment = ImportedPayment {
            id: format!("found/{}", self.id),
            customer: format!("{PREEXISTING_CUSTOMER_PREFIX}{}", self.user_id?),
            invoice: self.invoice,
            payment_intent: self.payment_intent,
            status: self.status,
            currency: self.currency,
            amount: self.amount,
            paid_at: self.paid_at.map(OffsetDateTime::unix_timestamp),
            created: self.created_at.map_or(0, OffsetDateTime::unix_timestamp),
        };
        let is_known =
            self.state.is_some_and(|Json(known)| known == StripeObject::ImportedPayment(payment.clone()));
        (!is_known).then_some(payment)
    }
}

/// Imported payments whose rows have been deleted since.
pub(in crate::store) async fn deleted(
    tx: &mut PgConnection,
    task: &PageTask,
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<Page, sqlx::Error> {
    if Table::find(tx, "public.payment_history").await?.is_none() {
        return Ok(Page::unreadable());
    }
    let states: Vec<Json<StripeObject>> = sqlx::query_scalar(
        "select state from ingest.stripe_facts f
         where kind = 'found_payment' and not final and ($1::text is null or id > $1)
           and not exists (
               select from public.payment_history h where h.id = substr(f.id, length('found/') + 1)::uuid)
         order by id limit $2",
    )
    .bind(&task.position)
    .bind(ROWS)
    .fetch_all(&mut *tx)
    .await?;
    let payment = |Json(state)| if let StripeObject::ImportedPayment(it) = state { Some(it) } else { None };
    let deleted: Vec<ImportedPayment> = states.into_iter().filter_map(payment).collect();
    let found = i64::try_from(deleted.len()).unwrap_or(i64::MAX);
    let next = deleted.last().filter(|_| found == ROWS).map(|payment| payment.id.clone());
    report(tx, task, ImportedPayments { rows: Vec::new(), deleted }, settings, now).await?;
    Ok(Page { rows: found, found, next, ..Page::default() })
}

async fn report(
    tx: &mut PgConnection,
    task: &PageTask,
    found: ImportedPayments,
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let Some(first) = found.rows.iter().chain(&found.deleted).next() else { return Ok(()) };
    let event_id = format!("{}{}", task.prefix(), first.id);
    let event = event(task, event_id, "found_payments", &Internal::ImportedPayments(found))?;
    apply::apply_internal(tx, &[event], settings, now).await
}
