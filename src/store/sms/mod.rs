//! Text messages: what Twilio has reported each ([`facts`]), who may be texted ([`consent`]), and the rows beside those
//! that the application writes ([`rows`]).

mod consent;
mod facts;
mod forget;
mod known;
mod rows;

use std::collections::BTreeSet;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Texting;
use crate::project::twilio::SmsReport;

pub(super) use forget::forget;
pub use known::KnownSms;
pub(super) use rows::{compare, match_again, repair};

/// The table whose rows the application and memberflow make together, as differences name it.
pub(super) const MESSAGES: &str = "public.sms_messages";

/// Messages of which something new was reported.
#[derive(Debug, Default)]
pub(super) struct TouchedSms {
    /// Their ids.
    sids: BTreeSet<String>,
    /// Numbers whose answer is another now.
    numbers: BTreeSet<String>,
}

/// Keeps what was reported of messages, and what follows from it for their numbers. What is left depends on the set of
/// reports alone.
///
/// # Errors
/// Whatever the database says.
pub(super) async fn settle(
    tx: &mut PgConnection,
    reports: Vec<SmsReport>,
) -> Result<TouchedSms, sqlx::Error> {
    let changed = facts::join(tx, reports).await?;
    let numbers = consent::write(tx, &changed).await?;
    Ok(TouchedSms { sids: changed.into_iter().map(|fact| fact.sid).collect(), numbers })
}

/// Writes the public rows, gives them to whom they belong, and lets consent follow.
///
/// # Errors
/// Whatever the database says.
pub(super) async fn write(
    tx: &mut PgConnection,
    touched: &TouchedSms,
    texting: &Texting,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if touched.sids.is_empty() {
        return Ok(());
    }
    rows::write(tx, &touched.sids).await?;
    rows::give_to_holders(tx, &touched.sids, texting, now).await?;
    consent::follow(tx, &touched.numbers, texting).await
}
