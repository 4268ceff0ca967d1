//! Where a Stripe event comes from: its mode and its account.

use serde_json::Value;

/// Account ids are truncated to this length; Stripe's own have about 25 characters.
const ACCOUNT_MAX_CHARS: usize = 64;
/// What the ids of accounts begin with.
const ACCOUNT_PREFIX: &str = "acct_";

/// The mode and the account that an event or an API object names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// `livemode`; `None` if absent.
    pub livemode: Option<bool>,
    /// The account, if it is not the one of the webhook endpoint or API key: a connected account, or one of
    /// an organization.
    pub account: Option<String>,
}

impl Origin {
    /// The origin that the top level of an event names. Connect names the account as `account`, before 2017-05-25 as
    /// `user_id`; an organization names it as `context`, which may be a path to it.
    #[must_use]
    pub fn new(
        livemode: Option<bool>,
        account: Option<&str>,
        context: Option<&str>,
        user_id: Option<&str>,
    ) -> Self {
        let context = context.and_then(|path| path.rsplit('/').next());
        let elsewhere = [context, user_id].into_iter().flatten().find(|id| id.starts_with(ACCOUNT_PREFIX));
        let account = account.filter(|id| !id.is_empty()).or(elsewhere);
        Self { livemode, account: account.map(plain) }
    }

    /// The origin of a whole event.
    #[must_use]
    pub fn of_event(event: &Value) -> Self {
        let text = |field: &str| event[field].as_str();
        Self::new(event["livemode"].as_bool(), text("account"), text("context"), text("user_id"))
    }
}

/// Replaces unprintable characters: the id is signed, but may still contain anything.
fn plain(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '?' };
    id.chars().take(ACCOUNT_MAX_CHARS).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn account_is_found_in_every_api_version() {
        for (event, account) in [
            (json!({}), None),
            (json!({"account": null, "context": null}), None),
            (json!({"account": ""}), None),
            (json!({"account": "acct_1", "context": "acct_2"}), Some("acct_1")),
            (json!({"context": "acct_2"}), Some("acct_2")),
            (json!({"context": "acct_platform/acct_3"}), Some("acct_3")),
            (json!({"context": "something else"}), None),
            (json!({"user_id": "acct_4"}), Some("acct_4")),
            (json!({"account": "acct_\u{0}\u{202e}5"}), Some("acct_??5")),
            (json!({"user_id": "11111111-2222-4333-8444-555555555555"}), None),
        ] {
            assert_eq!(Origin::of_event(&event).account.as_deref(), account, "{event}");
        }
    }

    #[test]
    fn mode_is_read_only_from_a_boolean() {
        for (event, livemode) in [
            (json!({"livemode": true}), Some(true)),
            (json!({"livemode": false}), Some(false)),
            (json!({"livemode": "false"}), None),
            (json!({"livemode": null}), None),
            (json!({}), None),
        ] {
            assert_eq!(Origin::of_event(&event).livemode, livemode, "{event}");
        }
    }
}
