//! Pre-existing rows of `payment_history`: one that is about a known payment is adopted as its row, with its
//! id and the application's columns, instead of inserting another.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::delete_unreferenced;
use super::payment_history::OwnedPayment;
use crate::store::resolve::payments::public_row_id;

/// Adopts for each payment the pre-existing row that has its invoice, else its payment intent. The order of
/// reports does not matter: a row of ours is replaced.
pub(in crate::store) async fn adopt(
    tx: &mut PgConnection,
    rows: &mut [OwnedPayment],
) -> Result<(), sqlx::Error> {
    let ours = || rows.iter().filter(|row| row.history_id == public_row_id(&row.payment.id));
    if ours().next().is_none() {
        return Ok(());
    }
    let adopted: Vec<(String, Uuid)> = sqlx::query_as(
        "with ours as (
             select * from unnest($1::text[], $2::text[], $3::text[]) as o (id, invoice, intent)
         ), candidates as (
             select o.id, h.id as history_id, coalesce(h.stripe_invoice_id = o.invoice, false) as by_invoice, h.created_at
             from ours o join payment_history h
               on h.stripe_invoice_id = o.invoice or h.stripe_payment_intent_id = o.intent
             where not exists (select from payments p where p.history_id = h.id)
         ), one_payment_each as (
             select distinct on (history_id) * from candidates order by history_id, by_invoice desc, id
         ), one_row_each as (
             select distinct on (id) id, history_id from one_payment_each
             order by id, by_invoice desc, created_at, history_id
         )
         update payments p set history_id = o.history_id from one_row_each o where p.id = o.id
         returning p.id, p.history_id",
    )
    .bind(ours().map(|row| row.payment.id.as_str()).collect::<Vec<_>>())
    .bind(ours().map(|row| row.payment.invoice.as_deref()).collect::<Vec<_>>())
    .bind(ours().map(|row| row.payment.payment_intent.as_deref()).collect::<Vec<_>>())
    .fetch_all(&mut *tx)
    .await?;
    let adopted: HashMap<String, Uuid> = adopted.into_iter().collect();
    let replaced: Vec<Uuid> = adopted.keys().map(|id| public_row_id(id)).collect();
    delete_unreferenced::delete(tx, delete_unreferenced::PAYMENT, &replaced).await?;
    for row in rows {
        if let Some(history_id) = adopted.get(&row.payment.id) {
            row.history_id = *history_id;
        }
    }
    Ok(())
}

/// The payment intent is unique, so it must be released before another row takes it: duplicate rows of a
/// payment are deleted, and rows whose payment intent changes are cleared first.
pub(in crate::store) async fn release_payment_intents(
    tx: &mut PgConnection,
    rows: &[OwnedPayment],
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.history_id).collect();
    let intents: Vec<Option<&str>> = rows.iter().map(|row| row.payment.payment_intent.as_deref()).collect();
    let duplicates: Vec<Uuid> = sqlx::query_scalar(
        "select h.id from unnest($1::uuid[], $2::text[]) as n (id, intent)
         join payment_history h on h.stripe_payment_intent_id = n.intent and h.id <> n.id
         where not exists (select from payments p where p.history_id = h.id)",
    )
    .bind(&ids)
    .bind(&intents)
    .fetch_all(&mut *tx)
    .await?;
    delete_unreferenced::delete(tx, delete_unreferenced::PAYMENT, &duplicates).await?;
    sqlx::query(
        "with n as (select * from unnest($1::uuid[], $2::text[]) as n (id, intent)), held as (
             select h.id from n join payment_history h on h.id = n.id
             where h.stripe_payment_intent_id <> n.intent or (h.stripe_payment_intent_id is not null and n.intent is null)
             union
             select h.id from n join payment_history h on h.stripe_payment_intent_id = n.intent and h.id <> n.id
         )
         update payment_history h set stripe_payment_intent_id = null from held where h.id = held.id",
    )
    .bind(&ids)
    .bind(&intents)
    .execute(tx)
    .await?;
    Ok(())
}
