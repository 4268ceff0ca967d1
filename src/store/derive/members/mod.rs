//! The members' tables: `user_revenue_metrics`, `user_revenue_by_currency` and `user_activity_metrics`.

pub mod activity;
pub mod locked;
mod revenue;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use self::activity::MemberActivity;
use super::customer_revenue::{ChangedSums, SumsByCustomer};
use super::subscriptions::SubscriptionWithTier;
use crate::project::member::{self, MemberSubscription, SubscriptionSummary};
use crate::store::StoreSettings;

/// The input of the members' rows.
pub struct MemberInputs<'a> {
    /// Users who exist and whose rows are written completely.
    pub complete: &'a BTreeSet<Uuid>,
    /// Users who exist and of whom only payments were reported: only the amounts of their rows are written.
    pub payment_only: &'a BTreeSet<Uuid>,
    /// The members whose row of activity is written.
    pub activity: &'a [MemberActivity],
    /// Each customer of both, with its user.
    pub owners: &'a HashMap<String, Uuid>,
    /// The customers' sums.
    pub sums: &'a SumsByCustomer,
    /// Those that changed, and are written with the rows.
    pub changed_sums: ChangedSums<'a>,
    /// The customers' subscriptions.
    pub subscriptions: &'a [SubscriptionWithTier],
    pub(super) context: Context<'a>,
}

/// What the rows depend on besides facts.
pub struct Context<'a> {
    pub(super) settings: &'a StoreSettings,
    pub(super) now: OffsetDateTime,
    /// Members whose rows are computed as of another moment than now.
    pub as_of: &'a HashMap<Uuid, OffsetDateTime>,
}

impl Context<'_> {
    fn as_of(&self, user: Uuid) -> OffsetDateTime {
        self.as_of.get(&user).copied().unwrap_or(self.now)
    }
}

/// Writes the members' rows, and the customers' sums.
pub async fn write(tx: &mut PgConnection, inputs: &MemberInputs<'_>) -> Result<(), sqlx::Error> {
    let summaries = summaries(inputs);
    revenue::write(tx, inputs, &summaries).await?;
    activity::write(tx, inputs, &summaries).await
}

/// What a member's subscriptions say.
#[derive(Default)]
struct MemberSummary {
    summary: SubscriptionSummary,
    /// The currency to show if nothing was paid: a trial has one too.
    currency: Option<String>,
}

/// The summary of each user with a subscription.
fn summaries(inputs: &MemberInputs<'_>) -> BTreeMap<Uuid, MemberSummary> {
    let mut by_user = BTreeMap::<Uuid, Vec<MemberSubscription>>::new();
    for tiered in inputs.subscriptions {
        if let Some(user) = inputs.owners.get(&tiered.valuation.subscription.customer) {
            by_user.entry(*user).or_default().push(tiered.member_subscription());
        }
    }
    by_user
        .into_iter()
        .map(|(user, subscriptions)| {
            let currency =
                subscriptions.iter().map(|it| it.currency.clone()).filter(|it| !it.is_empty()).min();
            let summary = member::summarise(&subscriptions, inputs.context.as_of(user));
            (user, MemberSummary { summary, currency })
        })
        .collect()
}
