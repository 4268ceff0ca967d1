//! The triggers by which the database itself tells: whether they are there, and as they should be.

use sqlx::PgConnection;

use super::{Finding, Level};
use crate::config::Config;
use crate::ops::triggers::{self, Standing, State};
use crate::project::supabase::ActivityTables;

const CHECK: &str = "triggers";
const INSTALL: &str = "memberflow supabase install";

pub(super) async fn examine(
    connection: &mut PgConnection,
    config: &Config,
) -> Result<Vec<Finding>, sqlx::Error> {
    let standings = triggers::look(connection, &config.activity_tables).await?;
    let mut findings = findings(&standings);
    findings.extend(standings.iter().filter_map(|standing| uncountable(standing, config)));
    Ok(findings)
}

fn findings(standings: &[Standing]) -> Vec<Finding> {
    let of = |state: &State| -> Vec<&str> {
        let of_state = standings.iter().filter(|standing| standing.state == *state);
        of_state.map(|standing| standing.relation.as_str()).collect()
    };
    if standings.iter().all(|standing| !standing.has_function) {
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
        findings.push(Finding::fine(CHECK, format!("they tell of {}", of(&State::Present).join(", "))));
    }
    findings
}

/// A table whose rows cannot be counted, with a trigger or without.
fn uncountable(standing: &Standing, config: &Config) -> Option<Finding> {
    let is_named = config.activity_tables.of(&standing.relation).is_some()
        && ActivityTables::default().of(&standing.relation).is_none();
    let relation = &standing.relation;
    let message = match &standing.state {
        State::NoColumn(column) => format!("{relation} has no column {column}, so its rows do not count"),
        // Those that every deployment has are looked at with the tables.
        State::NoTable if is_named => format!("the settings name {relation}, which is not there"),
        _ => return None,
    };
    let fix = "correct MEMBERFLOW_ACTIVITY_TABLES, then: memberflow supabase install";
    Some(Finding::wrong(CHECK, Level::Warning, message, fix))
}
