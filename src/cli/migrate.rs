//! `memberflow migrate`: applies migrations, or shows their status.

use std::process::ExitCode;

use anyhow::Context as _;
use comfy_table::Table;
use secrecy::ExposeSecret as _;
use sqlx::postgres::PgConnectOptions;

use super::terminal::{complain, print_data};
use crate::config::Config;
use crate::store::migrate::{self, MigrateError, MigrateOptions, MigrationStatus, Report, State};
use crate::store::supabase_stub::StubOutcome;

/// Apply the database migrations that are missing.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct MigrateArgs {
    /// Only show which migrations are applied; change nothing.
    #[arg(long, conflicts_with = "supabase_stub")]
    status: bool,
    /// First make a local stand-in of Supabase's roles and schemas. Only where no `auth` schema exists.
    #[arg(long)]
    supabase_stub: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand: data on stdout, errors on stderr.
///
/// # Errors
/// If `DATABASE_URL` is invalid or stdout cannot be written to. Refusals of the database are reported here,
/// with their own exit codes.
pub async fn run(args: MigrateArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let database: PgConnectOptions =
        config.database_url.expose_secret().parse().context("DATABASE_URL is not a Postgres URL")?;
    let outcome = match args.status {
        true => migrate::status(&database).await.map(|lines| status_text(&lines, args.json)),
        false => {
            let options = MigrateOptions { supabase_stub: args.supabase_stub };
            migrate::run(&database, options).await.map(|report| report_text(&report, args.json))
        }
    };
    match outcome {
        Ok(text) => {
            print_data(&(text? + "\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let code = exit_code(&error);
            complain(&super::exit::describe(&anyhow::Error::new(error)));
            Ok(ExitCode::from(code))
        }
    }
}

/// 1 failed, 4 not allowed, 7 the database is down.
fn exit_code(error: &MigrateError) -> u8 {
    match error {
        MigrateError::StubRefused(_) => 4,
        MigrateError::Unreachable(_) => 7,
        MigrateError::TransactionPooler
        | MigrateError::NoAuthSchema
        | MigrateError::Locked(_)
        | MigrateError::OtherVersion(_)
        | MigrateError::Combined { .. }
        | MigrateError::Migration(_)
        | MigrateError::Database(_) => 1,
    }
}

fn report_text(report: &Report, json: bool) -> anyhow::Result<String> {
    if json {
        return Ok(serde_json::to_string(report)?);
    }
    let mut sentences = Vec::new();
    match report.supabase_stub {
        StubOutcome::NotAsked => {}
        StubOutcome::Created => sentences.push("Created the local Supabase stub.".to_owned()),
        StubOutcome::AlreadyThere => {
            sentences.push("The local Supabase stub exists already.".to_owned());
        }
    }
    sentences.extend(report.applied.iter().map(|name| format!("Applied {name}.")));
    if report.applied.is_empty() {
        sentences.push("The schema is up to date; nothing to apply.".to_owned());
    }
    sentences.extend(report.unsafe_policies.iter().map(|policy| {
        format!(
            "Warning: policy {policy} trusts user_metadata, which users can write themselves; read app_metadata there."
        )
    }));
    Ok(sentences.join("\n"))
}

fn status_text(lines: &[MigrationStatus], json: bool) -> anyhow::Result<String> {
    if json {
        return Ok(serde_json::to_string(lines)?);
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["version", "name", "state", "applied at"]);
    for line in lines {
        let applied_at = match line.applied_at {
            Some(moment) => moment.format(&time::format_description::well_known::Rfc3339)?,
            None => String::new(),
        };
        table.add_row([
            line.version.to_string(),
            line.name.clone(),
            state_word(line.state).to_owned(),
            applied_at,
        ]);
    }
    Ok(table.trim_fmt())
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Applied => "applied",
        State::Pending => "pending",
        State::Changed => "changed since it was applied",
        State::Combined => "of an earlier version; `memberflow migrate` says how to continue",
        State::Unknown => "unknown to this version of memberflow",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(applied: &[&str]) -> Report {
        Report {
            supabase_stub: StubOutcome::NotAsked,
            applied: applied.iter().map(|name| (*name).to_owned()).collect(),
            unsafe_policies: Vec::new(),
        }
    }

    #[test]
    fn applied_migrations_are_printed() {
        assert_eq!(report_text(&report(&["1_a", "2_b"]), false).unwrap(), "Applied 1_a.\nApplied 2_b.");
        assert_eq!(report_text(&report(&[]), false).unwrap(), "The schema is up to date; nothing to apply.");
    }

    #[test]
    fn open_policies_are_named() {
        let mut report = report(&[]);
        report.unsafe_policies.push("\"Admins\" on public.leads".to_owned());
        assert!(report_text(&report, false).unwrap().contains("policy \"Admins\" on public.leads trusts"));
    }

    #[test]
    fn refusal_and_outage_have_distinct_exit_codes() {
        assert_eq!(exit_code(&MigrateError::StubRefused("reason")), 4);
        assert_eq!(exit_code(&MigrateError::Unreachable(sqlx::Error::PoolClosed)), 7);
        assert_eq!(exit_code(&MigrateError::NoAuthSchema), 1);
        assert_eq!(exit_code(&MigrateError::Combined { last: 1, revision: "70e741f" }), 1);
    }
}
