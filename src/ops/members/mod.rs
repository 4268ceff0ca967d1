//! The members: one row per account in `auth.users`, with what the other tables know about it.
//!
//! Read by the API and by `memberflow members`; the only place that joins these tables.

mod candidates;
mod change;
mod contact;
mod cursor;
mod events;
mod filter;
mod list;
mod show;
mod sort;
mod sql;
mod timeline;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

pub use change::{Change, ChangeError, MAX_TAG_CHARS, MAX_TAGS, change, change_expected};
pub use contact::{Contact, Support};
pub use cursor::Cursor;
pub use events::events;
pub(super) use filter::contains_pattern;
pub use filter::{
    ENGAGEMENT_STATUSES, Filter, HEALTH_STATUSES, InvalidFilter, MAX_TEXT_CHARS, SUBSCRIPTION_STATUSES,
};
pub use list::{DEFAULT_LIMIT, ListError, MAX_LIMIT, Page, PageRequest, count, list};
pub use show::{Detail, Payment, Subscription, find_by_email, show};
pub use sort::{DIRECTION_NAMES, Direction, SORT_NAMES, Sort, SortBy};
pub use timeline::{Entry, TIMELINE_KINDS, Timeline, timeline};

/// One account and what is known of it. Money is in minor units of `currency`.
#[derive(Clone, Debug, PartialEq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Member {
    /// The account: `auth.users.id`.
    pub user_id: Uuid,
    /// The account's address; accounts that sign in by phone have none.
    pub email: Option<String>,
    /// The active profile's number, else the account's.
    pub phone: Option<String>,
    /// First and last name of the active profile.
    pub full_name: Option<String>,
    /// The name of the leading subscription's tier; kept after the subscription's end.
    pub subscription_tier: Option<String>,
    /// The leading subscription's status: an active one leads, then a trialing one, then the others.
    pub subscription_status: Option<String>,
    /// The leading subscription's customer.
    pub stripe_customer_id: Option<String>,
    /// When the account was made.
    #[serde(with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// Supabase's own record of the last sign-in.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_sign_in_at: Option<OffsetDateTime>,
    /// `active`, `at_risk`, `inactive` or `champion`.
    pub engagement_status: Option<String>,
    /// `healthy`, `needs_attention` or `churned`.
    pub health_status: Option<String>,
    /// Labels that people gave the member.
    pub custom_tags: Vec<String>,
    /// Visions that are not drafts.
    pub vision_count: i64,
    /// Journal entries.
    pub journal_entry_count: i64,
    /// The latest login that was reported.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_login_at: Option<OffsetDateTime>,
    /// Full 24-hour days since `last_login_at`, at the moment of reading.
    #[sqlx(default)]
    pub days_since_last_login: Option<i64>,
    /// Monthly recurring revenue, in minor units.
    pub mrr: i64,
    /// Collected less refunded less disputed, in minor units.
    pub ltv: i64,
    /// Collected, in minor units.
    pub total_spent: i64,
    /// The currency of the three amounts, in lower case; none where no money was ever seen.
    pub currency: Option<String>,
    /// Full 24-hour days since the first subscription began, at the moment of reading; 0 without one.
    #[sqlx(default)]
    pub days_as_customer: i64,
    /// When the first subscription began: the list shows it as `days_as_customer` only.
    #[serde(skip)]
    pub(crate) subscription_start_date: Option<OffsetDateTime>,
    /// The name as the list sorts by it.
    #[serde(skip)]
    name_key: Option<String>,
}

impl Member {
    /// Fills in what depends on the moment of reading.
    fn at(mut self, now: OffsetDateTime) -> Self {
        self.days_since_last_login = self.last_login_at.map(|moment| full_days(moment, now));
        self.days_as_customer = self.subscription_start_date.map_or(0, |start| full_days(start, now));
        self
    }
}

/// Full 24-hour days from `moment` to `now`; 0 where `moment` is still to come.
fn full_days(moment: OffsetDateTime, now: OffsetDateTime) -> i64 {
    (now - moment).whole_days().max(0)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_day_counts_once_its_24_hours_are_full() {
        let login = datetime!(2026-11-01 12:00:00 UTC);
        for (now, days) in [
            (datetime!(2026-11-01 12:00:00 UTC), 0),
            (datetime!(2026-11-02 11:59:59 UTC), 0),
            (datetime!(2026-11-02 12:00:00 UTC), 1),
            (datetime!(2026-11-08 13:00:00 +01:00), 7),
            (datetime!(2026-10-31 12:00:00 UTC), 0),
        ] {
            assert_eq!(full_days(login, now), days, "at {now}");
        }
    }
}
