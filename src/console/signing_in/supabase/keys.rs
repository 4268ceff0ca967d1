//! The keys with which the project signs tokens, kept for as long as the project allows.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::ops::supabase_auth_api::{AuthApi, AuthError, Key};

/// How long keys are kept: what the project's own `Cache-Control` says. A key that is revoked signs nothing after that.
const LASTS: Duration = Duration::from_secs(600);
/// Between requests for a key that is not among them: whoever invents names of keys makes no more.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// The project's keys. One request at a time asks for them, and the others wait for its answer.
#[derive(Default)]
pub(super) struct Keys(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    keys: Vec<Key>,
    read_at: Option<Instant>,
    asked_again_at: Option<Instant>,
}

impl Keys {
    /// The key of this name, if the project has it.
    pub(super) async fn find(
        &self,
        api: &AuthApi,
        kid: &str,
        now: Instant,
    ) -> Result<Option<Key>, AuthError> {
        let mut kept = self.0.lock().await;
        if !kept.is_due(kid, now) {
            return Ok(kept.named(kid));
        }
        kept.keys = api.keys().await?;
        kept.read_at = Some(now);
        Ok(kept.named(kid))
    }
}

impl Kept {
    fn named(&self, kid: &str) -> Option<Key> {
        self.keys.iter().find(|key| key.kid == kid).cloned()
    }

    /// Whether the keys are asked for: they are old, or this one is not among them and nobody asked lately.
    fn is_due(&mut self, kid: &str, now: Instant) -> bool {
        let is_within = |at: Option<Instant>, span| at.is_some_and(|at| now.duration_since(at) < span);
        if !is_within(self.read_at, LASTS) {
            return true;
        }
        if self.named(kid).is_some() || is_within(self.asked_again_at, ASK_AGAIN) {
            return false;
        }
        self.asked_again_at = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey};

    use super::*;

    fn kept(kid: &str, read_at: Instant) -> Kept {
        let key = Key {
            kid: kid.to_owned(),
            algorithm: Algorithm::RS256,
            key: DecodingKey::from_rsa_components("AQAB", "AQAB").unwrap(),
        };
        Kept { keys: vec![key], read_at: Some(read_at), asked_again_at: None }
    }

    #[test]
    fn keys_are_asked_for_when_old_and_for_an_unknown_one_at_most_every_ten_seconds() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut keys = kept("one", begun);
        assert!(Kept::default().is_due("one", begun), "none were read yet");
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
