//! Whose events are.

use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::{Event, NAMES_USER, USER_NAMED};

/// The account that an event is about.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Owner {
    /// Its id.
    pub user_id: Uuid,
    /// Its e-mail address, if it has one.
    pub email: Option<String>,
}

#[derive(FromRow)]
struct Owned {
    /// The number of the event, from 1.
    place: i64,
    #[sqlx(flatten)]
    owner: Owner,
}

/// The account that each of `events` is about, as far as it is known and there.
pub async fn owners(pool: &PgPool, events: &[Event]) -> Result<Vec<Option<Owner>>, sqlx::Error> {
    let statement = [OF_OBJECT, NAMED[0], USER_NAMED, NAMED[1], NAMES_USER, NAMED[2]].concat();
    let owned: Vec<Owned> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
        .bind(events.iter().map(|event| event.source.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.event_id.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.subject.as_deref()).collect::<Vec<_>>())
        .fetch_all(pool)
        .await?;
    let mut owners = vec![None; events.len()];
    for Owned { place, owner } in owned {
        if let Some(place) = usize::try_from(place - 1).ok().and_then(|place| owners.get_mut(place)) {
            *place = Some(owner);
        }
    }
    Ok(owners)
}

/// The user of the customer that the object is or belongs to, of the row, or of the text message.
const OF_OBJECT: &str = "
select n.place, u.id as user_id, u.email
from unnest($1::text[], $2::text[], $3::text[]) with ordinality n (source, event_id, subject, place)
cross join lateral (
    select o.user_id from (
        (select k.user_id from (
            (select n.subject as id)
            union all (select f.customer_id from ingest.stripe_facts f where f.id = n.subject offset 0)
            union all (select p.customer_id from ingest.payments p where p.id = n.subject offset 0)
            union all (select c.customer_id from ingest.claims c where c.object_id = n.subject offset 0)
         ) c
         cross join lateral (select k.user_id from ingest.customers k where k.id = c.id offset 0) k)
        union all
        (select r.user_id from ingest.row_facts r
         where r.relation = split_part(n.subject, '/', 1)
           and r.row_id = substr(n.subject, strpos(n.subject, '/') + 1) offset 0)
        union all
        (select m.user_id from public.sms_messages m where m.twilio_sid = n.subject offset 0)
";

/// The user that an event without an object names; and then that user's account.
const NAMED: [&str; 3] = [
    "   union all
        (select case when i.named ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then i.named::uuid end
         from (select ",
    " as named from (
            select e.* from ingest.events e where e.source = n.source and e.event_id = n.event_id offset 0) e
            where n.subject is null and ",
    " offset 0) i)
    ) o where o.user_id is not null limit 1) o
cross join lateral (
    select u.id, u.email::text as email from auth.users u where u.id = o.user_id and u.deleted_at is null offset 0) u",
];
