//! A subset of the rows: what is connected with some ids, according to the live tables and the events. Its rows depend on
//! the events about it only, so that it can be derived without the rest.

use std::collections::{BTreeSet, HashSet};

use sqlx::{Executor as _, PgConnection};

use super::resolve::in_pages;
use crate::envelope::Source;
use crate::project::stripe::Kind;
use crate::store::StoreSettings;
use crate::store::decoded_batch::{DecodedBatch, decode_all};
use crate::store::events::{self, EventKey, WithoutObject};

/// Keys of events that are in memory at once.
const KEYS: i64 = 10_000;

/// The ids of a subset, which are also in the table `scope`, and the events about them.
#[derive(Debug, Default)]
pub(super) struct Subset {
    /// The ids of objects, customers, users, rows (`schema.table/id`) and text messages.
    pub ids: HashSet<String>,
    /// The events about them.
    pub events: Vec<EventKey>,
}

/// Finds everything connected with `roots`: follows references, then adds what the events that no reference leads to say
/// to be connected, until neither finds more.
pub(super) async fn find_connected(
    tx: &mut PgConnection,
    roots: BTreeSet<String>,
    settings: &StoreSettings,
) -> Result<Subset, sqlx::Error> {
    let (mut to_add, mut without_object, mut step) = (roots, Vec::new(), 0);
    while add(tx, &to_add, step).await? > 0 {
        step = follow_references(tx, step).await?;
        let ids = stored_ids(tx).await?;
        (without_object, to_add) = events_without_object(tx, &ids, settings).await?;
    }
    let ids = stored_ids(tx).await?;
    let mut events: Vec<EventKey> = sqlx::query_as(
        "select i.source, i.event_id from scope s
         cross join lateral (select * from ingest.events i where i.subject = s.name offset 0) i
         where i.state = 'applied' and i.pruned_at is null",
    )
    .fetch_all(tx)
    .await?;
    events.append(&mut without_object);
    events.sort_unstable();
    events.dedup();
    Ok(Subset { ids, events })
}

/// The ids in `scope`.
async fn stored_ids(tx: &mut PgConnection) -> Result<HashSet<String>, sqlx::Error> {
    let ids: Vec<String> = sqlx::query_scalar("select name from scope").fetch_all(tx).await?;
    Ok(ids.into_iter().collect())
}

/// Adds ids to the subset; returns how many are new to it.
async fn add(tx: &mut PgConnection, ids: &BTreeSet<String>, step: i32) -> Result<u64, sqlx::Error> {
    let added =
        sqlx::query("insert into scope (name, step) select unnest($1::text[]), $2 on conflict do nothing")
            .bind(ids.iter().map(String::as_str).collect::<Vec<_>>())
            .bind(step)
            .execute(tx)
            .await?;
    Ok(added.rows_affected())
}

/// Adds what the ids of `step` reference or are referenced by, step by step; returns the step that adds nothing any more.
async fn follow_references(tx: &mut PgConnection, mut step: i32) -> Result<i32, sqlx::Error> {
    let mut has_rows = false;
    loop {
        tx.execute("analyze scope").await?;
        let added = sqlx::query(ADD_REFERENCED).bind(step).execute(&mut *tx).await?.rows_affected();
        step += 1;
        if added > 0 {
            has_rows = false;
        } else if has_rows {
            return Ok(step);
        } else {
            has_rows = true;
            sqlx::query(ADD_ROWS).bind(step).execute(&mut *tx).await?;
        }
    }
}

/// The events about these ids that no reference leads to, and all ids in them: events without a subject (Stripe's are only
/// those of types that an earlier version did not read), and events that were not counted and are allowed now, which have
/// no fact.
async fn events_without_object(
    tx: &mut PgConnection,
    ids: &HashSet<String>,
    settings: &StoreSettings,
) -> Result<(Vec<EventKey>, BTreeSet<String>), sqlx::Error> {
    let (mut found, mut ids_in_them) = (Vec::new(), BTreeSet::new());
    let codes = events::codes_allowed_now(tx, &settings.decoding.origin_filter).await?;
    for which in [WithoutObject::WithoutSubject, WithoutObject::NotCounted(&codes)] {
        let mut last = EventKey::default();
        loop {
            let mut page = events::without_object(tx, which, &last, KEYS).await?;
            let Some(end) = page.last() else { break };
            last = end.key.clone();
            page.retain(|event| {
                event.key.source != Source::Stripe.as_str() || Kind::of_event(&event.event_type).is_some()
            });
            let keys: Vec<EventKey> = page.into_iter().map(|event| event.key).collect();
            for page in in_pages(&keys) {
                for event in events::by_keys(tx, &page).await? {
                    let mut batch = DecodedBatch::group(decode_all([&event], settings).events);
                    batch.retain(ids);
                    if !batch.is_empty() {
                        ids_in_them.append(&mut batch.ids());
                        found.push(EventKey::from(&event));
                    }
                }
            }
        }
    }
    Ok((found, ids_in_them))
}

/// One step further, by index. A payment's objects lead to each other; an object to its customer, the customer to its
/// user, the user to all their customers and rows, and a customer to all its objects; a text message to those of its
/// number. A price or a coupon leads nowhere: whoever depends on one is a separate subset.
const ADD_REFERENCED: &str = "
    insert into scope (name, step)
    select n.name, $1 + 1 from scope s
    cross join lateral (
        (select l.other from ingest.stripe_links l
         where l.id = s.name
           and not exists (select from ingest.stripe_facts f where f.id = s.name and f.kind in ('price', 'coupon'))
         offset 0)
        union all (select f.customer_id from ingest.stripe_facts f where f.id = s.name offset 0)
        union all (select c.customer_id from ingest.claims c where c.object_id = s.name offset 0)
        union all (select e.customer_id from ingest.customer_emails e where e.object_id = s.name offset 0)
        union all (select p.customer_id from ingest.payments p where p.id = s.name offset 0)
        union all (select c.user_id::text from ingest.customers c where c.id = s.name offset 0)
        union all (select f.id from ingest.stripe_facts f where f.customer_id = s.name offset 0)
        union all (select c.object_id from ingest.claims c where c.customer_id = s.name offset 0)
        union all (select e.object_id from ingest.customer_emails e where e.customer_id = s.name offset 0)
        union all (select p.id from ingest.payments p where p.customer_id = s.name offset 0)
        union all (select b.stripe_subscription_id from public.customer_subscriptions b
                   where b.stripe_customer_id = s.name offset 0)
        union all (select c.id from ingest.customers c where c.user_id = s.id offset 0)
        union all (select e.customer_id from ingest.customer_emails e where e.user_id = s.id offset 0)
        union all (select c.customer_id from ingest.claims c
                   where s.id is not null and c.claimed_users && array[s.name] and c.claimed_users <> '{}' offset 0)
        union all (select e.customer_id from auth.users u
                   join ingest.customer_emails e on e.email = ingest.folded_email(u.email) where u.id = s.id offset 0)
        union all (select f.user_id::text from ingest.row_facts f
                   where f.relation = split_part(s.name, '/', 1)
                     and f.row_id = substr(s.name, strpos(s.name, '/') + 1) offset 0)
        union all (select o.sid from ingest.sms_facts f join ingest.sms_facts o on o.number = f.number
                   where f.sid = s.name offset 0)
        -- A message of a forgotten person has no fact any more, and what its number said by it stays in the ledger.
        union all (select l.sid from ingest.sms_facts f join ingest.sms_consent_ledger l on l.number = f.number
                   where f.sid = s.name offset 0)
        union all (select f.sid from ingest.sms_consent_ledger l join ingest.sms_facts f on f.number = l.number
                   where l.sid = s.name offset 0)
    ) n (name)
    where s.step = $1 and n.name is not null
    on conflict do nothing";

/// The rows of the subset's users. No index says whose a row is, for every row that is written would pay for it: so the facts
/// are read once for all of them.
const ADD_ROWS: &str = "
    insert into scope (name, step)
    select relation || '/' || row_id, $1 from ingest.row_facts where user_id in (select id from scope where id is not null)
    on conflict do nothing";

/// The ids in the derived rows that are not in the subset: the live rows did not show that they are connected.
pub(super) async fn missing_ids(tx: &mut PgConnection) -> Result<BTreeSet<String>, sqlx::Error> {
    let ids: Vec<String> = sqlx::query_scalar(
        "select n.name from (
             select id from stripe_facts where kind not in ('price', 'coupon', 'product')
             union select customer_id from stripe_facts
             union select object_id from claims
             union select customer_id from claims
             union select object_id from customer_emails
             union select customer_id from customer_emails
             union select id from payments
             union select customer_id from payments
             union select user_id::text from customers
             union select relation || '/' || row_id from row_facts
             union select user_id::text from row_facts
             union select o.sid from sms_facts f join ingest.sms_facts o on o.number = f.number
             union select l.sid from sms_facts f join ingest.sms_consent_ledger l on l.number = f.number
         ) n (name)
         where n.name is not null and not exists (select from scope s where s.name = n.name)",
    )
    .fetch_all(tx)
    .await?;
    Ok(ids.into_iter().collect())
}

/// The customers that depend on the prices and coupons among these ids.
pub(super) async fn dependent_customers(
    tx: &mut PgConnection,
    ids: &BTreeSet<String>,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select distinct coalesce(f.customer_id, f.id) from unnest($1::text[]) as n (id)
         join ingest.stripe_facts c on c.id = n.id and c.kind in ('price', 'coupon')
         join ingest.stripe_links l on l.id = c.id
         join ingest.stripe_facts f on f.id = l.other order by 1",
    )
    .bind(ids.iter().map(String::as_str).collect::<Vec<_>>())
    .fetch_all(tx)
    .await
}

/// Drops the differences that are not of the subset, if there is one.
pub(super) async fn retain_differences(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    tx.execute(
        "delete from differences d
         where exists (select from scope) and not exists (
             select from unnest(array[d.key, d.before, d.after]) as r (columns)
             cross join lateral (values
                 (columns ->> 'id'), (columns ->> 'other'), (columns ->> 'object_id'), (columns ->> 'subject'),
                 (columns ->> 'session_id'), (columns ->> 'sid'), (columns ->> 'twilio_sid'), (columns ->> 'stripe_subscription_id'), (columns ->> 'customer_id'),
                 (columns ->> 'stripe_customer_id'), (columns ->> 'user_id'),
                 ((columns ->> 'relation') || '/' || (columns ->> 'row_id'))) as n (name)
             join scope using (name))",
    )
    .await?;
    Ok(())
}
