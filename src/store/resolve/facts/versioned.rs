//! What the resolution needs to know of a state, be it of an object of Stripe's or of an application's row.

use crate::project::identity::{self, Claim};
use crate::project::stripe::StripeObject;
use crate::project::supabase::Row;

/// A state of an object that reports can disagree on.
pub(in crate::store) trait Versioned {
    /// How far along its life the object's status is.
    fn rank(&self) -> i32;
    /// Every moment of its past is kept, not only the present.
    fn has_history(&self) -> bool {
        false
    }
    /// Earlier events matter to it still.
    fn looks_back(&self) -> bool {
        false
    }
    /// What it says about whose customer it is, where its history is kept.
    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }
    /// Takes over what matters of an earlier state.
    fn recall(&mut self, _earlier: Option<Self>)
    where
        Self: Sized,
    {
    }
}

impl Versioned for StripeObject {
    fn rank(&self) -> i32 {
        Self::rank(self)
    }

    fn has_history(&self) -> bool {
        match self {
            Self::Subscription(it) => !it.needs_stripe,
            Self::Customer(_) | Self::Discount(_) => true,
            _ => false,
        }
    }

    fn looks_back(&self) -> bool {
        matches!(self, Self::Subscription(it) if !it.has_known_status())
    }

    fn claims(&self) -> Vec<Claim> {
        if self.has_history() { identity::claims(self) } else { Vec::new() }
    }

    fn recall(&mut self, earlier: Option<Self>) {
        if let (Self::Subscription(this), Some(Self::Subscription(earlier))) = (self, earlier) {
            this.known_status = Some(earlier.status);
        }
    }
}

impl Versioned for Row {
    fn rank(&self) -> i32 {
        0
    }
}
