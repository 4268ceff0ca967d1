//! The differences, and the result of fixing them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uuid::Uuid;

/// The command that fixes a field that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum FixedBy {
    /// Derives the member's rows again, or counts the campaign's leads again.
    #[serde(rename = "memberflow reconcile supabase --fix")]
    Reconcile,
    /// Derives everything again from the events.
    #[serde(rename = "memberflow rebuild")]
    Rebuild,
    /// Imports rows that no event has reported.
    #[serde(rename = "memberflow backfill activity")]
    Backfill,
}

impl FixedBy {
    /// The command.
    #[must_use]
    pub const fn command(self) -> &'static str {
        match self {
            Self::Reconcile => "memberflow reconcile supabase --fix",
            Self::Rebuild => "memberflow rebuild",
            Self::Backfill => "memberflow backfill activity",
        }
    }
}

/// Whose field differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Whose {
    /// A member's.
    #[serde(rename = "user_id")]
    Member(Uuid),
    /// A campaign's.
    #[serde(rename = "campaign_id")]
    Campaign(Uuid),
    /// A ticket's.
    #[serde(rename = "ticket_id")]
    Ticket(Uuid),
    /// A text message's.
    #[serde(rename = "message_id")]
    Message(Uuid),
}

/// A field of a member, a campaign, a ticket or a text message that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DriftedValue {
    /// Whose it is.
    #[serde(flatten)]
    pub whose: Whose,
    /// What was compared: `public.user_activity_metrics.total_logins`.
    pub field: String,
    /// Its value; `None` if there is no row.
    pub here: Option<String>,
    /// The recounted value; `None` if there should be no row.
    pub recount: Option<String>,
    /// What fixes it.
    #[serde(rename = "mend")]
    pub fixed_by: FixedBy,
}

/// The result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Members derived again.
    #[serde(rename = "mended_members")]
    pub fixed_members: u64,
    /// Campaigns counted again.
    #[serde(rename = "mended_campaigns")]
    pub fixed_campaigns: u64,
    /// Tickets derived again.
    #[serde(rename = "mended_tickets")]
    pub fixed_tickets: u64,
    /// Fields that differ, by the command that fixes them; after fixing, those that differ still.
    pub differing: BTreeMap<&'static str, u64>,
    /// Tables that could not be read.
    pub skipped: BTreeSet<String>,
}

impl Report {
    /// How many fields differ.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.differing.values().sum()
    }
}
