//! Seeds the shadow tables with what a rebuild cannot derive again: facts of objects that an event with a pruned body
//! reported. They are copied as they are, with what depends on them, before the events that still have their bodies
//! are resolved; those then change nothing that they had not changed before.

use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Executor as _, FromRow, PgConnection};
use uuid::Uuid;

use super::{begin_shadow, shadow};
use crate::project::stripe::StripeObject;
use crate::project::supabase::Row;
use crate::store::resolve::facts::ChangedObject;
use crate::store::resolve::{activity, payments};
use crate::store::{StoreSettings, sms};

/// Facts that are in memory at once.
const PAGE: i64 = 1000;

/// Seeds the facts of all pruned events. Does nothing if nothing was pruned.
pub(super) async fn seed(connection: &mut PgConnection, settings: &StoreSettings) -> Result<(), sqlx::Error> {
    if !is_any_pruned(connection).await? {
        return Ok(());
    }
    let mut tx = begin_shadow(connection, "begin isolation level repeatable read").await?;
    tx.execute(AssertSqlSafe(copy(&ALL))).await?;
    tx.commit().await?;
    shadow::analyze(connection).await?;
    let mut tx = begin_shadow(connection, "begin").await?;
    seed_payments(&mut tx).await?;
    seed_activity(&mut tx, settings).await?;
    seed_consents(&mut tx).await?;
    tx.commit().await
}

/// Seeds the facts of the subset in `scope`; returns how many of the events about it were pruned.
pub(super) async fn seed_subset(tx: &mut PgConnection, settings: &StoreSettings) -> Result<u64, sqlx::Error> {
    if !is_any_pruned(tx).await? {
        return Ok(0);
    }
    tx.execute(AssertSqlSafe(copy(&SUBSET))).await?;
    seed_payments(tx).await?;
    seed_activity(tx, settings).await?;
    seed_consents(tx).await?;
    let pruned: i64 = sqlx::query_scalar(
        "select count(*) from scope s cross join lateral (
             select from ingest.events e where e.subject = s.name and e.pruned_at is not null offset 0) e",
    )
    .fetch_one(tx)
    .await?;
    Ok(pruned.unsigned_abs())
}

/// Seeds prices, coupons or discounts that others depend on.
pub(super) async fn seed_objects(tx: &mut PgConnection, ids: &[String]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with seeded as (
             select u.id from unnest($1::text[]) as u (id) where exists (
                 select from ingest.events e where e.subject = u.id and e.pruned_at is not null)
         ), facts as (
             insert into stripe_facts select f.* from seeded join ingest.stripe_facts f using (id)
         )
         insert into stripe_versions select v.* from seeded join ingest.stripe_versions v using (id)",
    )
    .bind(ids)
    .execute(tx)
    .await?;
    Ok(())
}

async fn is_any_pruned(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from ingest.events where pruned_at is not null)")
        .fetch_one(connection)
        .await
}

/// What is copied of what was pruned, in SQL: the subjects, and conditions on logins and users.
struct Copied {
    subjects: &'static str,
    logins: &'static str,
    users: &'static str,
}

const ALL: Copied = Copied {
    subjects: "select distinct subject from ingest.events
               where pruned_at is not null and subject is not null and not_counted is null",
    logins: "true",
    users: "true",
};

const SUBSET: Copied = Copied {
    subjects:
        "select distinct e.subject from scope s cross join lateral (
                   select e.subject from ingest.events e
                   where e.subject = s.name and e.pruned_at is not null and e.not_counted is null offset 0) e",
    logins: "user_id in (select id from scope where id is not null)",
    users: "id in (select id from scope where id is not null)",
};

fn copy(Copied { subjects, logins, users }: &Copied) -> String {
    format!(
        "insert into pruned {subjects};
         insert into stripe_facts select f.* from ingest.stripe_facts f join pruned p on p.subject = f.id;
         insert into stripe_versions select v.* from ingest.stripe_versions v join pruned p on p.subject = v.id;
         insert into stripe_links
         select l.* from ingest.stripe_links l join pruned p on p.subject = l.id
         union
         select l.* from ingest.stripe_links l join pruned p on p.subject = l.other;
         insert into claims select c.* from ingest.claims c join pruned p on p.subject = c.object_id;
         insert into customer_emails
         select e.* from ingest.customer_emails e join pruned p on p.subject = e.object_id;
         insert into sms_facts select f.* from ingest.sms_facts f join pruned p on p.subject = f.sid;
         insert into sms_consent_ledger
         select l.* from ingest.sms_consent_ledger l join pruned p on p.subject = l.sid;
         insert into parked
         select k.* from ingest.parked k join pruned p using (subject) where k.reason = 'thin_event';
         insert into row_facts
         select f.* from pruned p join ingest.row_facts f
           on f.relation = split_part(p.subject, '/', 1) and f.row_id = substr(p.subject, strpos(p.subject, '/') + 1);
         -- Events about a login or a user have no subject.
         insert into logins select * from ingest.logins
         where exists (select from ingest.events where pruned_at is not null and subject is null) and {logins};
         insert into seen_users select id from ingest.users where {users} on conflict do nothing;
         insert into activity (user_id, logins) select user_id, count(*) from logins where counted group by user_id;"
    )
}

/// Computes the payments of the copied facts.
async fn seed_payments(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut last = String::new();
    loop {
        let page: Vec<(String, Json<StripeObject>)> =
            sqlx::query_as("select id, state from stripe_facts where id > $1 order by id limit $2")
                .bind(&last)
                .bind(PAGE)
                .fetch_all(&mut *tx)
                .await?;
        let Some((end, _)) = page.last() else { return Ok(()) };
        last.clone_from(end);
        let seeded = page.into_iter().map(|(id, Json(after))| (id, ChangedObject { before: None, after }));
        payments::resolve(tx, &seeded.collect()).await?;
    }
}

/// Computes the consents of the numbers in the copied ledger. They are not copied, or no comparison would find a wrong
/// one.
async fn seed_consents(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut last = String::new();
    loop {
        let numbers: Vec<String> = sqlx::query_scalar(
            "select distinct number from sms_consent_ledger where number > $1 order by number limit $2",
        )
        .bind(&last)
        .bind(PAGE)
        .fetch_all(&mut *tx)
        .await?;
        let Some(end) = numbers.last() else { return Ok(()) };
        last.clone_from(end);
        sms::update_consents(tx, &numbers).await?;
    }
}

/// A fact about a row, with what it counts for.
#[derive(FromRow)]
struct RowFact {
    relation: String,
    row_id: String,
    user_id: Option<Uuid>,
    counted: bool,
    amount: i64,
}

impl From<RowFact> for Row {
    fn from(RowFact { relation, row_id, user_id, counted, amount }: RowFact) -> Self {
        Self { relation, row_id, user_id, counted, amount }
    }
}

/// Counts the copied facts about rows.
async fn seed_activity(tx: &mut PgConnection, settings: &StoreSettings) -> Result<(), sqlx::Error> {
    let mut last = (String::new(), String::new());
    loop {
        let page: Vec<RowFact> = sqlx::query_as(
            "select relation, row_id, user_id, counted, amount from row_facts
             where (relation, row_id) > ($1, $2) order by relation, row_id limit $3",
        )
        .bind(&last.0)
        .bind(&last.1)
        .bind(PAGE)
        .fetch_all(&mut *tx)
        .await?;
        let Some(end) = page.last() else { return Ok(()) };
        last = (end.relation.clone(), end.row_id.clone());
        let mut differences = activity::Differences::new();
        for fact in page {
            activity::count_row(&mut differences, None, &Row::from(fact), &settings.decoding.tables);
        }
        activity::write(tx, &[], &differences).await?;
    }
}
