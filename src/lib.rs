//! memberflow: signed webhooks in, live member metrics out.
//!
//! The modules are listed in the order in which an event passes through them:
//!
//! [`http`] serves connections, [`receive`] reads the request, [`verify`] checks the provider's signature
//! over its bytes, [`envelope`] wraps the event without touching its body, [`queue`] makes it durable, [`consume`]
//! consumes it in batches, and [`store`] writes a whole batch in one transaction; [`project`] tells it what the events mean
//! and which rows follow (pure, no I/O). Around that path are [`ops`] (replay, doctor), [`api`] (what the CRM reads),
//! [`console`] (the web pages for operators), [`cli`] and [`dev`] (a local environment).
//! `docs/ARCHITECTURE.md` is the map.

pub mod http;
pub mod receive;

pub mod verify;

pub mod envelope;

pub mod queue;

pub mod consume;

pub mod store;

pub mod project;

// Around the path.
pub mod api;
pub mod cli;
pub mod console;
pub mod dev;
pub mod ops;
pub mod roles;

// Shared by all of them.
pub mod clock;
pub mod config;
pub mod database;
pub mod lifecycle;
pub mod money;
pub mod retry;
pub mod telemetry;
