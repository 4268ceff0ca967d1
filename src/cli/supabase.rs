//! `memberflow supabase install` and `memberflow supabase uninstall`: the triggers that record changes as
//! events.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;
use sqlx::PgPool;

use super::{Exit, print_data};
use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::ops::actor::note;
use crate::ops::realtime;
use crate::ops::triggers::{self, Done, Outcome};
use crate::project::supabase::ActivityTables;

/// Install or remove the triggers that record logins, sign-ups, files and rows.
#[derive(Debug, Args)]
pub struct SupabaseArgs {
    #[command(subcommand)]
    command: SupabaseCommand,
}

#[derive(Debug, Subcommand)]
enum SupabaseCommand {
    /// Add the triggers that are missing or outdated. Running it again changes nothing.
    Install(InstallArgs),
    /// Remove the triggers and their functions. Everything else stays as it is.
    Uninstall(HowArgs),
}

#[derive(Clone, Copy, Debug, Args)]
struct InstallArgs {
    /// Also publish the members' tables, tickets and text messages to Supabase Realtime, and notify memberflow_changes.
    #[arg(long)]
    realtime: bool,
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Clone, Copy, Debug, Args)]
struct HowArgs {
    /// Print the SQL for this database and change nothing.
    #[arg(long)]
    print: bool,
    /// One JSON array of what was done.
    #[arg(long, conflicts_with = "print")]
    json: bool,
}

/// Runs the subcommand: results, or the SQL, on stdout.
///
/// # Errors
/// If the database is down, not migrated, or belongs to another role.
pub async fn run(args: SupabaseArgs, config: &Config) -> anyhow::Result<Exit> {
    let pool = database::connect(config).context("DATABASE_URL cannot be used")?;
    let tables = &config.activity_tables;
    let act = match args.command {
        SupabaseCommand::Install(_) => "supabase install",
        SupabaseCommand::Uninstall(_) => "supabase uninstall",
    };
    let (how, done) = match args.command {
        SupabaseCommand::Install(args) if args.how.print => {
            return print_data(&install_script(&pool, tables, args.realtime).await?);
        }
        SupabaseCommand::Uninstall(HowArgs { print: true, .. }) => {
            return print_data(&uninstall_script(&pool, tables).await?);
        }
        SupabaseCommand::Install(args) => (args.how, install(&pool, tables, args.realtime).await?),
        SupabaseCommand::Uninstall(how) => (how, uninstall(&pool, tables).await?),
    };
    audit(&pool, act, &done).await.context("it is done, but the audit log could not be written")?;
    let text = if how.json { serde_json::to_string(&done)? } else { text(&done) };
    print_data(&(text + "\n"))?;
    Ok(exit(&done))
}

async fn install(pool: &PgPool, tables: &ActivityTables, realtime: bool) -> anyhow::Result<Vec<Done>> {
    let mut done = triggers::install(pool, tables).await?;
    if realtime {
        done.extend(realtime::install(pool).await.context(REALTIME)?);
    }
    Ok(done)
}

async fn install_script(pool: &PgPool, tables: &ActivityTables, realtime: bool) -> anyhow::Result<String> {
    let mut script = triggers::install_script(pool, tables).await?;
    if realtime {
        script += &realtime::install_script(pool).await.context(REALTIME)?;
    }
    Ok(script)
}

async fn uninstall(pool: &PgPool, tables: &ActivityTables) -> anyhow::Result<Vec<Done>> {
    let mut done = triggers::uninstall(pool, tables).await?;
    done.extend(realtime::uninstall(pool).await.context(REALTIME)?);
    Ok(done)
}

async fn uninstall_script(pool: &PgPool, tables: &ActivityTables) -> anyhow::Result<String> {
    let script = triggers::uninstall_script(pool, tables).await?;
    Ok(script + &realtime::uninstall_script(pool).await.context(REALTIME)?)
}

const REALTIME: &str = "the tables' publication and notifications could not be seen to";

/// Writes one row to the audit log, if something was done.
async fn audit(pool: &PgPool, act: &str, done: &[Done]) -> Result<(), sqlx::Error> {
    let of = |outcome| {
        done.iter().filter(|one| one.outcome == outcome).map(|one| &one.relation).collect::<Vec<_>>()
    };
    let (installed, removed) = (of(Outcome::Installed), of(Outcome::Removed));
    if installed.is_empty() && removed.is_empty() {
        return Ok(());
    }
    let outcome = json!({"installed": installed, "removed": removed});
    note(pool, act, json!({}), outcome, Clock::System.now()).await
}

/// 0 all done, 3 some tables could not be changed, 1 none could.
fn exit(done: &[Done]) -> Exit {
    let failed = done.iter().filter(|one| matches!(one.outcome, Outcome::Failed(_))).count();
    let worked = done.iter().any(|one| !matches!(one.outcome, Outcome::Failed(_) | Outcome::Skipped(_)));
    match (failed, worked) {
        (0, _) => Exit::Fine,
        (_, true) => Exit::SomeFailed,
        (_, false) => Exit::Failed,
    }
}

fn text(done: &[Done]) -> String {
    let line = |one: &Done| {
        let outcome = match &one.outcome {
            Outcome::Installed => "installed".to_owned(),
            Outcome::Removed => "removed".to_owned(),
            Outcome::Unchanged => "nothing to do".to_owned(),
            Outcome::Skipped(reason) => format!("skipped: {reason}"),
            Outcome::Failed(reason) => format!("FAILED: {reason}"),
        };
        format!("{}: {outcome}", one.relation)
    };
    done.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(outcomes: &[Outcome]) -> Vec<Done> {
        let done = |outcome: &Outcome| Done { relation: "auth.users".to_owned(), outcome: outcome.clone() };
        outcomes.iter().map(done).collect()
    }

    #[test]
    fn skipped_table_succeeds_refused_table_fails() {
        let (skipped, failed) = (Outcome::Skipped("s".to_owned()), Outcome::Failed("f".to_owned()));
        for (outcomes, code) in [
            (&[Outcome::Installed, skipped.clone()][..], Exit::Fine),
            (&[Outcome::Unchanged, failed.clone()], Exit::SomeFailed),
            (&[skipped, failed], Exit::Failed),
        ] {
            assert_eq!(exit(&done(outcomes)), code, "{outcomes:?}");
        }
    }

    #[test]
    fn each_table_is_a_line() {
        let all = [
            Outcome::Installed,
            Outcome::Removed,
            Outcome::Unchanged,
            Outcome::Skipped("there is no such table".to_owned()),
            Outcome::Failed("it is held".to_owned()),
        ];
        assert_eq!(
            text(&done(&all)),
            "auth.users: installed\nauth.users: removed\nauth.users: nothing to do\n\
             auth.users: skipped: there is no such table\nauth.users: FAILED: it is held"
        );
    }
}
