//! Forgets a person: removes personal data from the events, the facts and the CRM's tables. The accounting
//! records stay under the ids of customer and user, which identify nobody any more.
//!
//! [`address`] finds the person's own addresses, [`person`] what belongs to them, [`body`] and [`events`] the
//! events about them and nobody else, [`crm`] the CRM's rows. Together they form the [`ForgetPlan`], which is
//! shown, confirmed and executed: [`scrub`] and [`crm`] clean what it names. The events lose their bodies as
//! in pruning, so that the tables stay consistent. The ids of the objects stay in `ingest.forgotten_objects`, so
//! that nothing is imported from the providers' APIs again.

mod address;
mod body;
mod crm;
mod events;
mod person;
mod plan;
mod scrub;

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::affected::AffectedRevenue;
use super::audit::{self, Act};
use super::derive::derive;
use super::events::prune;
use super::locks;
use super::resolve::payments;
use super::tables::Tables;
use super::{Store, StoreError, forgotten, rebuild, sms};
use crate::database;

pub use address::{AddressHandling, ListedAddress};
pub use plan::{ForgetPlan, Ids};

use address::PersonIdentity;
use person::Person;

/// The number of rows by action, without zeros.
pub type Done = BTreeMap<&'static str, u64>;

/// Why nothing was forgotten. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// A rebuild is reading the events.
    #[error("a rebuild is running and reads the bodies: wait until it has finished")]
    RebuildIsRunning,
    /// The address alone does not identify one person.
    #[error("several users have or had this address, name one by the user id: {0}")]
    Ambiguous(String),
    /// The plan is out of date.
    #[error(
        "what is known of the person has changed since it was listed, nothing was removed: run this again"
    )]
    Changed,
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
    /// Plans what is removed when the person of this user id or e-mail address is forgotten; `None` if
    /// unknown. Reads every stored body, without holding locks.
    pub async fn plan_forget(&self, who: &str) -> Result<Option<ForgetPlan>, ForgetError> {
        let mut tx = super::begin_read_only(&self.pool).await?;
        let Some(identity) = PersonIdentity::find(&mut tx, who, self.settings.matching.sso_email).await?
        else {
            return Ok(None);
        };
        let plan = ForgetPlan::build(&mut tx, identity, &self.settings.sms.country_code).await?;
        Ok((!plan.is_empty()).then_some(plan))
    }

    /// Removes exactly what is in the plan, in one transaction with its row in the audit log.
    ///
    /// # Errors
    /// [`ForgetError`]; nothing was changed then.
    pub async fn forget(&self, plan: &ForgetPlan, actor: &str) -> Result<Done, ForgetError> {
        let now = self.clock.now();
        let mut tx = database::begin(&self.pool).await?;
        if !locks::prevent_rebuild(&mut tx).await? {
            return Err(ForgetError::RebuildIsRunning);
        }
        locks::lock(&mut tx).await?;
        if !plan.is_current(&mut tx, &self.settings.sms.country_code).await? {
            return Err(ForgetError::Changed);
        }
        // Shadow tables of an interrupted rebuild have copies of the facts.
        rebuild::remove_leftovers(&mut tx).await?;
        let person = &plan.person;
        let mut done = Done::new();
        done.insert("events emptied", prune::prune_events(&mut tx, &plan.events.pairs(), now).await?);
        done.insert("decisions emptied", scrub::matches(&mut tx, person).await?);
        let changed = scrub::facts(&mut tx, person).await?;
        done.insert("facts cleaned", changed.len() as u64);
        done.insert("claims cleaned", scrub::identity_claims(&mut tx, person).await?);
        done.insert("addresses of customers removed", scrub::emails(&mut tx, person).await?);
        done.insert("dead letters dropped", events::drop_dead_letters(&mut tx, &plan.dead_letters).await?);
        done.insert("acts emptied", events::empty_audit_arguments(&mut tx, person).await?);
        done.insert("kept answers emptied", events::empty_api_responses(&mut tx).await?);
        done.insert("saved views deleted", events::delete_saved_views(&mut tx, person).await?);
        done.insert("errors of jobs removed", events::remove_errors(&mut tx, person).await?);
        done.insert("kept differences emptied", events::empty_comparisons(&mut tx).await?);
        forgotten::remember(&mut tx, &person.object_ids(), now).await?;
        done.insert(
            "reports of messages removed",
            sms::forget(&mut tx, &plan.crm.messages.all(), &plan.crm.reports.all(), now).await?,
        );
        done.extend(crm::clean(&mut tx, person, &plan.crm).await?);
        let affected = AffectedRevenue {
            owners_to_decide: person.customers.clone(),
            users: person.user_id.into_iter().collect(),
            payments: payments::resolve(&mut tx, &changed).await?,
            force_rewrite: person.customers.clone(),
            ..AffectedRevenue::default()
        };
        derive(&mut tx, Tables::Live, affected.into(), &self.settings, now).await?;
        done.retain(|_, count| *count > 0);
        note(&mut tx, person, &done, actor, now).await?;
        tx.commit().await?;
        Ok(done)
    }
}

/// Identifies the person only by the id.
async fn note(
    tx: &mut PgConnection,
    person: &Person,
    done: &Done,
    actor: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let arguments = json!({"user_id": person.user_id});
    let outcome = json!({"customers": person.customers.len(), "rows": done});
    audit::record(tx, Act { actor, act: "forget", arguments, outcome }, now).await
}
