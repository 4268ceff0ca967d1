//! How one process divides its database connections: no part can take another's share.

use super::Role;
use crate::config::ConfigError;

/// The readiness check's connection, outside of all shares.
const CHECK: u32 = 1;

/// Connections of each part of the process; 0 if it does not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shares {
    /// Writes accepted events to Postgres.
    pub intake: u32,
    /// Locks and applies pending events: one connection listens, each of the others holds a batch.
    pub pending: u32,
    /// Applies the broker's batches, and does the consumer's upkeep.
    pub apply: u32,
    /// Answers the API.
    pub api: u32,
}

/// Where connections beyond the minimum go, one by one. The rest goes to the API, which alone can use more.
const GROWTH: [fn(&mut Shares) -> &mut u32; 7] = [
    |shares| &mut shares.apply,
    |shares| &mut shares.pending,
    |shares| &mut shares.intake,
    |shares| &mut shares.apply,
    |shares| &mut shares.api,
    |shares| &mut shares.pending,
    |shares| &mut shares.apply,
];

impl Shares {
    /// The shares of `total` connections.
    ///
    /// # Errors
    /// [`ConfigError::TooFewConnections`], if a part would have none.
    pub(super) fn of(total: u32, roles: &[Role]) -> Result<Self, ConfigError> {
        let has = |role| u32::from(roles.contains(&role));
        let mut shares = Self {
            intake: has(Role::Receive),
            pending: 2 * has(Role::Consume),
            apply: has(Role::Consume),
            api: has(Role::Api),
        };
        let needed = CHECK + shares.sum();
        let mut spare =
            total.checked_sub(needed).ok_or(ConfigError::TooFewConnections { given: total, needed })?;
        for share in GROWTH {
            let share = share(&mut shares);
            if *share > 0 && spare > 0 {
                *share += 1;
                spare -= 1;
            }
        }
        if shares.api > 0 {
            shares.api += spare;
        }
        Ok(shares)
    }

    const fn sum(self) -> u32 {
        self.intake + self.pending + self.apply + self.api
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_gives_each_role_what_it_can_use() {
        use Role::{Api, Consume, Receive, Relay};
        for (roles, expected) in [
            (&Role::ALL[..], (2, 3, 3, 1)),
            (&[Receive, Api], (2, 0, 0, 7)),
            (&[Receive], (2, 0, 0, 0)),
            (&[Relay, Consume], (0, 4, 4, 0)),
            (&[Consume], (0, 4, 4, 0)),
            (&[Relay], (0, 0, 0, 0)),
        ] {
            let Shares { intake, pending, apply, api } = Shares::of(10, roles).unwrap();
            assert_eq!((intake, pending, apply, api), expected, "{roles:?}");
        }
    }

    #[test]
    fn no_role_goes_without_and_nothing_exceeds_the_total() {
        for roles in (0_usize..16).map(|set| {
            Role::ALL
                .into_iter()
                .enumerate()
                .filter(move |(bit, _)| set >> bit & 1 == 1)
                .map(|(_, role)| role)
        }) {
            let roles: Vec<Role> = roles.collect();
            for total in 1..30 {
                match Shares::of(total, &roles) {
                    Ok(shares) => {
                        assert!(CHECK + shares.sum() <= total, "{total} {roles:?}: {shares:?}");
                        for (role, share) in [
                            (Role::Receive, shares.intake),
                            (Role::Consume, shares.apply),
                            (Role::Api, shares.api),
                        ] {
                            assert_eq!(roles.contains(&role), share > 0, "{total} {roles:?}: {shares:?}");
                        }
                        assert_ne!(shares.pending, 1, "one listens and at least one locks");
                    }
                    Err(_) => assert!(total < 6, "{total} {roles:?}"),
                }
            }
        }
    }
}
