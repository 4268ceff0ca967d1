//! The phases of an import, in their order.

use std::borrow::Cow;

use crate::project::supabase::ActivityTables;
use crate::project::supabase::tables::ActivityTable;
use crate::store::resolve::activity;

/// The name of the initial import of activity.
pub(in crate::store) const FIRST_ACTIVITY: &str = "first activity";

/// What is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportScope {
    /// Users, logins, and the rows that count for a member.
    Activity,
    /// Subscriptions and payments.
    Revenue,
}

impl ImportScope {
    /// Both, in the order of the initial import.
    pub const ALL: [Self; 2] = [Self::Activity, Self::Revenue];

    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Activity => "activity",
            Self::Revenue => "revenue",
        }
    }

    /// The scope as stored in `ingest.backfills`. Processes of the version before do not know that the initial import of
    /// activity leaves the counts to its end.
    pub(in crate::store) fn stored_name(self, is_first: bool) -> &'static str {
        if is_first && self == Self::Activity { FIRST_ACTIVITY } else { self.as_str() }
    }

    /// The scope with this stored name.
    pub(in crate::store) fn from_stored_name(name: &str) -> Option<Self> {
        if name == FIRST_ACTIVITY {
            return Some(Self::Activity);
        }
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }

    /// The phases of an import of this scope. Logins by strong evidence come first, so that they are not
    /// reported again by weaker evidence.
    pub(in crate::store) fn phases(self, tables: &ActivityTables) -> Vec<Phase> {
        if self == Self::Revenue {
            return vec![Phase::Subscriptions, Phase::Payments, Phase::DeletedPayments, Phase::Customers];
        }
        let mapped = tables.iter().cloned().map(CountedTable::Mapped);
        let counted: Vec<CountedTable> =
            [CountedTable::Profiles].into_iter().chain(mapped).chain([CountedTable::Files]).collect();
        let mut phases = vec![Phase::Users, Phase::Sessions, Phase::AuditLog, Phase::SignIns];
        phases.extend(counted.iter().cloned().map(Phase::Rows));
        phases.extend(counted.into_iter().map(Phase::DeletedRows));
        phases.extend([Phase::DeletedUsers, Phase::Counts, Phase::Members]);
        phases
    }
}

/// A table whose rows count for the users who own them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CountedTable {
    Profiles,
    Files,
    /// A table of the map.
    Mapped(ActivityTable),
}

impl CountedTable {
    /// `schema.table`
    #[must_use]
    pub fn relation(&self) -> &str {
        match self {
            Self::Profiles => "public.user_profiles",
            Self::Files => "storage.objects",
            Self::Mapped(table) => &table.relation,
        }
    }

    /// The name shown to operators.
    fn name(&self) -> &str {
        match self.relation() {
            "public.user_profiles" => "profiles",
            "public.vision_versions" => "visions",
            "public.journal_entries" => "journal entries",
            "storage.objects" => "files",
            other => other,
        }
    }

    /// The columns of `ingest.activity` that a row changes, each with its amount.
    pub(in crate::store) fn sums(&self) -> Vec<(&'static str, &'static str)> {
        match self {
            Self::Profiles => Vec::new(),
            Self::Files => vec![("files", "1"), ("file_bytes", "amount")],
            Self::Mapped(table) => vec![(activity::column(table.metric), "1")],
        }
    }
}

/// A phase of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Users that exist.
    Users,
    /// Logins by their sessions.
    Sessions,
    /// Logins by the audit log.
    AuditLog,
    /// Logins by the users' last sign-in.
    SignIns,
    /// Rows of a table.
    Rows(CountedTable),
    /// Known rows that no longer exist.
    DeletedRows(CountedTable),
    /// Known users that no longer exist.
    DeletedUsers,
    /// The counts of each user by the facts.
    Counts,
    /// The members' rows.
    Members,
    /// Subscriptions that no event has reported.
    Subscriptions,
    /// Payments that no event has reported.
    Payments,
    /// Imported payments that no longer exist.
    DeletedPayments,
    /// The customers' sums and their members' rows.
    Customers,
}

impl Phase {
    /// The name in the database and for operators.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Users => "users",
            Self::Sessions => "sessions",
            Self::AuditLog => "audit log",
            Self::SignIns => "last sign-ins",
            Self::Rows(counted) => counted.name(),
            Self::DeletedRows(counted) => return Cow::Owned(format!("{} gone", counted.name())),
            Self::DeletedUsers => "users gone",
            Self::Counts => "counts",
            Self::Members => "members",
            Self::Subscriptions => "subscriptions",
            Self::Payments => "payments",
            Self::DeletedPayments => "payments gone",
            Self::Customers => "customers",
        })
    }

    /// The table whose size determines the duration.
    pub(in crate::store) fn relation(&self) -> &str {
        match self {
            Self::Users | Self::SignIns | Self::Members => "auth.users",
            Self::Sessions => "auth.sessions",
            Self::AuditLog => "auth.audit_log_entries",
            Self::Rows(counted) | Self::DeletedRows(counted) => counted.relation(),
            Self::DeletedUsers | Self::Counts => "ingest.users",
            Self::Subscriptions => "public.customer_subscriptions",
            Self::Payments | Self::DeletedPayments => "public.payment_history",
            Self::Customers => "ingest.customers",
        }
    }

    /// Whether the initial import reads it, when no fact can be out of date.
    pub(in crate::store) const fn runs_in_initial_import(&self) -> bool {
        !matches!(self, Self::DeletedRows(_) | Self::DeletedUsers | Self::DeletedPayments | Self::Customers)
    }

    /// Whether later imports do, when each page moves the counts.
    pub(in crate::store) const fn runs_in_later_imports(&self) -> bool {
        !matches!(self, Self::Counts)
    }
}
