//! memberflow: signed webhooks in, live member metrics out.
//!
//! The modules stand in the order in which an event travels through them:
//!
//! [`http`] serves connections, [`receive`] takes the bytes, [`verify`] checks the provider's signature over them, [`envelope`]
//! names the event without touching its body, [`queue`] makes it durable, [`consume`] takes it out in
//! batches, [`project`] works out what it means (pure, no I/O), and [`store`] writes a whole batch in
//! one transaction. Around that path stand [`ops`] (replay, doctor), [`api`] (what the CRM reads),
//! [`console`] (the operators' pages), [`cli`] and [`dev`] (everything locally). `docs/ARCHITECTURE.md` is the map.

pub mod http;
pub mod receive;

pub mod verify;

pub mod envelope;

pub mod queue;

pub mod consume;

pub mod project;

pub mod store;

// Around the path.
pub mod api;
pub mod cli;
pub mod console;
pub mod dev;
pub mod ops;
pub mod roles;

// What all of it uses.
pub mod clock;
pub mod config;
pub mod database;
pub mod lifecycle;
pub mod retry;
pub mod telemetry;
