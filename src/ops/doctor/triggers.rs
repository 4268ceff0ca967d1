//! The triggers by which the database itself tells: whether they are there, and as they should be.

use sqlx::PgConnection;

use super::{Finding, Level};
use crate::config::Config;
use crate::ops::triggers::{self, Standing, State};

const CHECK: &str = "triggers";
const INSTALL: &str = "memberflow supabase install";

pub(super) async fn examine(
    connection: &mut PgConnection,
    config: &Config,
) -> Result<Vec<Finding>, sqlx::Error> {
    let standings = triggers::look(connection, &config.activity_tables).await?;
    Ok(findings(&standings))
}

fn findings(standings: &[Standing]) -> Vec<Finding> {
    let of = |state: &State| -> Vec<&str> {
        let of_state = standings.iter().filter(|standing| standing.state == *state);
        of_state.map(|standing| standing.relation.as_str()).collect()
    };
    let lacking = lacking(standings);
    if standings.iter().all(|standing| !standing.has_function) {
        let message = "none: logins, sign-ups, files and rows are known by Auth Hooks and Database Webhooks alone, which can be lost";
        let none = Finding::wrong(CHECK, Level::Note, message, INSTALL);
        return [none].into_iter().chain(lacking).collect();
    }
    let mut findings = lacking;
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

/// Tables whose rows cannot be counted, with a trigger or without.
fn lacking(standings: &[Standing]) -> Vec<Finding> {
    let lacking = standings.iter().filter_map(|standing| match &standing.state {
        State::NoColumn(column) => {
            let message = format!("{} has no column {column}, so its rows do not count", standing.relation);
            let fix =
                "name the right column in MEMBERFLOW_ACTIVITY_TABLES, then: memberflow supabase install";
            Some(Finding::wrong(CHECK, Level::Warning, message, fix))
        }
        _ => None,
    });
    lacking.collect()
}
