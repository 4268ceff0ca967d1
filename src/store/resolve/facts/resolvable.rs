//! What resolution needs from a state: of a Stripe object or an application row.

use crate::project::identity::{self, Claim};
use crate::project::stripe::StripeObject;
use crate::project::supabase::Row;

/// A state of an object that reports can disagree on.
pub(in crate::store) trait Resolvable {
    /// How far the object's status is in its lifecycle.
    fn rank(&self) -> i32;
    /// Whether all versions are kept, not only the present.
    fn has_history(&self) -> bool {
        false
    }
    /// Whether an earlier state still matters, because this one does not say everything.
    fn needs_earlier_state(&self) -> bool {
        false
    }
    /// Its identity claims, if its history is kept.
    fn identity_claims(&self) -> Vec<Claim> {
        Vec::new()
    }
    /// Takes over what matters from an earlier state.
    fn inherit(&mut self, _earlier: Option<Self>)
    where
        Self: Sized,
    {
    }
}

impl Resolvable for StripeObject {
    fn rank(&self) -> i32 {
        Self::rank(self)
    }

    fn has_history(&self) -> bool {
        match self {
            Self::Subscription(it) => !it.is_unreported_import,
            Self::Customer(_) | Self::Discount(_) => true,
            _ => false,
        }
    }

    fn needs_earlier_state(&self) -> bool {
        matches!(self, Self::Subscription(it) if !it.has_known_status())
    }

    fn identity_claims(&self) -> Vec<Claim> {
        if self.has_history() { identity::claims(self) } else { Vec::new() }
    }

    fn inherit(&mut self, earlier: Option<Self>) {
        if let (Self::Subscription(this), Some(Self::Subscription(earlier))) = (self, earlier) {
            this.known_status = Some(earlier.status);
        }
    }
}

impl Resolvable for Row {
    fn rank(&self) -> i32 {
        0
    }
}
