//! Text messages from Twilio: incoming ones, and the status of outgoing ones.
//!
//! Twilio's reports are unordered and have no timestamp. So nothing here depends on order: a [`Message`] is
//! the union of all its reports, and a [`Row`] is computed from that.

mod consent;
mod message;
mod report;
mod row;
pub mod words;

#[cfg(test)]
mod tests;

pub use consent::{Consent, ConsentSource};
pub use message::{Media, Message, Ranked, SmsReport, StatusReport};
pub use report::{account, decode};
pub use row::{Row, digits};
