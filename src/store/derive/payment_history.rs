//! `payment_history`: the payments of known users.

use std::collections::{BTreeSet, HashMap};

use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::{delete_unreferenced, preexisting_payments};
use crate::project::internal::IMPORT_PREFIX;
use crate::project::payments::Payment;
use crate::store::from_unix_seconds;
use crate::store::parked::{Parked, Reason};
use crate::store::resolve::payments::{ChangedPayments, public_row_id};

/// A payment with its row's id and its user.
pub(in crate::store) struct OwnedPayment {
    pub payment: Payment,
    pub history_id: Uuid,
    pub user_id: Uuid,
}

/// The outcome.
#[derive(Debug, Default)]
pub struct Written {
    /// The checked payments that are larger than a four-byte integer.
    pub exceeding_int4: Vec<String>,
    /// Those too large for the column of an older table.
    pub too_large: Vec<Parked>,
}

/// Writes the rows of `changes`, and all rows of the customers in `force_rewrite`, for those whose user
/// exists (`owners`).
pub async fn write(
    tx: &mut PgConnection,
    changes: &ChangedPayments,
    force_rewrite: &BTreeSet<String>,
    owners: &HashMap<String, Uuid>,
) -> Result<Written, sqlx::Error> {
    // First: the payment intent may move to another row, and a row of ours must not be mistaken for a
    // pre-existing one. A pre-existing row stays: the invoice that the payment belongs to now adopts it.
    let ours: Vec<Uuid> = changes.removed.iter().map(|payment| public_row_id(&payment.id)).collect();
    delete_unreferenced::delete(tx, delete_unreferenced::PAYMENT, &ours).await?;
    delete_unowned(tx, changes, force_rewrite, owners).await?;

    let mut rows = load(tx, changes, force_rewrite, owners).await?;
    let exceeding_int4: Vec<String> =
        rows.iter().filter(|row| row.payment.exceeds_int4()).map(|row| row.payment.id.clone()).collect();
    if exceeding_int4.is_empty() && upsert(tx, &rows, Conflicts::Unknown).await? {
        return Ok(Written::default());
    }
    preexisting_payments::adopt(tx, &mut rows).await?;
    let too_large = park_too_large(tx, &mut rows).await?;
    preexisting_payments::release_payment_intents(tx, &rows).await?;
    upsert(tx, &rows, Conflicts::Resolved).await?;
    Ok(Written { exceeding_int4, too_large })
}

/// Deletes rows of payments that have no user any more, for example because the user was deleted.
async fn delete_unowned(
    tx: &mut PgConnection,
    changes: &ChangedPayments,
    force_rewrite: &BTreeSet<String>,
    owners: &HashMap<String, Uuid>,
) -> Result<(), sqlx::Error> {
    let is_unowned = |customer: &String| !owners.contains_key(customer);
    let customers: Vec<&str> = force_rewrite.iter().filter(|it| is_unowned(it)).map(String::as_str).collect();
    let payments = changes.written.iter().filter(|payment| is_unowned(&payment.customer));
    let payments: Vec<&str> = payments.map(|payment| payment.id.as_str()).collect();
    if customers.is_empty() && payments.is_empty() {
        return Ok(());
    }
    let rows: Vec<Uuid> = sqlx::query_scalar(
        "select h.id from payments p join payment_history h on h.id = p.history_id where p.customer_id = any($1)
         union
         select h.id from payments p join payment_history h on h.id = p.history_id where p.id = any($2)",
    )
    .bind(customers)
    .bind(payments)
    .fetch_all(&mut *tx)
    .await?;
    delete_unreferenced::delete(tx, delete_unreferenced::PAYMENT, &rows).await
}

async fn load(
    tx: &mut PgConnection,
    changes: &ChangedPayments,
    force_rewrite: &BTreeSet<String>,
    owners: &HashMap<String, Uuid>,
) -> Result<Vec<OwnedPayment>, sqlx::Error> {
    let written = changes.written.iter().filter(|payment| !force_rewrite.contains(&payment.customer));
    let row = |payment: Payment, history_id| {
        // A pre-existing row stays as it is until an event reports the payment.
        let is_reported = !payment.id.starts_with(IMPORT_PREFIX);
        let user_id = owners.get(&payment.customer).copied().filter(|_| is_reported)?;
        Some(OwnedPayment { payment, history_id, user_id })
    };
    let mut owned: Vec<OwnedPayment> = written
        .filter_map(|payment| row(payment.clone(), *changes.payment_row_ids.get(&payment.id)?))
        .collect();
    let customers: Vec<&str> =
        force_rewrite.iter().filter(|it| owners.contains_key(*it)).map(String::as_str).collect();
    if customers.is_empty() {
        return Ok(owned);
    }
    let rows: Vec<(Uuid, Json<Payment>)> =
        sqlx::query_as("select history_id, state from payments where customer_id = any($1)")
            .bind(customers)
            .fetch_all(tx)
            .await?;
    owned.extend(rows.into_iter().filter_map(|(history_id, Json(payment))| row(payment, history_id)));
    Ok(owned)
}

async fn park_too_large(
    tx: &mut PgConnection,
    rows: &mut Vec<OwnedPayment>,
) -> Result<Vec<Parked>, sqlx::Error> {
    if !rows.iter().any(|row| row.payment.exceeds_int4()) {
        return Ok(Vec::new());
    }
    let narrow: bool = sqlx::query_scalar(
        "select exists (select from information_schema.columns
                        where table_schema = 'public' and table_name = 'payment_history'
                          and column_name = 'amount' and data_type = 'integer')",
    )
    .fetch_one(tx)
    .await?;
    if !narrow {
        return Ok(Vec::new());
    }
    Ok(rows
        .extract_if(.., |row| row.payment.exceeds_int4())
        .map(|row| Parked {
            subject: row.payment.id,
            reason: Reason::AmountOutOfRange,
            detail: format!("payment_history.amount is too narrow for {}", row.payment.collected),
        })
        .collect())
}

/// Whether another row may have the invoice or the payment intent of one that is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Conflicts {
    /// Perhaps: if one has, nothing is written.
    Unknown,
    /// What can be adopted is, and payment intents are released.
    Resolved,
}

/// Returns whether the rows were written. Possible conflicts are looked up by index, whatever the table statistics say.
async fn upsert(
    tx: &mut PgConnection,
    rows: &[OwnedPayment],
    conflicts: Conflicts,
) -> Result<bool, sqlx::Error> {
    if rows.is_empty() {
        return Ok(true);
    }
    let payments = || rows.iter().map(|row| &row.payment);
    let written = sqlx::query(
        "with written as materialized (
             select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[],
                                  $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[], $12::bigint[], $13::bigint[])
                 as n (id, user_id, subscription, intent, invoice, amount, currency, status, description, paid_at,
                       created_at, refunded, disputed)
         ), conflicting as materialized (
             select from written n
             cross join lateral (
                 (select h.id from payment_history h where h.stripe_invoice_id = n.invoice offset 0)
                 union all
                 (select h.id from payment_history h where h.stripe_payment_intent_id = n.intent offset 0)
             ) h
             where h.id <> n.id and not $14
         )
         insert into payment_history as h
             (id, user_id, subscription_id, stripe_payment_intent_id, stripe_invoice_id, amount, currency, status,
              description, paid_at, created_at, amount_refunded, amount_disputed)
         select n.id, n.user_id, s.id, n.intent, n.invoice, n.amount, n.currency, n.status, n.description, n.paid_at,
                n.created_at, n.refunded, n.disputed
         from written n left join customer_subscriptions s on s.stripe_subscription_id = n.subscription
         where not exists (select from conflicting)
         on conflict (id) do update set
             user_id = excluded.user_id, subscription_id = excluded.subscription_id,
             stripe_payment_intent_id = excluded.stripe_payment_intent_id,
             stripe_invoice_id = excluded.stripe_invoice_id, amount = excluded.amount, currency = excluded.currency,
             status = excluded.status, description = excluded.description, paid_at = excluded.paid_at,
             created_at = excluded.created_at, amount_refunded = excluded.amount_refunded,
             amount_disputed = excluded.amount_disputed",
    )
    .bind(rows.iter().map(|row| row.history_id).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.user_id).collect::<Vec<_>>())
    .bind(payments().map(|p| p.subscription.as_deref()).collect::<Vec<_>>())
    .bind(payments().map(|p| p.payment_intent.as_deref()).collect::<Vec<_>>())
    .bind(payments().map(|p| p.invoice.as_deref()).collect::<Vec<_>>())
    .bind(payments().map(|p| p.collected).collect::<Vec<_>>())
    .bind(payments().map(|p| p.currency.as_str()).collect::<Vec<_>>())
    .bind(payments().map(|p| p.status.as_str()).collect::<Vec<_>>())
    .bind(payments().map(|p| p.description.as_deref()).collect::<Vec<_>>())
    .bind(payments().map(|p| p.paid_at.map(from_unix_seconds)).collect::<Vec<_>>())
    .bind(payments().map(|p| from_unix_seconds(p.created)).collect::<Vec<_>>())
    .bind(payments().map(|p| p.refunded).collect::<Vec<_>>())
    .bind(payments().map(|p| p.disputed).collect::<Vec<_>>())
    .bind(conflicts == Conflicts::Resolved)
    .execute(tx)
    .await?;
    Ok(written.rows_affected() > 0)
}
