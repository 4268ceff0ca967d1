//! What a look finds, and what came of fixing it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uuid::Uuid;

/// What fixes a field that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Mend {
    /// Deriving the member's rows again, or counting the campaign's leads again.
    #[serde(rename = "memberflow reconcile supabase --fix")]
    Fix,
    /// Deriving everything again from the events.
    #[serde(rename = "memberflow rebuild")]
    Rebuild,
    /// Reading in rows that no event has reported.
    #[serde(rename = "memberflow backfill activity")]
    Backfill,
}

impl Mend {
    /// The command.
    #[must_use]
    pub const fn command(self) -> &'static str {
        match self {
            Self::Fix => "memberflow reconcile supabase --fix",
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
pub struct Drift {
    /// Whose it is.
    #[serde(flatten)]
    pub whose: Whose,
    /// What was looked at: `public.user_activity_metrics.total_logins`.
    pub field: String,
    /// What stands there; nothing: there is no row.
    pub here: Option<String>,
    /// What the recount says; nothing: there should be no row.
    pub recount: Option<String>,
    /// What fixes it.
    pub mend: Mend,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Members derived again.
    pub mended_members: u64,
    /// Campaigns counted again.
    pub mended_campaigns: u64,
    /// Tickets derived again.
    pub mended_tickets: u64,
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
