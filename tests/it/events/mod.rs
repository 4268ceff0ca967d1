//! Events after they are stored: failing, incomplete, traced, replayed, and what operators do with them.

mod auditing;
mod operating;
mod parking;
mod poison;
mod replaying;
mod webhook_rows;
