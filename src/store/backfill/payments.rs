//! Rows of `payment_history` that no event has reported: payments from before memberflow.

use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::pages::Page;
use super::run::Turn;
use super::tables::Table;
use super::users::event;
use crate::project::internal::{ImportedPayments, Internal};
use crate::project::stripe::{ImportedPayment, StripeObject};
use crate::store::decoded_batch::PREEXISTING_USER;
use crate::store::{Rules, apply};

/// Rows reported by one event: their users' rows are derived with them.
const ROWS: i64 = 500;

/// A page of rows whose payment Stripe has not reported, if they are new or changed.
pub(in crate::store) async fn present(
    tx: &mut PgConnection,
    turn: &Turn,
    rules: &Rules,
    now: OffsetDateTime,
) -> Result<Page, sqlx::Error> {
    if Table::find(tx, "public.payment_history").await?.is_none() {
        return Ok(Page::unreadable());
    }
    let rows = sqlx::query(
        "select h.id, h.user_id, nullif(btrim(h.stripe_invoice_id), '') as invoice,
                nullif(btrim(h.stripe_payment_intent_id), '') as intent, h.status, h.amount::bigint as amount,
                lower(coalesce(nullif(btrim(h.currency), ''), 'usd')) as currency, h.paid_at, h.created_at,
                exists (select from ingest.payments p where p.history_id = h.id) as is_reported, f.state, f.final
         from (select * from public.payment_history h
               where ($1::text is null or h.id > $1::text::uuid) order by h.id limit $2) h
         left join ingest.stripe_facts f on f.id = 'found/' || h.id
         order by h.id",
    )
    .bind(&turn.position)
    .bind(ROWS)
    .fetch_all(&mut *tx)
    .await?;
    let mut page = Page { rows: i64::try_from(rows.len()).unwrap_or(i64::MAX), ..Page::default() };
    let mut found = Vec::new();
    for row in &rows {
        let id: Uuid = row.try_get("id")?;
        page.next = (page.rows == ROWS).then(|| id.to_string());
        page.reported_gone += i64::from(row.try_get::<Option<bool>, _>("final")?.unwrap_or(false));
        found.extend(new_payment(id, row)?);
    }
    page.found = i64::try_from(found.len()).unwrap_or(i64::MAX);
    report(tx, turn, ImportedPayments { rows: found, gone: Vec::new() }, rules, now).await?;
    Ok(page)
}

/// The payment of the row, unless it is known already.
fn new_payment(id: Uuid, row: &PgRow) -> Result<Option<ImportedPayment>, sqlx::Error> {
    let known: Option<Json<StripeObject>> = row.try_get("state")?;
    if row.try_get("is_reported")? || row.try_get::<Option<bool>, _>("final")? == Some(true) {
        return Ok(None);
    }
    let user: Uuid = row.try_get("user_id")?;
    let seconds = |column| {
        row.try_get::<Option<OffsetDateTime>, _>(column).map(|at| at.map(OffsetDateTime::unix_timestamp))
    };
    let payment = ImportedPayment {
        id: format!("found/{id}"),
        customer: format!("{PREEXISTING_USER}{user}"),
        invoice: row.try_get("invoice")?,
        payment_intent: row.try_get("intent")?,
        status: row.try_get("status")?,
        currency: row.try_get("currency")?,
        amount: row.try_get("amount")?,
        paid_at: seconds("paid_at")?,
        created: seconds("created_at")?.unwrap_or(0),
    };
    let is_known = known.is_some_and(|Json(known)| known == StripeObject::ImportedPayment(payment.clone()));
    Ok((!is_known).then_some(payment))
}

/// Imported payments whose rows have been deleted since.
pub(in crate::store) async fn gone(
    tx: &mut PgConnection,
    turn: &Turn,
    rules: &Rules,
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
    .bind(&turn.position)
    .bind(ROWS)
    .fetch_all(&mut *tx)
    .await?;
    let payment = |Json(state)| if let StripeObject::ImportedPayment(it) = state { Some(it) } else { None };
    let gone: Vec<ImportedPayment> = states.into_iter().filter_map(payment).collect();
    let found = i64::try_from(gone.len()).unwrap_or(i64::MAX);
    let next = gone.last().filter(|_| found == ROWS).map(|payment| payment.id.clone());
    report(tx, turn, ImportedPayments { rows: Vec::new(), gone }, rules, now).await?;
    Ok(Page { rows: found, found, next, ..Page::default() })
}

async fn report(
    tx: &mut PgConnection,
    turn: &Turn,
    found: ImportedPayments,
    rules: &Rules,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let Some(first) = found.rows.iter().chain(&found.gone).next() else { return Ok(()) };
    let event_id = format!("{}{}", turn.prefix(), first.id);
    let event = event(turn, event_id, "found_payments", &Internal::ImportedPayments(found))?;
    apply::apply_internal(tx, &[event], rules, now).await
}
