//! Which of Stripe's events change the tables: those of the configured mode and account. The others are only stored:
//! they are not counted.

use std::fmt;
use std::str::FromStr;

use crate::envelope::origin::Origin;

/// Which mode's events are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StripeMode {
    /// Real money.
    #[default]
    Live,
    /// Test mode and sandboxes.
    Test,
    /// Both, for development.
    Any,
}

impl StripeMode {
    /// The value of the setting.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
            Self::Any => "any",
        }
    }

    /// Whether events of this `livemode` are counted. Events without it are.
    ///
    /// # Errors
    /// The reason why not.
    pub const fn check(self, livemode: Option<bool>) -> Result<(), NotCounted> {
        match (self, livemode) {
            (Self::Live, Some(false)) => Err(NotCounted::TestMode),
            (Self::Test, Some(true)) => Err(NotCounted::LiveMode),
            _ => Ok(()),
        }
    }
}

impl FromStr for StripeMode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Live, Self::Test, Self::Any].into_iter().find(|mode| mode.as_str() == text).ok_or(())
    }
}

/// The mode and account whose events change the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginFilter {
    /// The mode.
    pub mode: StripeMode,
    /// The account whose events are counted. `None`: events without an account, which belong to the account of the
    /// webhook endpoint.
    pub account: Option<String>,
}

impl OriginFilter {
    /// Whether events from `origin` are counted.
    ///
    /// # Errors
    /// The reason why not; the account is checked first.
    pub fn check(&self, origin: &Origin) -> Result<(), NotCounted> {
        match (&self.account, &origin.account) {
            (wanted, account) if wanted == account => self.mode.check(origin.livemode),
            (_, Some(account)) => Err(NotCounted::OtherAccount(account.clone())),
            (_, None) => Err(NotCounted::NoAccount),
        }
    }
}

/// Why an event is not counted: it is only stored, and changes no table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotCounted {
    /// It is of test mode or a sandbox.
    TestMode,
    /// It is of live mode.
    LiveMode,
    /// It is of this account.
    OtherAccount(String),
    /// It names no account, but one is configured.
    NoAccount,
    /// It is of this Twilio account.
    OtherTwilioAccount(String),
}

impl NotCounted {
    /// The kind of reason, as metric label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::TestMode => "test_mode",
            Self::LiveMode => "live_mode",
            Self::OtherAccount(_) => "other_account",
            Self::NoAccount => "no_account",
            Self::OtherTwilioAccount(_) => "other_twilio_account",
        }
    }

    /// The reason as stored: the kind, and the account if there is one.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            Self::OtherAccount(account) | Self::OtherTwilioAccount(account) => {
                format!("{}:{account}", self.kind())
            }
            _ => self.kind().to_owned(),
        }
    }

    /// The reason with this code.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        let account = code.split_once(':').map(|(kind, account)| match kind {
            "other_twilio_account" => Self::OtherTwilioAccount(account.to_owned()),
            _ => Self::OtherAccount(account.to_owned()),
        });
        let plain = [Self::TestMode, Self::LiveMode, Self::NoAccount];
        plain.into_iter().find(|reason| reason.kind() == code).or(account)
    }

    /// Whether events of this reason would be counted under `origin_filter`.
    #[must_use]
    pub fn is_lifted_by(&self, origin_filter: &OriginFilter) -> bool {
        match self {
            Self::TestMode => origin_filter.mode != StripeMode::Live,
            Self::LiveMode => origin_filter.mode != StripeMode::Test,
            Self::OtherAccount(account) => origin_filter.account.as_ref() == Some(account),
            Self::NoAccount => origin_filter.account.is_none(),
            // Not about Stripe.
            Self::OtherTwilioAccount(_) => false,
        }
    }

    /// The setting to change so that such events are counted.
    #[must_use]
    pub fn setting(&self) -> String {
        match self {
            Self::TestMode => "set MEMBERFLOW_STRIPE_MODE=test (or any, for development)".to_owned(),
            Self::LiveMode => "set MEMBERFLOW_STRIPE_MODE=live (or any, for development)".to_owned(),
            Self::OtherAccount(account) => format!("set MEMBERFLOW_STRIPE_ACCOUNT={account}"),
            Self::NoAccount => "leave MEMBERFLOW_STRIPE_ACCOUNT unset".to_owned(),
            Self::OtherTwilioAccount(account) => format!("set TWILIO_ACCOUNT_SID={account}"),
        }
    }
}

/// The mode or account of the event.
impl fmt::Display for NotCounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TestMode => f.write_str("test mode (livemode is false)"),
            Self::LiveMode => f.write_str("live mode (livemode is true)"),
            Self::OtherAccount(account) => write!(f, "the account {account}"),
            Self::NoAccount => f.write_str("the endpoint's own account (the event names none)"),
            Self::OtherTwilioAccount(account) => write!(f, "the Twilio account {account}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(livemode: Option<bool>, account: Option<&str>) -> Origin {
        Origin { livemode, account: account.map(ToOwned::to_owned) }
    }

    fn origin_filter(mode: StripeMode, account: Option<&str>) -> OriginFilter {
        OriginFilter { mode, account: account.map(ToOwned::to_owned) }
    }

    #[test]
    fn event_counts_only_for_configured_origin() {
        use StripeMode::{Any, Live, Test};
        let other = || Err("other_account:acct_2".to_owned());
        for (mode, wanted, livemode, account, expected) in [
            (Live, None, Some(true), None, Ok(())),
            (Live, None, Some(false), None, Err("test_mode".to_owned())),
            (Live, None, None, None, Ok(())),
            (Test, None, Some(true), None, Err("live_mode".to_owned())),
            (Test, None, Some(false), None, Ok(())),
            (Any, None, Some(false), None, Ok(())),
            (Any, None, Some(true), Some("acct_2"), other()),
            (Live, None, Some(false), Some("acct_2"), other()),
            (Live, Some("acct_2"), Some(true), Some("acct_2"), Ok(())),
            (Live, Some("acct_2"), Some(false), Some("acct_2"), Err("test_mode".to_owned())),
            (Live, Some("acct_1"), Some(true), Some("acct_2"), other()),
            (Any, Some("acct_1"), Some(true), None, Err("no_account".to_owned())),
        ] {
            let checked = origin_filter(mode, wanted).check(&origin(livemode, account));
            let code = checked.map_err(|reason| reason.code());
            assert_eq!(code, expected, "{mode:?} {wanted:?} {livemode:?} {account:?}");
        }
    }

    #[test]
    fn reason_code_round_trips_and_names_setting() {
        for (reason, mode, account) in [
            (NotCounted::TestMode, StripeMode::Test, None),
            (NotCounted::LiveMode, StripeMode::Live, None),
            (NotCounted::OtherAccount("acct_2".to_owned()), StripeMode::Live, Some("acct_2")),
            (NotCounted::NoAccount, StripeMode::Live, None),
        ] {
            assert_eq!(NotCounted::of_code(&reason.code()), Some(reason.clone()));
            assert!(reason.is_lifted_by(&origin_filter(mode, account)), "{reason}");
            assert!(reason.setting().contains("MEMBERFLOW_STRIPE_"), "{reason}");
        }
        assert!(!NotCounted::TestMode.is_lifted_by(&OriginFilter::default()));
        assert_eq!(NotCounted::of_code("whatever"), None);
    }
}
