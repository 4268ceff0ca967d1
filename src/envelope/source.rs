//! The sources of events.

use std::fmt;
use std::str::FromStr;

/// A provider's endpoint. Each has its own queue, so that one in trouble does not delay the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Stripe's webhook endpoint.
    Stripe,
    /// Supabase Auth Hooks over HTTP.
    SupabaseAuth,
    /// Supabase Database Webhooks (`pg_net`).
    SupabaseDatabase,
    /// Twilio's webhooks for text messages.
    Twilio,
    /// What memberflow itself decided from the state of the database, stored as an event so that a rebuild
    /// repeats it. Written directly to `ingest.events`, never queued.
    Internal,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Stripe, Self::SupabaseAuth, Self::SupabaseDatabase, Self::Twilio, Self::Internal];
    /// The sources whose events are queued.
    pub const QUEUED: [Self; 4] = [Self::Stripe, Self::SupabaseAuth, Self::SupabaseDatabase, Self::Twilio];

    /// The name in the database, in routing keys and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::SupabaseAuth => "supabase.auth",
            Self::SupabaseDatabase => "supabase.database",
            Self::Twilio => "twilio",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not the name of a source.
#[derive(Debug, thiserror::Error)]
#[error("unknown source {0:?}; known are stripe, supabase.auth, supabase.database, twilio and internal")]
pub struct UnknownSource(pub String);

impl FromStr for Source {
    type Err = UnknownSource;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|source| source.as_str() == name)
            .ok_or_else(|| UnknownSource(name.to_owned()))
    }
}
