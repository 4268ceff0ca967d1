//! The keys with which the project signs tokens, cached for as long as the project allows.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::ops::supabase_auth_api::{AuthApi, AuthError, Key};

/// How long keys are cached: the project's own `Cache-Control`. A revoked key is rejected after that.
const TTL: Duration = Duration::from_secs(600);
/// The least time between two fetches for unknown keys, so that invented key ids do not flood the project.
const REFETCH_AFTER: Duration = Duration::from_secs(10);

/// The project's keys. One request at a time fetches them, and the others wait for its result.
#[derive(Default)]
pub(super) struct Keys(Mutex<Cached>);

#[derive(Default)]
struct Cached {
    keys: Vec<Key>,
    read_at: Option<Instant>,
    refetched_at: Option<Instant>,
}

impl Keys {
    /// The key of this name, if the project has it.
    pub(super) async fn find(
        &self,
        api: &AuthApi,
        kid: &str,
        now: Instant,
    ) -> Result<Option<Key>, AuthError> {
        let mut cached = self.0.lock().await;
        if !cached.is_due(kid, now) {
            return Ok(cached.named(kid));
        }
        cached.keys = api.keys().await?;
        cached.read_at = Some(now);
        Ok(cached.named(kid))
    }
}

impl Cached {
    fn named(&self, kid: &str) -> Option<Key> {
        self.keys.iter().find(|key| key.kid == kid).cloned()
    }

    /// Whether to fetch the keys: they are old, or this one is unknown and they were not fetched lately.
    fn is_due(&mut self, kid: &str, now: Instant) -> bool {
        let is_within = |at: Option<Instant>, span| at.is_some_and(|at| now.duration_since(at) < span);
        if !is_within(self.read_at, TTL) {
            return true;
        }
        if self.named(kid).is_some() || is_within(self.refetched_at, REFETCH_AFTER) {
            return false;
        }
        self.refetched_at = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey};

    use super::*;

    fn cached(kid: &str, read_at: Instant) -> Cached {
        let key = Key {
            kid: kid.to_owned(),
            algorithm: Algorithm::RS256,
            key: DecodingKey::from_rsa_components("AQAB", "AQAB").unwrap(),
        };
        Cached { keys: vec![key], read_at: Some(read_at), refetched_at: None }
    }

    #[test]
    fn keys_are_fetched_when_old_and_for_an_unknown_one_at_most_every_ten_seconds() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut keys = cached("one", begun);
        assert!(Cached::default().is_due("one", begun), "none were read yet");
        for (seconds, kid, expected) in [
            (0, "one", false),
            (0, "other", true),
            (1, "third", false),
            (9, "other", false),
            (10, "other", true),
            (11, "one", false),
            (599, "one", false),
            (600, "one", true),
        ] {
            assert_eq!(keys.is_due(kid, at(seconds)), expected, "{kid} after {seconds} s");
        }
    }
}
