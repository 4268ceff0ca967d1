//! What the events of a list are about: an object, perhaps with those that are linked with it, or a member.

use std::collections::BTreeSet;

use sqlx::{PgExecutor, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use super::EVENT;
use super::list::{CursorPosition, Filter, push_from, push_order};
use crate::database;
use crate::ops::members::find_by_email;
use crate::ops::page::{PageError, Seek};

/// The most objects of one member whose events are listed.
const MAX_OBJECTS: i64 = 20_000;
/// The most objects linked with one whose events are listed.
const MAX_RELATED: i64 = 100;

/// The user that an event without an object names: the expression of the index `inbox_member`.
pub(in crate::ops) const USER_NAMED: &str = r#"(substring(encode(body, 'escape') from
        case when event_type like 'auth.users.%' or event_type like '%user-created'
             then '"id" ?: ?"([0-9a-f-]{36})"' else '"user_id" ?: ?"([0-9a-f-]{36})"' end))"#;
/// The events in that index.
pub(in crate::ops) const NAMES_USER: &str =
    "subject is null and state = 'applied' and source in ('supabase.auth', 'supabase.database')";

/// What events are about.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    objects: Vec<String>,
    /// Those without an object that name this user.
    user: Option<Uuid>,
    /// Those without an object that have these ids.
    named: Vec<String>,
}

impl Filter {
    /// What the events are about; `None` if the filter does not say.
    pub(super) async fn about(&self, pool: &PgPool) -> Result<Option<About>, PageError> {
        let linked = match &self.subject {
            Some(subject) if self.related => Some(with_related(pool, subject).await?),
            subject => subject.clone().map(|subject| vec![subject]),
        };
        let Some(member) = &self.member else {
            return Ok(linked.map(|objects| About { objects, ..About::default() }));
        };
        let about = match user(pool, member).await? {
            Some(user) => of_member(pool, user).await?,
            None => About::default(),
        };
        Ok(Some(match linked {
            None => about,
            Some(linked) => {
                let mut objects = about.objects;
                objects.retain(|object| linked.contains(object));
                About { objects, ..About::default() }
            }
        }))
    }
}

/// The account with this id or e-mail address, if there is one.
async fn user(pool: &PgPool, member: &str) -> Result<Option<Uuid>, PageError> {
    if let Ok(user) = member.parse() {
        return Ok(Some(user));
    }
    if !member.contains('@') {
        let message = format!("member is a user id or an e-mail address; {member:?} is neither");
        return Err(PageError::Filter(message));
    }
    match find_by_email(pool, member).await?[..] {
        [] => Ok(None),
        [user] => Ok(Some(user)),
        _ => Err(PageError::Filter(format!("several accounts have the address {member:?}: name a user id"))),
    }
}

async fn of_member(pool: &PgPool, user: Uuid) -> Result<About, sqlx::Error> {
    let mut reading = database::begin_read_only(pool).await?;
    let customers: Vec<String> = sqlx::query_scalar("select id from ingest.customers where user_id = $1")
        .bind(user)
        .fetch_all(&mut *reading)
        .await?;
    let mut found: [Vec<String>; 2] = Default::default();
    for (names, statement) in found.iter_mut().zip([OBJECTS, DECIDING]) {
        let query = sqlx::query_scalar(statement).bind(user).bind(&customers).bind(MAX_OBJECTS);
        *names = query.fetch_all(&mut *reading).await?;
    }
    reading.commit().await?;
    let [objects, named] = found;
    let objects: BTreeSet<String> = objects.into_iter().collect();
    Ok(About { objects: objects.into_iter().collect(), user: Some(user), named })
}

async fn with_related(pool: &PgPool, subject: &str) -> Result<Vec<String>, PageError> {
    let mut objects = linked(pool, subject, MAX_RELATED + 1).await?;
    if objects.len() as u64 > MAX_RELATED.unsigned_abs() {
        return Err(PageError::Filter(format!(
            "more than {MAX_RELATED} objects are linked with {subject:?}: name one of them"
        )));
    }
    objects.push(subject.to_owned());
    Ok(objects)
}

/// The objects that are linked with this one, at most 100.
pub(super) async fn related(
    database: impl PgExecutor<'_>,
    subject: &str,
) -> Result<Vec<String>, sqlx::Error> {
    linked(database, subject, MAX_RELATED).await
}

async fn linked(
    database: impl PgExecutor<'_>,
    subject: &str,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(LINKED).bind(subject).bind(limit).fetch_all(database).await
}

impl About {
    /// Adds the next `limit` of these events after a position, for each way of being about it.
    pub(super) fn push(
        &self,
        query: &mut QueryBuilder<Postgres>,
        (seek, from): (Seek, Option<&CursorPosition>),
        limit: i64,
    ) {
        let push_rest = |query: &mut QueryBuilder<Postgres>| {
            push_from(query, "occurred_at", (seek, from));
            push_order(query, "occurred_at", seek);
            query.push(" limit ").push_bind(limit).push(")");
        };
        query.push("(select i.* from unnest(").push_bind(self.objects.clone());
        query.push("::text[]) o (id) cross join lateral (").push(EVENT);
        query.push(", occurred_at as place from ingest.events where subject = o.id");
        push_rest(query);
        query.push(" i)");
        let Some(user) = self.user else { return };
        query.push(" union all (").push(EVENT).push(", occurred_at as place from ingest.events where ");
        query.push(NAMES_USER).push(" and ").push(USER_NAMED).push(" = ").push_bind(user.to_string());
        push_rest(query);
        query.push(" union all (").push(EVENT).push(", occurred_at as place from (select e.* from unnest(");
        query.push_bind(self.named.clone());
        query.push(
            "::text[]) o (id) cross join lateral (
                select e.* from ingest.events e
                where e.source in ('stripe', 'supabase.database', 'internal') and e.event_id = o.id offset 0) e) i
             where subject is null and not (",
        );
        query.push(NAMES_USER).push(" and ");
        query.push(USER_NAMED).push(" is not distinct from ").push_bind(user.to_string()).push(")");
        push_rest(query);
    }
}

/// What belongs to one payment leads to each other. A price or a coupon leads to all that depend on it, and is led to by
/// none: from there it goes no further.
const LINKED: &str = "
with recursive reach (id) as (
    select $1::text
    union
    select l.other from reach r
    cross join lateral (
        select l.other from ingest.stripe_links l
        where l.id = r.id
          and (r.id = $1 or not exists (
              select from ingest.stripe_facts f
              where f.id = r.id and f.kind in ('price', 'coupon', 'product', 'discount')))
        offset 0) l
)
select id from reach where id <> $1 limit $2";

/// The objects of the member: each customer, what names it, what belongs to one payment with that, rows and text messages.
/// Links of subscriptions lead to prices and coupons, which are everybody's. An object of another customer is not the
/// member's, whatever it is linked with.
const OBJECTS: &str = "
with recursive reach (id) as (
    select unnest($2::text[])
    union
    select o.id from reach r cross join lateral (
        (select f.id from ingest.stripe_facts f where f.customer_id = r.id offset 0)
        union all
        (select p.id from ingest.payments p where p.customer_id = r.id offset 0)
        union all
        (select k.object_id from ingest.claims k where k.customer_id = r.id offset 0)
        union all
        (select e.object_id from ingest.customer_emails e where e.customer_id = r.id offset 0)
        union all
        (select l.other from ingest.stripe_links l
         where l.id = r.id
           and coalesce((select f.kind from ingest.stripe_facts f where f.id = l.id), 'payment')
               not in ('customer', 'subscription', 'discount', 'price', 'product', 'coupon')
           and coalesce((select f.kind from ingest.stripe_facts f where f.id = l.other), 'payment')
               not in ('subscription', 'discount', 'price', 'product', 'coupon')
           and coalesce((select f.customer_id from ingest.stripe_facts f where f.id = l.other), $2[1]) = any ($2)
         offset 0)
    ) o
)
(select id from reach where id is not null)
union all
(select f.relation || '/' || f.row_id from ingest.row_facts f where f.user_id = $1)
union all
(select m.twilio_sid from public.sms_messages m where m.user_id = $1 and m.twilio_sid is not null)
limit $3";

/// The ids of events that decided whose the customers are, and what the rows are: those read from a table, and matches by
/// address, are about no object of their own.
const DECIDING: &str = "
select distinct d.event_id from (
    (select k.event_id from unnest($2::text[]) c (id)
     cross join lateral (select event_id from ingest.claims k where k.customer_id = c.id offset 0) k)
    union all
    (select e.event_id from unnest($2::text[]) c (id)
     cross join lateral (select event_id from ingest.customer_emails e where e.customer_id = c.id offset 0) e)
    union all
    (select f.event_id from ingest.row_facts f where f.user_id = $1)
) d
limit $3";
