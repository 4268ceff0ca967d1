//! The plan of what is removed: shown, confirmed and executed.

use std::collections::BTreeSet;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};
use sqlx::PgConnection;
use uuid::Uuid;

use super::address::{ListedAddress, PersonIdentity};
use super::crm::CrmRows;
use super::events;
use super::person::Person;

/// The ids of rows, or the keys of events (`stripe/evt_1`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids(pub BTreeSet<String>);

impl Ids {
    /// All of them, in order.
    #[must_use]
    pub fn all(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }

    /// The sources and ids of events.
    pub(super) fn pairs(&self) -> Vec<(&str, &str)> {
        self.0.iter().filter_map(|key| key.split_once('/')).collect()
    }
}

impl Serialize for Ids {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Ids", 2)?;
        fields.serialize_field("count", &self.0.len())?;
        fields.serialize_field("ids", &self.0)?;
        fields.end()
    }
}

/// Everything to remove, and what is not applied yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ForgetPlan {
    /// The user id, if it is or was a user.
    pub user_id: Option<Uuid>,
    /// Whether the account still exists, with the application's tables about it.
    pub account_is_there: bool,
    /// The addresses on the person's rows, and what happens to each.
    pub addresses: Vec<ListedAddress>,
    /// Stripe customers: their accounting records stay.
    pub customers: Ids,
    /// Events whose bodies are removed.
    pub events: Ids,
    /// Dead letters that are dropped.
    pub dead_letters: Ids,
    /// Rows of the CRM's tables.
    #[serde(flatten)]
    pub crm: CrmRows,
    /// Events that name the person and are not applied yet: they will bring the person back.
    #[serde(rename = "waiting")]
    pub not_applied: Ids,
    #[serde(skip)]
    identity: PersonIdentity,
    #[serde(skip)]
    pub(super) person: Person,
}

impl ForgetPlan {
    pub(super) async fn build(
        tx: &mut PgConnection,
        identity: PersonIdentity,
        country_code: &str,
    ) -> Result<Self, sqlx::Error> {
        let person = Person::of(tx, &identity).await?;
        Ok(Self {
            user_id: identity.user_id,
            account_is_there: identity.account_is_there,
            addresses: person.addresses.clone(),
            customers: Ids(person.customers.clone()),
            events: events::of(tx, &person).await?,
            dead_letters: events::dead_letters(tx, &person).await?,
            crm: CrmRows::of(tx, &person, country_code).await?,
            not_applied: events::not_applied(tx, &person).await?,
            identity,
            person,
        })
    }

    /// Whether the person, the customers and the rows are unchanged, and there is no new event about their
    /// objects.
    pub(super) async fn is_current(
        &self,
        tx: &mut PgConnection,
        country_code: &str,
    ) -> Result<bool, sqlx::Error> {
        let person = Person::of(tx, &self.identity).await?;
        let events = events::about_objects(tx, &person).await?;
        let crm = CrmRows::of(tx, &person, country_code).await?;
        Ok(person == self.person && crm == self.crm && events.0.is_subset(&self.events.0))
    }

    /// Whether nothing is known of the person.
    pub(super) fn is_empty(&self) -> bool {
        let ids = [&self.customers, &self.events, &self.dead_letters, &self.not_applied];
        let ids = ids.into_iter().chain(self.crm.kinds().map(|(_, ids)| ids));
        !self.account_is_there && ids.into_iter().all(|ids| ids.0.is_empty())
    }
}
