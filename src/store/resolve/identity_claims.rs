//! Identity claims: what objects say about whose customer it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::project::identity::{Claim, Strength};
use crate::store::from_unix_seconds;

/// An identity claim, and the event that reported it.
#[derive(Clone, Debug)]
pub struct ClaimReport {
    /// The claim.
    pub claim: Claim,
    /// When it was reported.
    pub reported_at: OffsetDateTime,
    /// The event that reported it.
    pub event_id: String,
    /// Whether it was resolved as the last of its second; otherwise the event id decides.
    pub is_last: bool,
}

impl ClaimReport {
    fn is_newer_than(&self, other: &Self) -> bool {
        let by_id = self.is_last || self.event_id > other.event_id;
        self.reported_at > other.reported_at || (self.reported_at == other.reported_at && by_id)
    }
}

/// The customers whose evidence changed.
#[derive(Debug, Default)]
pub struct ChangedEvidence {
    /// Customers with a new or changed claim or address, before or after.
    pub new: BTreeSet<String>,
    /// Customers with one more object that says what is known already.
    pub repeated: BTreeSet<String>,
}

/// Stores claims and returns the customers whose evidence changed. Of one object's claims of one strength the latest
/// stays, even if later events make none.
pub async fn write(
    tx: &mut PgConnection,
    reported: Vec<ClaimReport>,
) -> Result<ChangedEvidence, sqlx::Error> {
    let mut latest = BTreeMap::<(String, i16), ClaimReport>::new();
    for one in reported {
        let key = (one.claim.object_id.clone(), one.claim.strength as i16);
        if latest.get(&key).is_none_or(|other| one.is_newer_than(other)) {
            latest.insert(key, one);
        }
    }
    if latest.is_empty() {
        return Ok(ChangedEvidence::default());
    }
    let claims = || latest.values().map(|one| &one.claim);
    let changed: Vec<(String, Option<String>, bool)> = sqlx::query_as(WRITE)
        .bind(claims().map(|c| c.object_id.as_str()).collect::<Vec<_>>())
        .bind(claims().map(|c| c.strength as i16).collect::<Vec<_>>())
        .bind(claims().map(|c| c.customer.as_str()).collect::<Vec<_>>())
        .bind(
            claims()
                .map(|c| {
                    c.claimed_users.iter().map(|user| user.replace(',', " ")).collect::<Vec<_>>().join(",")
                })
                .collect::<Vec<_>>(),
        )
        .bind(claims().map(|c| from_unix_seconds(c.object_created)).collect::<Vec<_>>())
        .bind(latest.values().map(|one| one.reported_at).collect::<Vec<_>>())
        .bind(latest.values().map(|one| one.event_id.as_str()).collect::<Vec<_>>())
        .bind(latest.values().filter(|one| one.is_last).map(|one| one.event_id.as_str()).collect::<Vec<_>>())
        .bind(Strength::ALL.map(Strength::as_str).as_slice())
        .fetch_all(tx)
        .await?;
    let mut evidence = ChangedEvidence::default();
    for (customer, before, is_repeated) in changed {
        if is_repeated {
            evidence.repeated.insert(customer);
        } else {
            evidence.new.extend(before.into_iter().chain([customer]));
        }
    }
    Ok(evidence)
}

/// Arrays of arrays must be rectangular in Postgres, so the users of a claim are passed as one text. The third column
/// (repeated): a new claim that names only the present owner, no stronger than what matched it, cannot change the owner.
const WRITE: &str = "
    with reported as (
        select * from unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::timestamptz[],
                             $6::timestamptz[], $7::text[])
            as m (object_id, strength, customer_id, users, object_created, reported_at, event_id)
    ), written as (
        insert into claims
            (object_id, strength, customer_id, claimed_users, object_created, reported_at, event_id)
        select object_id, strength, customer_id, string_to_array(users, ','), object_created, reported_at, event_id
        from reported
        on conflict (object_id, strength) do update set
            customer_id = excluded.customer_id, claimed_users = excluded.claimed_users,
            object_created = excluded.object_created, reported_at = excluded.reported_at,
            event_id = excluded.event_id
        where claims.reported_at < excluded.reported_at
           or claims.reported_at = excluded.reported_at
              and (claims.event_id < excluded.event_id or excluded.event_id = any($8))
    )
    select m.customer_id, c.customer_id,
           c.object_id is null and coalesce(k.user_id::text = m.users, false)
               and coalesce(array_position($9::text[], k.matched_by) <= m.strength, false)
    from reported m
    left join lateral (
        select * from claims c where c.object_id = m.object_id and c.strength = m.strength offset 0
    ) c on true
    left join lateral (
        select k.user_id, k.matched_by from customers k where k.id = m.customer_id offset 0
    ) k on true
    where (c.customer_id, c.claimed_users, c.object_created)
        is distinct from (m.customer_id, string_to_array(m.users, ','), m.object_created)";

/// The claims about each of `customers`.
pub async fn load(
    tx: &mut PgConnection,
    customers: &BTreeSet<String>,
) -> Result<HashMap<String, Vec<Claim>>, sqlx::Error> {
    #[derive(FromRow)]
    struct LoadedClaim {
        customer_id: String,
        object_id: String,
        strength: i16,
        claimed_users: Vec<String>,
        object_created: OffsetDateTime,
    }
    let loaded: Vec<LoadedClaim> = sqlx::query_as(
        "select customer_id, object_id, strength, claimed_users, object_created
         from claims where customer_id = any($1)",
    )
    .bind(customers.iter().map(String::as_str).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    let mut claims = HashMap::<String, Vec<Claim>>::new();
    for claim in loaded {
        claims.entry(claim.customer_id.clone()).or_default().push(Claim {
            object_id: claim.object_id,
            customer: claim.customer_id,
            strength: strength(claim.strength),
            claimed_users: claim.claimed_users,
            object_created: claim.object_created.unix_timestamp(),
        });
    }
    Ok(claims)
}

const fn strength(number: i16) -> Strength {
    match number {
        1 => Strength::Metadata,
        2 => Strength::ClientReferenceId,
        _ => Strength::KnownCustomer,
    }
}

/// The customers with a claim that names one of `users`, or with an address of theirs.
pub async fn customers_naming(
    tx: &mut PgConnection,
    users: &BTreeSet<Uuid>,
    emails: &BTreeSet<String>,
) -> Result<Vec<String>, sqlx::Error> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let users: Vec<Uuid> = users.iter().copied().collect();
    sqlx::query_scalar(
        "select customer_id from claims where claimed_users && $1::text[] and claimed_users <> '{}'
         union
         select customer_id from customer_emails where user_id = any($2)
         union
         select customer_id from customer_emails
         where email = any(array(select ingest.folded_email(email) from auth.users where id = any($2)) || $3::text[])",
    )
    .bind(users.iter().map(Uuid::to_string).collect::<Vec<_>>())
    .bind(&users)
    .bind(emails.iter().map(String::as_str).collect::<Vec<_>>())
    .fetch_all(tx)
    .await
}
