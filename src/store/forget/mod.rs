//! Forgetting a person: what tells of them goes from the events, the facts and the CRM's tables; the books stay under
//! the customer and the user's id, which name nobody any more.
//!
//! [`address`] finds the addresses that are the person's own, [`person`] what is theirs by those, [`body`] and [`events`]
//! the events that tell of them and of nobody else, [`crm`] the CRM's rows. Together they make the [`List`], which is
//! shown, confirmed and done: [`scrub`] and [`crm`] clean what it names. The events lose their bodies as pruned ones do,
//! so that the tables stay what the events made of them.

mod address;
mod body;
mod crm;
mod events;
mod list;
mod person;
mod scrub;

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::apply::{self, Touched};
use super::audit::{self, Act};
use super::derive::tables::Tables;
use super::events::prune;
use super::resolve::payments;
use super::{Store, StoreError, rebuild, sms};
use crate::database;

pub use address::{ListedAddress, Use};
pub use list::{Ids, List};

use address::Evidence;
use person::Person;

/// Rows by what was done to them; nothing where there were none.
pub type Done = BTreeMap<&'static str, u64>;

/// Why nobody was forgotten. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// A rebuild reads what would go.
    #[error("a rebuild is under way, which reads the bodies: wait until it has ended")]
    RebuildIsRunning,
    /// The address alone does not tell who is meant.
    #[error("several users have or had this address, name one by the user id: {0}")]
    Ambiguous(String),
    /// What was listed is not what would go now.
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
    /// Lists what goes when the person of this user id or e-mail address is forgotten; none where nothing is known of
    /// them. Reads every body in the inbox, and keeps nobody waiting meanwhile.
    ///
    /// # Errors
    /// [`ForgetError`]
    pub async fn list_to_forget(&self, who: &str) -> Result<Option<List>, ForgetError> {
        let mut tx = super::reading(&self.pool).await?;
        let Some(evidence) = Evidence::find(&mut tx, who, self.rules.matching.sso_email).await? else {
            return Ok(None);
        };
        let list = List::make(&mut tx, evidence).await?;
        Ok(list.knows_anything().then_some(list))
    }

    /// Forgets what is on the list and nothing else, all in one transaction with its line in the audit log.
    ///
    /// # Errors
    /// [`ForgetError`]; nothing was changed then.
    pub async fn forget(&self, list: &List, actor: &str) -> Result<Done, ForgetError> {
        let now = self.clock.now();
        let mut tx = database::begin(&self.pool).await?;
        if !rebuild::keep_out(&mut tx).await? {
            return Err(ForgetError::RebuildIsRunning);
        }
        apply::lock(&mut tx).await?;
        if !list.still_holds(&mut tx).await? {
            return Err(ForgetError::Changed);
        }
        let person = &list.person;
        let mut done = Done::new();
        done.insert("events emptied", prune::empty_these(&mut tx, &list.events.pairs(), now).await?);
        done.insert("decisions emptied", scrub::matches(&mut tx, person).await?);
        let changed = scrub::facts(&mut tx, person).await?;
        done.insert("facts cleaned", changed.len() as u64);
        done.insert("claims cleaned", scrub::claims(&mut tx, person).await?);
        done.insert("addresses of customers removed", scrub::emails(&mut tx, person).await?);
        done.insert("dead letters dropped", events::drop_letters(&mut tx, &list.dead_letters).await?);
        done.insert("acts emptied", events::empty_acts(&mut tx, person).await?);
        done.insert("kept answers emptied", events::empty_answers(&mut tx).await?);
        done.insert("saved views deleted", events::delete_views(&mut tx, person).await?);
        done.insert("kept differences emptied", events::empty_differences(&mut tx).await?);
        done.insert(
            "reports of messages removed",
            sms::forget(&mut tx, &list.crm.messages.all(), now).await?,
        );
        done.extend(crm::clean(&mut tx, person, &list.crm).await?);
        let touched = Touched {
            customers: person.customers.clone(),
            users: person.user_id.into_iter().collect(),
            payments: payments::settle(&mut tx, &changed).await?,
            force_rewrite: person.customers.clone(),
            ..Touched::default()
        };
        apply::derive(&mut tx, Tables::Live, touched, &self.rules, now).await?;
        done.retain(|_, count| *count > 0);
        note(&mut tx, person, &done, actor, now).await?;
        tx.commit().await?;
        Ok(done)
    }
}

/// Says whom by the id alone, which names nobody.
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
