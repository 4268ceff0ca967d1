//! Shared by the commands that read from Stripe's API: the client, and failures with their exit codes.

use anyhow::Context as _;

use super::{Exit, Failure};
use crate::config::Config;
use crate::database;
use crate::ops::reconcile::stripe::ReconcileError;
use crate::ops::stripe_api::{NO_KEY, StripeApi, StripeApiError};
use crate::store::{Store, StoreError, StoreSettings};

/// A store and a client, as `config` names them.
pub(super) fn open(config: &Config, clock: &crate::clock::Clock) -> anyhow::Result<(Store, StripeApi)> {
    let api = StripeApi::rate_limited(config).map_err(|error| match &error {
        StripeApiError::OtherMode(_) => Failure::new(Exit::NotAllowed, error.to_string()),
        _ => Failure::new(Exit::Usage, error.to_string()),
    })?;
    let api = api.ok_or_else(|| Failure::new(Exit::Usage, NO_KEY))?;
    let pool = database::connect(config).context("DATABASE_URL cannot be used")?;
    Ok((Store::new(pool, clock.clone(), StoreSettings::new(config)), api))
}

/// 7 if Stripe or the database is down, 4 if Stripe rejects the key or its mode does not count, 1 otherwise.
pub(super) fn failure(error: ReconcileError) -> anyhow::Error {
    let exit = match &error {
        ReconcileError::Store(StoreError::Unavailable(_)) => Exit::DependencyDown,
        ReconcileError::Store(_) => Exit::Failed,
        ReconcileError::NotFound(_) => Exit::NotFound,
        ReconcileError::Api { source, .. } => match source {
            StripeApiError::OtherMode(_) | StripeApiError::Refused { status: 401 | 403, .. } => {
                Exit::NotAllowed
            }
            StripeApiError::Refused { status: 429 | 500.., .. }
            | StripeApiError::Unreachable(_)
            | StripeApiError::InvalidResponse(_)
            | StripeApiError::TooManyPages(_) => Exit::DependencyDown,
            StripeApiError::Refused { .. } => Exit::Failed,
            StripeApiError::Settings(_) => Exit::Usage,
        },
    };
    Failure::new(exit, error.explained()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::stripe::NotCounted;

    fn exit(source: StripeApiError) -> Exit {
        Exit::of(&failure(ReconcileError::Api { path: "/customers".to_owned(), source }))
    }

    #[test]
    fn stripe_outage_and_refusal_have_distinct_codes() {
        let refused = |status| StripeApiError::Refused { status, message: "no".to_owned() };
        for (source, expected) in [
            (refused(401), Exit::NotAllowed),
            (refused(403), Exit::NotAllowed),
            (refused(429), Exit::DependencyDown),
            (refused(503), Exit::DependencyDown),
            (refused(400), Exit::Failed),
            (StripeApiError::Unreachable("away".to_owned()), Exit::DependencyDown),
            (StripeApiError::InvalidResponse("<html>".to_owned()), Exit::DependencyDown),
            (StripeApiError::Settings("a key".to_owned()), Exit::Usage),
            (StripeApiError::OtherMode(NotCounted::TestMode), Exit::NotAllowed),
        ] {
            let said = source.to_string();
            assert_eq!(exit(source), expected, "{said}");
        }
        let away = StoreError::Unavailable(sqlx::Error::PoolTimedOut);
        assert_eq!(Exit::of(&failure(away.into())), Exit::DependencyDown);
        let rejected = StoreError::Rejected(sqlx::Error::RowNotFound);
        assert_eq!(Exit::of(&failure(rejected.into())), Exit::Failed);
    }
}
