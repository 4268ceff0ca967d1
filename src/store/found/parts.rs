//! The parts of a reading, in their order.

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Users, logins, and the rows that count for a member.
    Activity,
    /// Subscriptions and payments.
    Revenue,
}

impl Scope {
    /// Both, in the order of a first start.
    pub const ALL: [Self; 2] = [Self::Activity, Self::Revenue];

    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Activity => "activity",
            Self::Revenue => "revenue",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }

    /// Logins from strong evidence to weak: one that is known from the session is not told again.
    pub(super) const fn parts(self) -> &'static [Part] {
        match self {
            Self::Activity => &[
                Part::Users,
                Part::Sessions,
                Part::AuditLog,
                Part::SignIns,
                Part::Rows(Counted::Profiles),
                Part::Rows(Counted::Visions),
                Part::Rows(Counted::JournalEntries),
                Part::Rows(Counted::Files),
                Part::Gone(Counted::Profiles),
                Part::Gone(Counted::Visions),
                Part::Gone(Counted::JournalEntries),
                Part::Gone(Counted::Files),
                Part::GoneUsers,
                Part::Members,
            ],
            Self::Revenue => &[Part::Subscriptions, Part::Payments, Part::GonePayments, Part::Customers],
        }
    }
}

/// A table whose rows count for the users who own them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    Profiles,
    Visions,
    JournalEntries,
    Files,
}

impl Counted {
    /// The table's name.
    #[must_use]
    pub const fn relation(self) -> &'static str {
        match self {
            Self::Profiles => "public.user_profiles",
            Self::Visions => "public.vision_versions",
            Self::JournalEntries => "public.journal_entries",
            Self::Files => "storage.objects",
        }
    }

    /// The columns of `ingest.activity` that a row moves, each with by how much.
    pub(super) const fn sums(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Profiles => &[],
            Self::Visions => &[("visions", "1")],
            Self::JournalEntries => &[("journal_entries", "1")],
            Self::Files => &[("files", "1"), ("file_bytes", "amount")],
        }
    }
}

/// A part of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Who is there.
    Users,
    /// Logins by their sessions.
    Sessions,
    /// Logins by the audit log.
    AuditLog,
    /// Logins by the users' last sign-in.
    SignIns,
    /// Rows that stand in a table.
    Rows(Counted),
    /// Rows that are known and stand there no more.
    Gone(Counted),
    /// Users who are known and are there no more.
    GoneUsers,
    /// The members' own rows.
    Members,
    /// Subscriptions that no event has told of.
    Subscriptions,
    /// Payments that no event has told of.
    Payments,
    /// Payments that were found and stand there no more.
    GonePayments,
    /// The customers' sums and their members' rows.
    Customers,
}

impl Part {
    /// The name in the database and for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Sessions => "sessions",
            Self::AuditLog => "audit log",
            Self::SignIns => "last sign-ins",
            Self::Rows(Counted::Profiles) => "profiles",
            Self::Rows(Counted::Visions) => "visions",
            Self::Rows(Counted::JournalEntries) => "journal entries",
            Self::Rows(Counted::Files) => "files",
            Self::Gone(Counted::Profiles) => "profiles gone",
            Self::Gone(Counted::Visions) => "visions gone",
            Self::Gone(Counted::JournalEntries) => "journal entries gone",
            Self::Gone(Counted::Files) => "files gone",
            Self::GoneUsers => "users gone",
            Self::Members => "members",
            Self::Subscriptions => "subscriptions",
            Self::Payments => "payments",
            Self::GonePayments => "payments gone",
            Self::Customers => "customers",
        }
    }

    /// The table whose size says how long the part takes.
    pub(super) const fn relation(self) -> &'static str {
        match self {
            Self::Users | Self::SignIns | Self::Members => "auth.users",
            Self::Sessions => "auth.sessions",
            Self::AuditLog => "auth.audit_log_entries",
            Self::Rows(counted) | Self::Gone(counted) => counted.relation(),
            Self::GoneUsers => "ingest.users",
            Self::Subscriptions => "public.customer_subscriptions",
            Self::Payments | Self::GonePayments => "public.payment_history",
            Self::Customers => "ingest.customers",
        }
    }

    /// Whether there is anything to do at the first start, when nothing can be out of date yet.
    pub(super) const fn is_for_a_first_reading(self) -> bool {
        !matches!(self, Self::Gone(_) | Self::GoneUsers | Self::GonePayments | Self::Customers)
    }
}
