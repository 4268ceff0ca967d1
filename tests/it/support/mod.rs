//! What the tests share: a database of one's own, names of one's own on the broker.

pub mod broker;
pub mod crowd;
pub mod database;
pub mod dump;
pub mod edge;
pub mod events;
pub mod orders;
pub mod process;
pub mod proxy;
pub mod servers;
pub mod signing;
pub mod told;
