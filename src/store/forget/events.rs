//! The events that are about the person and nobody else.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};
use uuid::Uuid;

use super::body::{self, BodyScan, CANDIDATES, Ownership};
use super::person::Person;
use super::plan::Ids;
use crate::store::events::prune::PRUNABLE;

#[derive(FromRow)]
struct Row {
    source: String,
    event_id: String,
    subject: Option<String>,
    note: String,
    body: Vec<u8>,
}

/// An event that names the person.
struct MatchedEvent {
    /// Its source and id, `stripe/evt_1`.
    key: String,
    subject: Option<String>,
    scan: BodyScan,
}

/// The applied events to remove: those of the person's objects, and those that name the person and nobody
/// else.
pub(super) async fn of(tx: &mut PgConnection, person: &Person) -> Result<Ids, sqlx::Error> {
    let statement = format!(
        "select source, event_id, subject, '' as note, body from ingest.events where {PRUNABLE} and {CANDIDATES}"
    );
    let mut events = about_objects(tx, person).await?;
    let matched = matching(tx, person, statement).await?;
    events.0.extend(only_about_person(tx, person, matched).await?);
    Ok(events)
}

/// The events about the person's objects that have a body.
pub(super) async fn about_objects(tx: &mut PgConnection, person: &Person) -> Result<Ids, sqlx::Error> {
    let statement = format!(
        "select source || '/' || event_id from ingest.events where subject = any ($1) and {PRUNABLE}"
    );
    let keys: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(statement)).bind(person.object_ids()).fetch_all(tx).await?;
    Ok(Ids(keys.into_iter().collect()))
}

/// The dead letters to remove, by their bodies or reasons.
pub(super) async fn dead_letters(tx: &mut PgConnection, person: &Person) -> Result<Ids, sqlx::Error> {
    let statement = format!(
        "select source, event_id, null as subject, reason as note, body from ingest.events
         where state = 'dead' and ({CANDIDATES} or lower(encode(convert_to(reason, 'UTF8'), 'escape')) ~ $1)"
    );
    let matched = matching(tx, person, statement).await?;
    Ok(Ids(only_about_person(tx, person, matched).await?))
}

/// The events that name the person and are not applied yet: applying them will store the person again.
pub(super) async fn not_applied(tx: &mut PgConnection, person: &Person) -> Result<Ids, sqlx::Error> {
    let statement = format!(
        "select source, event_id, null as subject, '' as note, body from ingest.events
         where state = 'pending' and {CANDIDATES}"
    );
    let matched = matching(tx, person, statement).await?;
    Ok(Ids(matched.into_iter().map(|event| event.key).collect()))
}

/// The events that `statement` selects and that name the person.
async fn matching(
    tx: &mut PgConnection,
    person: &Person,
    statement: String,
) -> Result<Vec<MatchedEvent>, sqlx::Error> {
    let user = person.user_id.map(|id| id.to_string());
    let names = user.as_deref().into_iter().chain(person.customer_ids()).chain(person.followed());
    let mut rows = sqlx::query_as::<_, Row>(AssertSqlSafe(statement)).bind(body::pattern(names)).fetch(tx);
    let mut matched = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let mut scan = body::scan(person, &row.source, &row.body);
        scan.names_person |= body::is_named_in(person, &row.note);
        if scan.names_person {
            let key = format!("{}/{}", row.source, row.event_id);
            matched.push(MatchedEvent { key, subject: row.subject, scan });
        }
    }
    Ok(matched)
}

/// Those owned by the person, and those without an owner field that name nobody else.
async fn only_about_person(
    tx: &mut PgConnection,
    person: &Person,
    matched: Vec<MatchedEvent>,
) -> Result<BTreeSet<String>, sqlx::Error> {
    let unowned = || matched.iter().filter(|it| it.scan.ownership == Ownership::NotStated);
    let ids: BTreeSet<Uuid> = unowned().flat_map(|it| it.scan.other_user_ids.iter().copied()).collect();
    let users = users(tx, &ids).await?;
    let subjects: BTreeSet<&str> = unowned().filter_map(|it| it.subject.as_deref()).collect();
    let of_others = objects_of_others(tx, person, &subjects).await?;
    let names_nobody_else = |it: &MatchedEvent| {
        !it.scan.names_another_customer
            && it.scan.other_user_ids.is_disjoint(&users)
            && it.subject.as_ref().is_none_or(|subject| !of_others.contains(subject))
    };
    let is_theirs = |it: &MatchedEvent| match it.scan.ownership {
        Ownership::ThisPerson => true,
        Ownership::AnotherPerson => false,
        Ownership::NotStated => names_nobody_else(it),
    };
    Ok(matched.iter().filter(|it| is_theirs(it)).map(|it| it.key.clone()).collect())
}

/// Which of these are users, existing or deleted.
async fn users(tx: &mut PgConnection, ids: &BTreeSet<Uuid>) -> Result<BTreeSet<Uuid>, sqlx::Error> {
    let users: Vec<Uuid> = sqlx::query_scalar(
        "select id from auth.users where id = any ($1) union select id from ingest.users where id = any ($1)",
    )
    .bind(ids.iter().copied().collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    Ok(users.into_iter().collect())
}

/// Those of the objects that, or whose payment, belong to a customer that is not the person's: one with a
/// user, or with any claim or address that could name its owner.
async fn objects_of_others(
    tx: &mut PgConnection,
    person: &Person,
    subjects: &BTreeSet<&str>,
) -> Result<BTreeSet<String>, sqlx::Error> {
    let others: Vec<String> = sqlx::query_scalar(
        "with recursive reach (subject, id) as (
             select s, s from unnest($1::text[]) as s
             union
             select r.subject, l.other from reach r
             left join ingest.stripe_facts f on f.id = r.id join ingest.stripe_links l on l.id = r.id
             where coalesce(f.kind, 'payment') not in ('customer', 'subscription', 'discount', 'price', 'product', 'coupon')
         ), customers (subject, id) as (
             select r.subject, p.customer_id from reach r join ingest.payments p using (id)
             union select r.subject, f.customer_id from reach r join ingest.stripe_facts f using (id)
             union select r.subject, k.customer_id from reach r join ingest.claims k on k.object_id = r.id
             union select r.subject, e.customer_id from reach r join ingest.customer_emails e on e.object_id = r.id
         )
         select distinct c.subject from customers c left join ingest.customers o using (id)
         where c.id <> all ($2)
           and (o.user_id is not null or exists (select from ingest.claims k where k.customer_id = c.id)
                or exists (select from ingest.customer_emails e where e.customer_id = c.id))",
    )
    .bind(subjects.iter().copied().collect::<Vec<_>>())
    .bind(person.customer_ids())
    .fetch_all(tx)
    .await?;
    Ok(others.into_iter().collect())
}

/// Drops these dead letters; returns how many.
pub(super) async fn drop_dead_letters(tx: &mut PgConnection, dead_letters: &Ids) -> Result<u64, sqlx::Error> {
    let pairs = dead_letters.pairs();
    let dropped = sqlx::query(
        "delete from ingest.events d using unnest($1::text[], $2::text[]) as n (source, event_id)
         where d.source = n.source and d.event_id = n.event_id and d.state = 'dead'",
    )
    .bind(pairs.iter().map(|(source, _)| *source).collect::<Vec<_>>())
    .bind(pairs.iter().map(|(_, event_id)| *event_id).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(dropped.rows_affected())
}

/// Empties all stored responses of the API: a repeated request only learns that it was executed.
pub(super) async fn empty_api_responses(tx: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let emptied = sqlx::query("update ingest.idempotency_keys set body = '{}' where body <> '{}'");
    Ok(emptied.execute(tx).await?.rows_affected())
}

/// Empties the stored differences of the last comparisons, of all members: the next comparison finds them again.
pub(super) async fn empty_comparisons(tx: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let emptied = sqlx::query("update ingest.last_checks set differences = '[]' where differences <> '[]'");
    Ok(emptied.execute(tx).await?.rows_affected())
}

/// Removes the errors of jobs that name the person: they may hold what an API or the database said. Returns how many.
pub(super) async fn remove_errors(tx: &mut PgConnection, person: &Person) -> Result<u64, sqlx::Error> {
    let errors: Vec<(i64, String)> =
        sqlx::query_as("select id, error from ingest.jobs where error is not null")
            .fetch_all(&mut *tx)
            .await?;
    let ids: Vec<i64> =
        errors.iter().filter(|(_, error)| body::is_named_in(person, error)).map(|(id, _)| *id).collect();
    let removed =
        sqlx::query("update ingest.jobs set error = 'removed, it named a person' where id = any ($1)")
            .bind(ids)
            .execute(tx)
            .await?;
    Ok(removed.rows_affected())
}

/// Deletes the saved views of the console that search for a followed address; returns how many.
pub(super) async fn delete_saved_views(tx: &mut PgConnection, person: &Person) -> Result<u64, sqlx::Error> {
    let views: Vec<(String, String, String, String)> =
        sqlx::query_as("select actor, list, name, query from ingest.saved_views").fetch_all(&mut *tx).await?;
    let mut deleted = 0;
    for (actor, list, name, query) in views {
        let values = form_urlencoded::parse(query.as_bytes()).map(|(_, value)| value.into_owned());
        let text = values.chain([name.clone()]).collect::<Vec<_>>().join("\n");
        if body::is_named_in(person, &text) {
            let delete = "delete from ingest.saved_views where actor = $1 and list = $2 and name = $3";
            sqlx::query(delete).bind(actor).bind(list).bind(name).execute(&mut *tx).await?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// Empties the arguments of audit log rows that name a followed address; returns how many.
pub(super) async fn empty_audit_arguments(
    tx: &mut PgConnection,
    person: &Person,
) -> Result<u64, sqlx::Error> {
    let addresses = Person { addresses: person.addresses.clone(), ..Person::default() };
    let acts: Vec<(i64, String)> =
        sqlx::query_as("select id, arguments::text from ingest.audit_log where arguments <> '{}'")
            .fetch_all(&mut *tx)
            .await?;
    let names_person = |arguments: &str| body::scan(&addresses, "", arguments.as_bytes()).names_person;
    let ids: Vec<i64> = acts.iter().filter(|(_, it)| names_person(it)).map(|(id, _)| *id).collect();
    let emptied = sqlx::query("update ingest.audit_log set arguments = '{}' where id = any ($1)")
        .bind(ids)
        .execute(tx)
        .await?;
    Ok(emptied.rows_affected())
}
