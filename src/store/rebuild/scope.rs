//! A part of the tables: what is connected with some names, as far as the live tables and the events know. All events
//! about it make its rows what they are, so that it can be derived without the rest.

use std::collections::{BTreeSet, HashSet};

use sqlx::{Executor as _, PgConnection};

use super::resolve::{EventName, in_pages};
use crate::envelope::Source;
use crate::project::stripe::Kind;
use crate::store::decoded_batch::{DecodedBatch, decode_all};
use crate::store::events::Unnamed;
use crate::store::{Rules, events};

/// Names of events that are in memory at once.
const NAMES: i64 = 10_000;

/// The names of a part, which the table `scope` holds, too, and the events about it.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Objects, customers, users (by their ids), rows (`schema.table/id`) and text messages.
    pub names: HashSet<String>,
    /// By source and name.
    pub events: Vec<EventName>,
}

/// Everything connected with `names`.
pub(super) async fn gather(
    tx: &mut PgConnection,
    mut names: BTreeSet<String>,
    rules: &Rules,
) -> Result<Scope, sqlx::Error> {
    let (mut unindexed, mut step) = (Vec::new(), 0);
    while add(tx, &names, step).await? > 0 {
        step = widen(tx, step).await?;
        let scope: Vec<String> = sqlx::query_scalar("select name from scope").fetch_all(&mut *tx).await?;
        (unindexed, names) = unnamed(tx, &scope.into_iter().collect(), rules).await?;
    }
    let names: Vec<String> = sqlx::query_scalar("select name from scope").fetch_all(&mut *tx).await?;
    let mut events: Vec<EventName> = sqlx::query_as(
        "select i.source, i.event_id from scope s
         cross join lateral (select * from ingest.events i where i.subject = s.name offset 0) i
         where i.state = 'applied' and i.pruned_at is null",
    )
    .fetch_all(tx)
    .await?;
    events.append(&mut unindexed);
    events.sort_unstable();
    events.dedup();
    Ok(Scope { names: names.into_iter().collect(), events })
}

/// Adds names to the part; returns how many are new to it.
async fn add(tx: &mut PgConnection, names: &BTreeSet<String>, step: i32) -> Result<u64, sqlx::Error> {
    let added =
        sqlx::query("insert into scope (name, step) select unnest($1::text[]), $2 on conflict do nothing")
            .bind(names.iter().map(String::as_str).collect::<Vec<_>>())
            .bind(step)
            .execute(tx)
            .await?;
    Ok(added.rows_affected())
}

/// Adds what the names of `step` lead to, step by step; returns the step that adds nothing any more.
async fn widen(tx: &mut PgConnection, mut step: i32) -> Result<i32, sqlx::Error> {
    let mut is_with_rows = false;
    loop {
        tx.execute("analyze scope").await?;
        let added = sqlx::query(WIDEN).bind(step).execute(&mut *tx).await?.rows_affected();
        step += 1;
        if added > 0 {
            is_with_rows = false;
        } else if is_with_rows {
            return Ok(step);
        } else {
            is_with_rows = true;
            sqlx::query(WIDEN_BY_ROWS).bind(step).execute(&mut *tx).await?;
        }
    }
}

/// The events about a part that no name leads to, and the names in them: those without a subject (Stripe's are but those of
/// types that an earlier version did not read), and those that did not count and do now, which have left no fact.
async fn unnamed(
    tx: &mut PgConnection,
    scope: &HashSet<String>,
    rules: &Rules,
) -> Result<(Vec<EventName>, BTreeSet<String>), sqlx::Error> {
    let (mut found, mut names) = (Vec::new(), BTreeSet::new());
    let lifted = events::lifted_flags(tx, &rules.decoding.admission).await?;
    for unnamed in [Unnamed::WithoutSubject, Unnamed::Flagged(&lifted)] {
        let mut position = EventName::default();
        loop {
            let mut page = events::unnamed(tx, unnamed, &position, NAMES).await?;
            let Some((source, event_id, _)) = page.last() else { break };
            position = (source.clone(), event_id.clone());
            page.retain(|(source, _, event_type)| {
                source != Source::Stripe.as_str() || Kind::of_event(event_type).is_some()
            });
            let page = page.into_iter().map(|(source, event_id, _)| (source, event_id));
            for page in in_pages(&page.collect::<Vec<EventName>>()) {
                for event in events::named(tx, &page).await? {
                    let mut batch = DecodedBatch::sort(decode_all([&event], rules).events);
                    batch.retain(scope);
                    if !batch.is_empty() {
                        names.append(&mut batch.names());
                        found.push((event.source.as_str().to_owned(), event.event_id));
                    }
                }
            }
        }
    }
    Ok((found, names))
}

/// One step further, by index. A payment's objects lead to each other; an object to its customer, the customer to its
/// user, the user to all their customers and rows, and a customer to all its objects; a text message to those of its
/// number. A price or a coupon leads nowhere: whoever depends on one is a separate part.
const WIDEN: &str = "
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

/// The rows of the part's users. No index says whose a row is, for every row that is written would pay for it: so the facts
/// are read once for all of them.
const WIDEN_BY_ROWS: &str = "
    insert into scope (name, step)
    select relation || '/' || row_id, $1 from ingest.row_facts where user_id in (select id from scope where id is not null)
    on conflict do nothing";

/// What the rows that were derived say to be part of this, and the live ones did not.
pub(super) async fn missed(tx: &mut PgConnection) -> Result<BTreeSet<String>, sqlx::Error> {
    let names: Vec<String> = sqlx::query_scalar(
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
    Ok(names.into_iter().collect())
}

/// The customers that depend on the prices and coupons among these names.
pub(super) async fn dependents(
    tx: &mut PgConnection,
    names: &BTreeSet<String>,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select distinct coalesce(f.customer_id, f.id) from unnest($1::text[]) as n (id)
         join ingest.stripe_facts c on c.id = n.id and c.kind in ('price', 'coupon')
         join ingest.stripe_links l on l.id = c.id
         join ingest.stripe_facts f on f.id = l.other order by 1",
    )
    .bind(names.iter().map(String::as_str).collect::<Vec<_>>())
    .fetch_all(tx)
    .await
}

/// Of the differences found, leaves those of the part, if there is one.
pub(super) async fn keep(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
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
