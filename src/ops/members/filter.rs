//! Which members a list holds.

use sqlx::{Postgres, QueryBuilder};
use time::OffsetDateTime;

use super::sql;

/// What `engagement_status` can be.
pub const ENGAGEMENT_STATUSES: [&str; 4] = ["active", "at_risk", "champion", "inactive"];
/// What `health_status` can be.
pub const HEALTH_STATUSES: [&str; 3] = ["churned", "healthy", "needs_attention"];
/// What a subscription's status can be.
pub const SUBSCRIPTION_STATUSES: [&str; 8] =
    ["active", "canceled", "incomplete", "incomplete_expired", "past_due", "paused", "trialing", "unpaid"];
/// The longest text that is searched for, in characters.
pub const MAX_TEXT_CHARS: usize = 200;

/// Conditions that all must hold; an absent one always does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// One of [`ENGAGEMENT_STATUSES`].
    pub engagement_status: Option<String>,
    /// One of [`HEALTH_STATUSES`].
    pub health_status: Option<String>,
    /// The leading subscription's tier, by name, in any case.
    pub tier: Option<String>,
    /// The leading subscription's status: one of [`SUBSCRIPTION_STATUSES`].
    pub status: Option<String>,
    /// Stands somewhere in the name, e-mail address or phone number, in any case.
    pub text: Option<String>,
    /// The account was made since then.
    pub since: Option<OffsetDateTime>,
    /// The account was made before then.
    pub until: Option<OffsetDateTime>,
}

/// A condition with an unknown value, or a text that cannot be searched for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// The column does not have this value.
    #[error("{}", crate::ops::unknown_value(.name, .given, .known))]
    Unknown {
        /// The filter.
        name: &'static str,
        /// The given value.
        given: String,
        /// The known values.
        known: &'static [&'static str],
    },
    /// Longer than a name can sensibly be, or with a NUL, which Postgres text can't hold.
    #[error("{name} holds at most {MAX_TEXT_CHARS} characters and no NUL")]
    Unsearchable {
        /// The filter.
        name: &'static str,
    },
}

impl Filter {
    /// Rejects the first invalid condition.
    ///
    /// # Errors
    /// Names the condition and what it can be.
    pub fn check(&self) -> Result<(), InvalidFilter> {
        known("engagement_status", self.engagement_status.as_deref(), &ENGAGEMENT_STATUSES)?;
        known("health_status", self.health_status.as_deref(), &HEALTH_STATUSES)?;
        known("status", self.status.as_deref(), &SUBSCRIPTION_STATUSES)?;
        searchable("tier", self.tier.as_deref())?;
        searchable("text", self.text.as_deref())
    }

    /// Adds the conditions to a `where` clause that already has one.
    pub(super) fn push(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(status) = &self.engagement_status {
            query.push(" and (a.engagement_status = ").push_bind(status);
            // Not derived yet: a member who never logged in is inactive.
            if status == "inactive" {
                query.push(" or (a.engagement_status is null and a.last_login_at is null)");
            }
            query.push(")");
        }
        if let Some(status) = &self.health_status {
            query.push(" and (a.health_status = ").push_bind(status);
            if status == "healthy" {
                query.push(" or (a.health_status is null and s.status is null)");
            }
            query.push(")");
        }
        self.push_any_subscription(query);
        if let Some(tier) = &self.tier {
            query.push(" and lower(s.tier) = lower(").push_bind(tier).push(")");
        }
        if let Some(status) = &self.status {
            query.push(" and s.status = ").push_bind(status);
        }
        self.push_moments(query, "u.created_at");
        if let Some(pattern) = self.pattern() {
            for piece in sql::SHOWN_TEXT {
                query.push(piece).push_bind(&pattern);
            }
            query.push(sql::SHOWN_TEXT_END);
        }
    }

    /// Excludes members without any such subscription before the leading one is determined, which costs more.
    fn push_any_subscription(&self, query: &mut QueryBuilder<Postgres>) {
        if self.tier.is_none() && self.status.is_none() {
            return;
        }
        // Not `exists`, which Postgres may answer by reading all subscriptions.
        query.push(sql::ANY_SUBSCRIPTION);
        if let Some(status) = &self.status {
            query.push(" and x.status = (").push_bind(status).push(")::public.subscription_status");
        }
        if let Some(tier) = &self.tier {
            query.push(" and lower(y.name) = lower(").push_bind(tier).push(")");
        }
        query.push(" limit 1)");
    }

    /// Whether a condition is about the leading subscription.
    pub(super) fn needs_subscription(&self) -> bool {
        self.tier.is_some() || self.status.is_some() || self.health_status.as_deref() == Some("healthy")
    }

    /// Adds the conditions on the creation of the account, in this column.
    pub(super) fn push_moments(&self, query: &mut QueryBuilder<Postgres>, column: &str) {
        for (bound, moment) in [(" >= ", self.since), (" < ", self.until)] {
            if let Some(moment) = moment {
                query.push(" and ").push(column).push(bound).push_bind(moment);
            }
        }
    }

    /// What [`Filter::text`] looks for, as a `like` pattern.
    pub(super) fn pattern(&self) -> Option<String> {
        self.text.as_deref().filter(|text| !text.is_empty()).map(contains_pattern)
    }
}

/// A `like` pattern that matches what contains `text`, whatever characters it has.
pub(in crate::ops) fn contains_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

fn known(
    name: &'static str,
    given: Option<&str>,
    known: &'static [&'static str],
) -> Result<(), InvalidFilter> {
    match given {
        Some(value) if !known.contains(&value) => {
            Err(InvalidFilter::Unknown { name, given: value.to_owned(), known })
        }
        _ => Ok(()),
    }
}

fn searchable(name: &'static str, given: Option<&str>) -> Result<(), InvalidFilter> {
    match given {
        Some(text) if text.chars().count() > MAX_TEXT_CHARS || text.contains('\0') => {
            Err(InvalidFilter::Unsearchable { name })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_in_search_text_are_escaped() {
        for (text, pattern) in
            [("ada", "%ada%"), ("50%", r"%50\%%"), ("a_b", r"%a\_b%"), (r"a\b", r"%a\\b%"), ("", "%%")]
        {
            assert_eq!(contains_pattern(text), pattern);
        }
    }

    #[test]
    fn unknown_value_error_lists_known_values() {
        let filter = Filter { health_status: Some("sick".to_owned()), ..Filter::default() };
        let message = filter.check().unwrap_err().to_string();
        assert_eq!(
            message,
            r#"invalid health_status "sick": expected one of churned, healthy, needs_attention"#
        );
        for text in ["nul\0".to_owned(), "x".repeat(201)] {
            assert!(Filter { text: Some(text), ..Filter::default() }.check().is_err());
        }
        assert_eq!(Filter::default().check(), Ok(()));
    }
}
