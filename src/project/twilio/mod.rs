//! What Twilio tells of text messages: that one has come in, and what has become of one that was sent.
//!
//! Twilio does not promise an order, and gives its reports no moment. So nothing here depends on one: a [`Message`] is
//! the union of all that was reported of it, and a [`Row`] follows from that.

mod consent;
mod message;
mod report;
mod row;
pub mod words;

#[cfg(test)]
mod tests;

pub use consent::{Consent, ConsentSource};
pub use message::{Given, Media, Message, Seen};
pub use report::{SmsReport, account, read};
pub use row::{Row, digits};
