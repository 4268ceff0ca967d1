//! What can go wrong, as a table.

/// Whom a fault strikes: of two at once each has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Receiver,
    Relay,
    Consumer,
    Broker,
    Database,
    Sender,
}

macro_rules! faults {
    ($($fault:ident $target:ident $name:literal,)+) => {
        /// One kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($fault),+
        }

        impl Fault {
            pub const ALL: &[Self] = &[$(Self::$fault),+];

            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$fault => $name),+
                }
            }

            pub fn target(self) -> Target {
                match self {
                    $(Self::$fault => Target::$target),+
                }
            }
        }
    };
}

faults! {
    KillReceiver     Receiver "receiver killed",
    StallReceiver    Receiver "receiver stalled",
    StopReceiver     Receiver "receiver asked to stop under load",
    RotateSecrets    Receiver "secrets rotated",
    OtherReceivers   Receiver "receivers of another version",
    KillRelay        Relay    "relay killed",
    StallRelay       Relay    "relay stalled",
    OtherRelay       Relay    "relay of another version",
    KillConsumers    Consumer "consumers killed",
    StallConsumers   Consumer "consumers stalled",
    RollConsumers    Consumer "consumers restarted in turn",
    OtherConsumers   Consumer "consumers of another version",
    KillBroker       Broker   "RabbitMQ killed",
    StallBroker      Broker   "RabbitMQ stalled",
    RestartBroker    Broker   "RabbitMQ restarted",
    CutBroker        Broker   "connections to RabbitMQ cut, again and again",
    RefuseBroker     Broker   "RabbitMQ out of reach",
    SilenceBroker    Broker   "no byte to or from RabbitMQ",
    CloseConnections Broker   "RabbitMQ closes all connections",
    DeleteQueue      Broker   "queue deleted (empty, its publishers halted)",
    DeleteBinding    Broker   "binding deleted",
    MemoryAlarm      Broker   "RabbitMQ's memory alarm",
    DiskAlarm        Broker   "RabbitMQ's disk alarm",
    KillDatabase     Database "PostgreSQL killed",
    StallDatabase    Database "PostgreSQL stalled",
    RestartDatabase  Database "PostgreSQL restarted",
    CutDatabase      Database "connections to PostgreSQL cut, again and again",
    RefuseDatabase   Database "PostgreSQL out of reach",
    SilenceDatabase  Database "no byte to or from PostgreSQL",
    EndBackends      Database "PostgreSQL's backends terminated",
    NoConnections    Database "PostgreSQL out of connections",
    LockTables       Database "PostgreSQL slow: hot tables locked",
    ReadOnly         Database "PostgreSQL read-only",
    DiskFull         Database "PostgreSQL's disk full",
    MigrateAgain     Database "migrated under load",
    ClockWithin      Sender   "clock off, within the tolerance",
    ClockBeyond      Sender   "clock off, beyond the tolerance",
}

impl Fault {
    /// Whether it lasts for as long as one wants.
    pub fn may_last(self) -> bool {
        use Fault::{StallBroker, StallConsumers, StallDatabase, StallReceiver, StallRelay};
        matches!(self, StallReceiver | StallRelay | StallConsumers | StallBroker | StallDatabase)
            || self.needs_other_version()
    }

    /// Whether it can be only where a program of another version was given.
    pub fn needs_other_version(self) -> bool {
        matches!(self, Self::OtherReceivers | Self::OtherRelay | Self::OtherConsumers)
    }

    /// Whether it must have its target's surroundings in order.
    pub fn is_alone(self) -> bool {
        self == Self::DeleteQueue
    }
}
