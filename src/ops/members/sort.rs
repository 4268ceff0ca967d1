//! The orders a list of members can have, as ranges that an index can deliver.
//!
//! A member without a value (no name, never logged in) has no place in an index on that value. So an
//! order is a sequence of ranges, read one after the other: first the members with a value, by the
//! index; then those without, by id. Amounts differ: who has no revenue row has 0, which stands
//! between the amounts from 0 up and those below 0.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What members are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortBy {
    /// When the account was made.
    #[default]
    CreatedAt,
    /// The account's e-mail address.
    Email,
    /// The name, in any case.
    Name,
    /// Monthly recurring revenue, by its number of minor units, whatever the currency.
    Mrr,
    /// Lifetime value, likewise.
    Ltv,
    /// Money collected, likewise.
    TotalSpent,
    /// The latest login.
    LastLoginAt,
}

/// Which end comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The smallest, oldest, alphabetically first.
    Asc,
    /// The largest, newest, alphabetically last.
    Desc,
}

/// An order. Equal values stand in the order of the ids, in the same direction; members without a
/// value come last in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sort {
    /// The value.
    pub by: SortBy,
    /// Its direction.
    pub direction: Direction,
}

/// A name that is none of those known.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {given:?}: use one of {}", .known.join(", "))]
pub struct UnknownName {
    given: String,
    known: &'static [&'static str],
}

/// What `sort` can be.
pub const SORT_NAMES: [&str; 7] =
    ["created_at", "email", "name", "mrr", "ltv", "total_spent", "last_login_at"];
/// What `order` can be.
pub const DIRECTION_NAMES: [&str; 2] = ["asc", "desc"];
const SORTS: [SortBy; 7] = [
    SortBy::CreatedAt,
    SortBy::Email,
    SortBy::Name,
    SortBy::Mrr,
    SortBy::Ltv,
    SortBy::TotalSpent,
    SortBy::LastLoginAt,
];

impl FromStr for SortBy {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let at = SORT_NAMES.iter().position(|known| *known == name);
        at.map(|at| SORTS[at]).ok_or_else(|| UnknownName { given: name.to_owned(), known: &SORT_NAMES })
    }
}

impl FromStr for Direction {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name {
            "asc" => Ok(Self::Asc),
            "desc" => Ok(Self::Desc),
            _ => Err(UnknownName { given: name.to_owned(), known: &DIRECTION_NAMES }),
        }
    }
}

impl SortBy {
    /// The usual direction: words from A, everything else from the newest or largest.
    #[must_use]
    pub const fn natural_direction(self) -> Direction {
        match self {
            Self::Email | Self::Name => Direction::Asc,
            _ => Direction::Desc,
        }
    }
}

impl Default for Sort {
    fn default() -> Self {
        Self { by: SortBy::default(), direction: SortBy::default().natural_direction() }
    }
}

impl Sort {
    /// The ranges whose sequence is this order.
    pub(super) fn index_ranges(self) -> Vec<IndexRange> {
        let mut ranges = match self.by {
            SortBy::CreatedAt => valued(&CREATED_AT),
            SortBy::Email => valued(&EMAIL),
            SortBy::Name => valued(&NAME),
            SortBy::LastLoginAt => valued(&LAST_LOGIN_AT),
            SortBy::Mrr => MRR.to_vec(),
            SortBy::Ltv => LTV.to_vec(),
            SortBy::TotalSpent => TOTAL_SPENT.to_vec(),
        };
        let amounts = matches!(self.by, SortBy::Mrr | SortBy::Ltv | SortBy::TotalSpent);
        if amounts && self.direction == Direction::Asc {
            ranges.reverse();
        }
        ranges
    }
}

/// A part of an order that one index delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexRange {
    /// What makes a member belong here, in SQL.
    pub condition: &'static str,
    /// The value and the id to sort by, in SQL; `None` where all have the same value.
    pub key: Option<(&'static str, &'static str)>,
    /// Whether the condition holds of an account alone, whatever else is joined to it.
    pub of_account: bool,
}

const fn by(condition: &'static str, key: &'static str, id: &'static str) -> IndexRange {
    IndexRange { condition, key: Some((key, id)), of_account: false }
}

const fn by_id(condition: &'static str) -> IndexRange {
    IndexRange { condition, key: None, of_account: true }
}

fn valued(ranges: &[IndexRange; 2]) -> Vec<IndexRange> {
    ranges.to_vec()
}

const CREATED_AT: [IndexRange; 2] =
    [by("u.created_at is not null", "u.created_at", "u.id"), by_id("u.created_at is null")];
const EMAIL: [IndexRange; 2] = [by("u.email is not null", "u.email", "u.id"), by_id("u.email is null")];
const NAME: [IndexRange; 2] = [
    by("p.name_key is not null", "p.name_key", "p.user_id"),
    IndexRange { condition: "p.name_key is null", key: None, of_account: false },
];
const LAST_LOGIN_AT: [IndexRange; 2] = [
    by("a.last_login_at is not null", "a.last_login_at", "a.user_id"),
    by_id(
        "not exists (select from public.user_activity_metrics x
                     where x.user_id = u.id and x.last_login_at is not null)",
    ),
];

/// An amount's ranges, from the largest. The middle one is a `not exists` and not the `is null` that
/// means the same: Postgres walks the former by two indexes and puts the latter together whole.
macro_rules! amount {
    ($column:literal) => {
        [
            by(concat!("r.", $column, " >= 0"), concat!("r.", $column), "r.user_id"),
            by_id(concat!(
                "not exists (select from public.user_revenue_metrics x where x.user_id = u.id and x.",
                $column,
                " is not null)"
            )),
            by(concat!("r.", $column, " < 0"), concat!("r.", $column), "r.user_id"),
        ]
    };
}

const MRR: [IndexRange; 3] = amount!("mrr");
const LTV: [IndexRange; 3] = amount!("ltv");
const TOTAL_SPENT: [IndexRange; 3] = amount!("total_spent");
