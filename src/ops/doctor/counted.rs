//! Checks which Stripe events count, and which do not.

use sqlx::{FromRow, PgConnection};

use super::{Finding, Level};
use crate::config::Config;
use crate::project::stripe::{NotCounted, OriginFilter, StripeMode};

const CHECK: &str = "stripe";
/// The most reasons listed; each account is one.
const NAMED_MAX: i64 = 10;

/// What counts by the settings.
pub(super) fn settings(config: &Config) -> Finding {
    let OriginFilter { mode, account } = config.origin_filter();
    let account = account.map_or_else(
        || "the account that the webhook endpoint belongs to".to_owned(),
        |account| format!("the account {account}"),
    );
    match mode {
        StripeMode::Any => Finding::note(
            CHECK,
            format!(
                "events of both modes count alike, of {account}: for development only (MEMBERFLOW_STRIPE_MODE=any)"
            ),
        ),
        mode => Finding::fine(CHECK, format!("events of {} mode count, of {account}", mode.as_str())),
    }
}

/// Events that do not count for the same reason.
#[derive(FromRow)]
struct Flagged {
    code: String,
    events: i64,
    example: String,
}

/// Events that were stored and not counted.
pub(super) async fn examine(
    connection: &mut PgConnection,
    config: &Config,
) -> Result<Option<Finding>, sqlx::Error> {
    let there: bool = sqlx::query_scalar(
        "select exists (select from pg_attribute
                        where attrelid = to_regclass('ingest.events') and attname = 'not_counted')",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !there {
        // The finding about migrations covers that.
        return Ok(None);
    }
    let flagged: Vec<Flagged> = sqlx::query_as(
        "select not_counted as code, count(*) as events, min(event_id) as example from ingest.events
         where not_counted is not null
         group by 1 order by 2 desc, 1 limit $1",
    )
    .bind(NAMED_MAX)
    .fetch_all(&mut *connection)
    .await?;
    if flagged.is_empty() {
        return Ok(Some(Finding::fine(CHECK, "every event received counts")));
    }
    let some_count: bool = sqlx::query_scalar(
        "select exists (select from ingest.events where source = 'stripe' and state = 'applied' and not_counted is null)",
    )
    .fetch_one(connection)
    .await?;
    Ok(Some(finding(&flagged, some_count, &config.origin_filter())))
}

fn finding(flagged: &[Flagged], some_count: bool, origin_filter: &OriginFilter) -> Finding {
    let known = |code: &str| NotCounted::of_code(code);
    let named: Vec<String> = flagged
        .iter()
        .map(|Flagged { code, events, example }| {
            let of = known(code).map_or_else(|| code.clone(), |reason| reason.to_string());
            format!("{events} of {of} (one is {example})")
        })
        .collect();
    let message = format!("events stored but not counted: {}", named.join("; "));
    let reasons: Vec<NotCounted> = flagged.iter().filter_map(|flagged| known(&flagged.code)).collect();
    if reasons.iter().any(|reason| reason.is_lifted_by(origin_filter)) {
        let fix =
            "memberflow rebuild: the settings have changed since, and some of these events may count now";
        return Finding::wrong(CHECK, Level::Warning, message, fix);
    }
    let settings: Vec<String> = reasons.iter().map(NotCounted::setting).collect();
    let fix = format!(
        "nothing where that is meant; else {}, start memberflow again, and run memberflow rebuild",
        settings.join(", or ")
    );
    let level = if some_count { Level::Note } else { Level::Warning };
    let message = if some_count { message } else { format!("none of Stripe's events counts; {message}") };
    Finding::wrong(CHECK, level, message, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin_filter(mode: StripeMode) -> OriginFilter {
        OriginFilter { mode, account: None }
    }

    #[test]
    fn uncounted_events_warn_only_if_settings_look_wrong() {
        let flagged = [("test_mode", 3, "evt_1"), ("other_account:acct_2", 1, "evt_2")]
            .map(|(code, events, example)| Flagged { code: code.into(), events, example: example.into() });
        for (some_count, mode, level, says, fix) in [
            (true, StripeMode::Live, Level::Note, "3 of test mode", "MEMBERFLOW_STRIPE_MODE=test"),
            (true, StripeMode::Live, Level::Note, "the account acct_2", "MEMBERFLOW_STRIPE_ACCOUNT=acct_2"),
            (
                false,
                StripeMode::Live,
                Level::Warning,
                "none of Stripe's events counts",
                "MEMBERFLOW_STRIPE_MODE",
            ),
            (true, StripeMode::Any, Level::Warning, "3 of test mode", "memberflow rebuild: the settings"),
        ] {
            let finding = finding(&flagged, some_count, &origin_filter(mode));
            assert_eq!(finding.level, level, "{finding:?}");
            assert!(finding.message.contains(says), "{finding:?}");
            assert!(finding.fix.as_deref().unwrap_or_default().contains(fix), "{finding:?}");
        }
    }
}
