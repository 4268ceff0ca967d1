//! Text messages: Twilio's reports of each ([`facts`]), who may be texted ([`consent`]), and the rows shared
//! with the application ([`rows`]).

mod consent;
mod facts;
mod forget;
mod rows;
mod stored;

use std::collections::BTreeSet;

use sqlx::PgConnection;
use time::OffsetDateTime;

use self::consent::ChangedConsent;
use super::SmsSettings;
use crate::project::twilio::SmsReport;

pub(super) use consent::update_consents;
pub(super) use forget::forget;
pub(super) use rows::{compare, match_again, repair};
pub use stored::StoredMessage;

/// The table that the application and memberflow write together, as a rebuild's differences name it.
pub(super) const MESSAGES: &str = "public.sms_messages";
/// The table of consent, named likewise.
const CONSENTS: &str = "public.sms_consents";

/// Messages with new reports.
#[derive(Debug, Default)]
pub(super) struct AffectedSms {
    /// Their ids.
    sids: BTreeSet<String>,
    /// The consent that changed.
    consent: ChangedConsent,
}

/// Stores reports of messages, and the consent of their numbers. The result depends on the set of reports
/// only.
pub(super) async fn resolve(
    tx: &mut PgConnection,
    reports: Vec<SmsReport>,
) -> Result<AffectedSms, sqlx::Error> {
    let changed = facts::join(tx, reports).await?;
    let consent = consent::write(tx, &changed).await?;
    Ok(AffectedSms { sids: changed.into_iter().map(|fact| fact.sid).collect(), consent })
}

/// Writes the public rows, assigns them to their members or leads, and updates consent.
pub(super) async fn write(
    tx: &mut PgConnection,
    affected: &AffectedSms,
    settings: &SmsSettings,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if affected.sids.is_empty() {
        return Ok(());
    }
    rows::write(tx, &affected.sids).await?;
    rows::assign_to_owners(tx, &affected.sids, settings, now).await?;
    consent::update_columns(tx, &affected.consent, settings).await
}
