//! Checks the triggers that record changes as events.

use sqlx::PgConnection;

use super::{Finding, Level};
use crate::config::Config;
use crate::ops::triggers::{self, Lost, State, TriggerStatus};
use crate::project::supabase::ActivityTables;

const CHECK: &str = "triggers";
const INSTALL: &str = "memberflow supabase install";

pub(super) async fn examine(
    connection: &mut PgConnection,
    config: &Config,
) -> Result<Vec<Finding>, sqlx::Error> {
    let statuses = triggers::inspect(connection, &config.activity_tables).await?;
    let mut findings = findings(&statuses);
    findings.extend(statuses.iter().filter_map(|status| uncountable(status, config)));
    findings.extend(lost(&triggers::lost(connection).await?));
    Ok(findings)
}

fn findings(statuses: &[TriggerStatus]) -> Vec<Finding> {
    let of = |state: &State| -> Vec<&str> {
        let of_state = statuses.iter().filter(|status| status.state == *state);
        of_state.map(|status| status.relation.as_str()).collect()
    };
    if statuses.iter().all(|status| !status.has_function) {
        let message = "none: logins, sign-ups, files and rows are known by Auth Hooks and Database Webhooks alone, which can be lost";
        return vec![Finding::wrong(CHECK, Level::Note, message, INSTALL)];
    }
    let mut findings = Vec::new();
    for (state, what) in [
        (State::Absent, "missing on"),
        (State::Outdated, "made by another version, or for other columns, on"),
        (State::Disabled, "switched off by hand on"),
        (State::Unwanted, "there, though the settings do not name the table, on"),
    ] {
        let tables = of(&state);
        if !tables.is_empty() {
            let message = format!("{what} {}", tables.join(", "));
            findings.push(Finding::wrong(CHECK, Level::Warning, message, INSTALL));
        }
    }
    if findings.is_empty() {
        findings
            .push(Finding::fine(CHECK, format!("they record changes of {}", of(&State::Present).join(", "))));
    }
    findings
}

/// Triggers of the migrations that are missing or disabled.
fn lost(lost: &[Lost]) -> Option<Finding> {
    let of = |is_disabled| -> Vec<String> {
        let lost = lost.iter().filter(|lost| lost.is_disabled == is_disabled);
        lost.map(|lost| format!("{} on {}", lost.name, lost.relation)).collect()
    };
    let what = [("missing", of(false)), ("disabled", of(true))];
    let what = what.iter().filter(|(_, triggers)| !triggers.is_empty());
    let what: Vec<String> = what.map(|(what, triggers)| format!("{what}: {}", triggers.join(", "))).collect();
    if what.is_empty() {
        return None;
    }
    let message = format!("{}; what the application writes there is not completed", what.join("; "));
    let fix = "memberflow supabase install, then: memberflow reconcile supabase --fix";
    Some(Finding::wrong(CHECK, Level::Warning, message, fix))
}

/// A table whose rows cannot be counted.
fn uncountable(status: &TriggerStatus, config: &Config) -> Option<Finding> {
    let is_named = config.activity_tables.of(&status.relation).is_some()
        && ActivityTables::default().of(&status.relation).is_none();
    let relation = &status.relation;
    let message = match &status.state {
        State::NoColumn(column) => format!("{relation} has no column {column}, so its rows do not count"),
        // Tables that every deployment has are checked elsewhere.
        State::NoTable if is_named => format!("the settings name {relation}, which is not there"),
        _ => return None,
    };
    let fix = "correct MEMBERFLOW_ACTIVITY_TABLES, then: memberflow supabase install";
    Some(Finding::wrong(CHECK, Level::Warning, message, fix))
}
