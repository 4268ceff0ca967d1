//! Forgetting a person: what tells of them goes from the events, the facts and the CRM's tables; the books stay under
//! the customer and the user's id, which name nobody any more.
//!
//! [`person`] finds out who it is; [`crm`] cleans what is not derived. The events lose their bodies as pruned ones do,
//! so that the tables stay what the events made of them.

mod crm;
mod person;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use sqlx::types::Json;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::apply::{self, Touched};
use super::audit::{self, Act};
use super::derived::Tables;
use super::facts::Changed;
use super::{Store, StoreError, payments, prune, rebuild};
use crate::database;
use crate::project::stripe::StripeObject;

pub use person::Person;

/// What was removed or emptied, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// Who, where it was a user.
    pub user_id: Option<Uuid>,
    /// The account is still there, and the application's own tables about it.
    pub account_is_there: bool,
    /// Customers whose books stay.
    pub customers: u64,
    /// Rows by what was done to them.
    pub rows: BTreeMap<&'static str, u64>,
    /// Events about the person that are not applied yet: they will bring the person back.
    pub waiting: i64,
}

/// Why nobody was forgotten. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// A rebuild reads what would go.
    #[error("a rebuild is under way, which reads the bodies: wait until it has ended")]
    RebuildIsRunning,
    /// The database refuses or does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ForgetError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Forgets `person`, all in one transaction with its line in the audit log; or only says what that would be.
    ///
    /// # Errors
    /// [`ForgetError`]; nothing was changed then.
    pub async fn forget(
        &self,
        person: &Person,
        dry_run: bool,
        actor: &str,
    ) -> Result<Forgotten, ForgetError> {
        let now = self.clock.now();
        let mut tx = database::begin(&self.pool).await?;
        if !rebuild::keep_out(&mut tx).await? {
            return Err(ForgetError::RebuildIsRunning);
        }
        apply::lock(&mut tx).await?;
        let subjects = person.subjects(&mut tx).await?;
        let mut rows = BTreeMap::new();
        let emptied = prune::empty_these(&mut tx, &subjects, &person.events, now).await?;
        rows.insert("events emptied", emptied.events.unsigned_abs());
        rows.insert("decisions emptied", empty_matches(&mut tx, person).await?);
        let changed = scrub_facts(&mut tx, person, &subjects).await?;
        rows.insert("facts cleaned", changed.len() as u64);
        rows.insert("claims cleaned", scrub_claims(&mut tx, person, &subjects).await?);
        rows.extend(crm::clean(&mut tx, person).await?);
        let touched = Touched {
            customers: person.customers.clone(),
            users: person.user_id.into_iter().collect(),
            payments: payments::settle(&mut tx, &changed).await?,
            anew: person.customers.clone(),
            ..Touched::default()
        };
        apply::derive(&mut tx, Tables::Live, touched, &self.rules, now).await?;
        rows.retain(|_, count| *count > 0);
        let forgotten = Forgotten {
            user_id: person.user_id,
            account_is_there: person.account_is_there,
            customers: person.customers.len() as u64,
            rows,
            waiting: person.waiting(&mut tx).await?,
        };
        if dry_run {
            tx.rollback().await?;
        } else {
            note(&mut tx, &forgotten, actor, now).await?;
            tx.commit().await?;
        }
        Ok(forgotten)
    }
}

/// Says whom by the id alone, which names nobody.
async fn note(
    tx: &mut PgConnection,
    forgotten: &Forgotten,
    actor: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let arguments = json!({"user_id": forgotten.user_id});
    let outcome = json!({"customers": forgotten.customers, "rows": forgotten.rows});
    audit::record(tx, Act { actor, act: "forget", arguments, outcome }, now).await
}

/// The address by which a customer was matched is part of what memberflow noted then.
async fn empty_matches(tx: &mut PgConnection, person: &Person) -> Result<u64, sqlx::Error> {
    let emptied = sqlx::query(
        "update ingest.inbox
         set body = convert_to((jsonb_set(convert_from(body, 'UTF8')::jsonb, '{email}', '\"\"') - 'passed')::text, 'UTF8')
         where source = 'internal' and event_type = 'matched'
           and split_part(event_id, '/', 2) = any ($1)
           and convert_from(body, 'UTF8')::jsonb ->> 'email' <> ''",
    )
    .bind(person.customers.iter().map(String::as_str).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(emptied.rows_affected())
}

/// Returns the facts that changed.
async fn scrub_facts(
    tx: &mut PgConnection,
    person: &Person,
    subjects: &[String],
) -> Result<BTreeMap<String, Changed<StripeObject>>, sqlx::Error> {
    let rows = sqlx::query(
        "update stripe_facts set state = state
             || case when state ? 'email' then '{\"email\": null}' else '{}' end::jsonb
             || case when state ->> 'client_reference_id' like '%@%' then '{\"client_reference_id\": null}'
                     else '{}' end::jsonb
             || case when kind = 'charge' then '{\"description\": null}' else '{}' end::jsonb
         where (id = any ($1) or lower(state ->> 'email') = any ($2))
           and (state ->> 'email' is not null or state ->> 'client_reference_id' like '%@%'
                or kind = 'charge' and state ->> 'description' is not null)
         returning id, state",
    )
    .bind(subjects)
    .bind(person.emails())
    .fetch_all(tx)
    .await?;
    let changed = |row: &sqlx::postgres::PgRow| {
        let Json(after) = row.try_get(1)?;
        Ok((row.try_get(0)?, Changed { before: None, after }))
    };
    rows.iter().map(changed).collect()
}

async fn scrub_claims(
    tx: &mut PgConnection,
    person: &Person,
    subjects: &[String],
) -> Result<u64, sqlx::Error> {
    let scrubbed = sqlx::query(
        "update claims set claimed_users = array(select it from unnest(claimed_users) as it where it not like '%@%')
         where object_id = any ($1) and array_to_string(claimed_users, ' ') like '%@%'",
    )
    .bind(subjects)
    .execute(&mut *tx)
    .await?;
    Ok(scrubbed.rows_affected() + scrub_emails(tx, person, subjects).await?)
}

/// The addresses go; that the customer was matched to a user stays, once, without the address.
async fn scrub_emails(
    tx: &mut PgConnection,
    person: &Person,
    subjects: &[String],
) -> Result<u64, sqlx::Error> {
    let customers: Vec<&str> = person.customers.iter().map(String::as_str).collect();
    let deleted = sqlx::query(
        "delete from customer_emails e using (
             select object_id, email, row_number() over (partition by object_id, role = 'matched'
                                                         order by reported_at, place, event_id) as position
             from customer_emails where customer_id = any ($2) or object_id = any ($1) or email = any ($3)
         ) r
         where e.object_id = r.object_id and e.email = r.email
           and (e.role <> 'matched' or r.position > 1)",
    )
    .bind(subjects)
    .bind(&customers)
    .bind(person.emails())
    .execute(&mut *tx)
    .await?;
    let emptied = sqlx::query(
        "update customer_emails set email = '' where role = 'matched' and customer_id = any ($1) and email <> ''",
    )
    .bind(&customers)
    .execute(tx)
    .await?;
    Ok(deleted.rows_affected() + emptied.rows_affected())
}
