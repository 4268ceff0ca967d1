//! The events about a member, newest first: about the account, its customers and their objects, its rows and text messages.
//!
//! An event has its object, and so its member, once it is applied: pending events and dead letters are not listed.

use std::collections::BTreeSet;

use sqlx::{FromRow, PgConnection, PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database;
use crate::ops::events::{EVENT, Event, Page};
use crate::ops::page::{self, Neighbours, PageError, Seek};

/// The most objects of one member whose events are listed.
const MAX_OBJECTS: i64 = 20_000;

/// The user that an event without an object names: the expression of the index `inbox_member`.
pub(super) const USER_NAMED: &str = r#"(substring(encode(body, 'escape') from
        case when event_type like 'auth.users.%' or event_type like '%user-created'
             then '"id" ?: ?"([0-9a-f-]{36})"' else '"user_id" ?: ?"([0-9a-f-]{36})"' end))"#;
/// The events in that index.
pub(super) const NAMES_USER: &str =
    "subject is null and state = 'applied' and source in ('supabase.auth', 'supabase.database')";

#[derive(Debug, FromRow)]
struct Listed {
    #[sqlx(flatten)]
    event: Event,
}

/// A position in the list.
struct Place {
    occurred_at: OffsetDateTime,
    source: String,
    event_id: String,
}

/// One page of the events about the member, after `cursor`, at most `limit`; `None` if there is no such account.
///
/// # Errors
/// If the cursor or the limit is invalid, or the database does not answer.
pub async fn events(
    pool: &PgPool,
    user_id: Uuid,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Option<Page>, PageError> {
    let limit = page::checked(limit)?;
    let from = cursor.map(Place::decode).transpose()?;
    let mut reading = database::begin_reading(pool).await?;
    if !is_there(&mut reading, user_id).await? {
        return Ok(None);
    }
    let customers: Vec<String> = sqlx::query_scalar("select id from ingest.customers where user_id = $1")
        .bind(user_id)
        .fetch_all(&mut *reading)
        .await?;
    let objects: Vec<String> = sqlx::query_scalar(OBJECTS)
        .bind(user_id)
        .bind(&customers)
        .bind(MAX_OBJECTS)
        .fetch_all(&mut *reading)
        .await?;
    let objects: BTreeSet<String> = objects.into_iter().collect();
    let named: Vec<String> = sqlx::query_scalar(DECIDING)
        .bind(user_id)
        .bind(&customers)
        .bind(MAX_OBJECTS)
        .fetch_all(&mut *reading)
        .await?;
    let seek = from.as_ref().map(|(seek, _)| *seek);
    let mut query = query(user_id, objects.into_iter().collect(), named, from, page::one_more(limit));
    let mut listed: Vec<Listed> = query.build_query_as().fetch_all(&mut *reading).await?;
    reading.commit().await?;
    let place = |Listed { event }: &Listed| {
        [page::from_moment(event.occurred_at), event.source.clone(), event.event_id.clone()]
    };
    let Neighbours { next, prev } = page::paginate(&mut listed, limit, seek, place);
    let events = listed.into_iter().map(|it| it.event).collect();
    Ok(Some(Page { events, next_cursor: next, prev_cursor: prev, count: None }))
}

/// Whether there is such an account.
pub(super) async fn is_there(reading: &mut PgConnection, user_id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from auth.users where id = $1 and deleted_at is null)")
        .bind(user_id)
        .fetch_one(reading)
        .await
}

/// The statement that reads the next `limit` events of the objects, those that name the user, and those with these ids.
fn query(
    user_id: Uuid,
    objects: Vec<String>,
    named: Vec<String>,
    from: Option<(Seek, Place)>,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let (seek, from) = from.map_or((Seek::default(), None), |(seek, place)| (seek, Some(place)));
    let mut query = QueryBuilder::new(EVENT);
    query.push(" from ((select i.* from unnest(").push_bind(objects);
    query.push("::text[]) o (id) cross join lateral (select e.* from ingest.events e where e.subject = o.id");
    push_rest(&mut query, seek, from.as_ref(), limit);
    query.push(") i) union all (select e.* from ingest.events e where ").push(NAMES_USER);
    query.push(" and ").push(USER_NAMED).push(" = ").push_bind(user_id.to_string());
    push_rest(&mut query, seek, from.as_ref(), limit);
    query.push(") union all (select i.* from unnest(").push_bind(named);
    query.push(
        "::text[]) o (id) cross join lateral (
            select e.* from ingest.events e
            where e.source in ('stripe', 'supabase.database', 'internal') and e.event_id = o.id offset 0) i
         where i.subject is null and not (",
    );
    query.push(NAMES_USER).push(" and ");
    query.push(USER_NAMED).push(" is not distinct from ").push_bind(user_id.to_string()).push(")");
    push_rest(&mut query, seek, from.as_ref(), limit);
    query.push(")) found");
    push_order(&mut query, seek);
    query.push(" limit ").push_bind(limit);
    query
}

fn push_rest(query: &mut QueryBuilder<Postgres>, seek: Seek, from: Option<&Place>, limit: i64) {
    if let Some(Place { occurred_at, source, event_id }) = from {
        let (beyond, _) = seek.descending();
        query.push(" and (occurred_at, source, event_id)").push(beyond).push("(").push_bind(*occurred_at);
        query.push(", ").push_bind(source.clone()).push(", ").push_bind(event_id.clone()).push(")");
    }
    push_order(query, seek);
    query.push(" limit ").push_bind(limit);
}

fn push_order(query: &mut QueryBuilder<Postgres>, seek: Seek) {
    let (_, order) = seek.descending();
    query.push(" order by occurred_at").push(order).push(", source").push(order);
    query.push(", event_id").push(order);
}

impl Place {
    fn decode(cursor: &str) -> Result<(Seek, Self), PageError> {
        let (seek, [moment, source, event_id]) = page::decode(cursor)?;
        Ok((seek, Self { occurred_at: page::to_moment(&moment)?, source, event_id }))
    }
}

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
