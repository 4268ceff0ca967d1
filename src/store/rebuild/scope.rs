//! A part of the tables: the rows that chosen events, and what hangs on those, have a say in. A rebuild that is
//! narrowed to it compares and mends these rows alone.

use std::collections::BTreeSet;

use serde::Serialize;
use sqlx::{Executor as _, PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Rebuild, RebuildError, begin_shadow};
use crate::store::events;
use crate::store::news::{Decoded, News, read_all};

/// Events whose bodies are in memory at once.
const PAGE: usize = 500;

/// Which events of the inbox; all of what is said must hold.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Selection {
    /// These, by the provider's names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Of this type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// About this Stripe customer or an object of its.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// About this user, a customer of theirs, or what belongs to either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<Uuid>,
    /// Applied since then.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub since: Option<OffsetDateTime>,
    /// Applied before then.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub until: Option<OffsetDateTime>,
}

/// The source and name of an event, and the object that it is about.
type Chosen = (String, String, Option<String>);

/// What of a selection the inbox alone can tell, in SQL over it; binds $1 to $4.
macro_rules! selected {
    () => {
        "($1::text[] = '{}' or i.event_id = any ($1)) and ($2::text is null or i.event_type = $2)
         and ($3::timestamptz is null or i.applied_at >= $3) and ($4::timestamptz is null or i.applied_at < $4)"
    };
}

impl Selection {
    /// Whether it leaves none out.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.ids.is_empty()
            && self.event_type.is_none()
            && self.since.is_none()
            && self.until.is_none()
            && !self.is_of_somebody()
    }

    /// Whether it is about one customer or member: few events, however many there are.
    #[must_use]
    pub const fn is_of_somebody(&self) -> bool {
        self.customer.is_some() || self.member.is_some()
    }

    /// How many events there are of these ids, this type and this time, at most `limit`.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn count(&self, pool: &PgPool, limit: i64) -> Result<i64, sqlx::Error> {
        let count = concat!(
            "select count(*) from (select from ingest.events i where i.state = 'applied' and ",
            selected!(),
            " limit $5) as i"
        );
        sqlx::query_scalar(count)
            .bind(&self.ids)
            .bind(&self.event_type)
            .bind(self.since)
            .bind(self.until)
            .bind(limit)
            .fetch_one(pool)
            .await
    }

    /// The names of the events, once all facts are in the shadow tables: they know whose each object is, also
    /// where the live ones have lost it.
    async fn choose(&self, tx: &mut PgConnection) -> Result<Vec<Chosen>, sqlx::Error> {
        let chosen = concat!(
            "select i.source, i.event_id, i.subject from ingest.events i where i.state = 'applied' and ",
            selected!(),
            " and ($5::text is null or i.subject in (
                  select $5
                  union all select id from stripe_facts where customer_id = $5
                  union all select id from ingest.stripe_facts where customer_id = $5
                  union all select object_id from claims where customer_id = $5
                  union all select object_id from customer_emails where customer_id = $5))
              and ($6::uuid is null or i.subject in (
                  select f.id from stripe_facts f join customers c on c.id = f.customer_id where c.user_id = $6
                  union all select id from customers where user_id = $6
                  union all select c.object_id from claims c join customers o on o.id = c.customer_id
                            where o.user_id = $6
                  union all select e.object_id from customer_emails e join customers o on o.id = e.customer_id
                            where o.user_id = $6
                  union all select relation || '/' || row_id from row_facts where user_id = $6)
                or i.subject is null and position(convert_to($6::text, 'UTF8') in i.body) > 0)"
        );
        sqlx::query_as(chosen)
            .bind(&self.ids)
            .bind(&self.event_type)
            .bind(self.since)
            .bind(self.until)
            .bind(&self.customer)
            .bind(self.member)
            .fetch_all(tx)
            .await
    }
}

impl Rebuild {
    /// Narrows it, once everything is derived, to what the selected events have a say in; returns how many
    /// those are.
    ///
    /// # Errors
    /// [`RebuildError`]; that no event is selected, too.
    pub async fn narrow(&mut self, selection: &Selection) -> Result<u64, RebuildError> {
        let rules = self.rules().clone();
        let mut tx = begin_shadow(&mut self.connection, "begin").await?;
        let chosen = selection.choose(&mut tx).await?;
        if chosen.is_empty() {
            return Err(RebuildError::NothingSelected);
        }
        let somebody = selection.customer.iter().cloned().chain(selection.member.map(|id| id.to_string()));
        let objects = chosen.iter().filter_map(|(.., subject)| subject.clone());
        write(&mut tx, somebody.chain(objects).collect()).await?;
        for page in chosen.chunks(PAGE) {
            let named: Vec<_> = page.iter().map(|(source, id, _)| (source.clone(), id.clone())).collect();
            let events = events::named(&mut tx, &named).await?;
            let Decoded { events, .. } = read_all(&events, &rules);
            write(&mut tx, names(&News::sort(events))).await?;
        }
        tx.execute(WIDEN).await?;
        tx.commit().await?;
        Ok(chosen.len() as u64)
    }
}

/// The objects, customers, users and sessions that events name.
fn names(news: &News) -> BTreeSet<String> {
    let stripe = news.stripe.iter().flat_map(|told| {
        let customer = told.report.state.customer_id().map(ToOwned::to_owned);
        [Some(told.report.subject.clone()), customer].into_iter().flatten()
    });
    let claims = news.claims.iter().flat_map(|it| [it.claim.object_id.clone(), it.claim.customer.clone()]);
    let emails =
        news.emails.iter().flat_map(|it| [it.address.object_id.clone(), it.address.customer.clone()]);
    let rows = news.rows.iter().map(|told| told.report.subject.clone());
    let logins = news.logins.iter().flat_map(|it| [it.session_id.clone(), it.user_id.to_string()]);
    let sms = news.sms.iter().map(|report| report.sid.clone());
    let users = news.named().into_iter().map(|id| id.to_string());
    stripe
        .chain(claims)
        .chain(emails)
        .chain(rows)
        .chain(logins)
        .chain(sms)
        .chain(users)
        .chain(news.thin.iter().cloned())
        .collect()
}

async fn write(tx: &mut PgConnection, names: BTreeSet<String>) -> Result<(), sqlx::Error> {
    sqlx::query("insert into scope (name) select unnest($1::text[]) on conflict do nothing")
        .bind(names.into_iter().collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

/// What hangs on what is named: the payments' other objects, what prices and coupons are worth to, the customers,
/// their users, all customers of those, and all that is theirs.
const WIDEN: &str = "
    insert into scope
    with recursive reach (id) as (
        select name from scope
        union
        select l.other from reach r join stripe_links l on l.id = r.id
    )
    select id from reach on conflict do nothing;
    insert into scope
    select f.customer_id from stripe_facts f join scope on f.id = name where f.customer_id is not null
    union select f.customer_id from ingest.stripe_facts f join scope on f.id = name where f.customer_id is not null
    union select c.customer_id from claims c join scope on c.object_id = name
    union select e.customer_id from customer_emails e join scope on e.object_id = name
    union select p.customer_id from payments p join scope on p.id = name
    on conflict do nothing;
    insert into scope
    select c.user_id::text from customers c join scope on c.id = name where c.user_id is not null
    union select c.user_id::text from ingest.customers c join scope on c.id = name where c.user_id is not null
    on conflict do nothing;
    insert into scope
    select c.id from customers c join scope on c.user_id::text = name
    union select c.id from ingest.customers c join scope on c.user_id::text = name
    on conflict do nothing;
    insert into scope
    select f.id from stripe_facts f join scope on f.customer_id = name
    union select f.id from ingest.stripe_facts f join scope on f.customer_id = name
    union select p.id from payments p join scope on p.customer_id = name
    union select p.history_id::text from payments p join scope on p.customer_id = name
    union select p.history_id::text from ingest.payments p join scope on p.customer_id = name
    on conflict do nothing;
    analyze scope";

/// Of the differences found, leaves those of the part that the rebuild was narrowed to, if it was.
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
