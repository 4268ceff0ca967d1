//! `memberflow forget`: removes a person's data, and keeps the accounting records.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::terminal::complain;
use super::{Exit, Failure, print};
use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::ops::actor::actor;
use crate::queue;
use crate::store::forget::{AddressHandling, Done, ForgetError, ForgetPlan, Ids};
use crate::store::{Store, StoreSettings};

/// Ids of one kind in a line of text; JSON has all of them.
const IDS_IN_TEXT: usize = 10;

/// Remove a person from the events, the facts and the CRM's tables, and keep the books.
///
/// Lists what would be removed and asks for confirmation. Payments, subscriptions, the MRR ledger and the counts stay under Stripe's
/// customer and the user's id. The account at Supabase and the customer at Stripe are not touched, and what they send
/// later brings the person back: run this before deleting them, while profiles, tickets and messages still name the
/// account, and once more after.
#[derive(Clone, Debug, Args)]
pub struct ForgetArgs {
    /// The user id or the e-mail address, of a present or former member.
    member: String,
    /// Only list what would be removed.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation. This cannot be undone.
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// The output.
#[derive(Serialize)]
struct ForgetReport<'a> {
    #[serde(rename = "list")]
    plan: &'a ForgetPlan,
    /// Messages in RabbitMQ by queue: they may be about the person.
    messages_in_queues: BTreeMap<String, u32>,
    /// What was done; absent for a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<Done>,
}

/// Runs the command; data goes to stdout.
///
/// # Errors
/// If there is no such person, it was not confirmed, a rebuild is running, or the database does not answer.
pub async fn run(args: ForgetArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    let needs_confirmation = !args.yes && !args.dry_run;
    if needs_confirmation && !io::stdin().is_terminal() {
        let message = "this cannot be undone: check with --dry-run, then pass --yes";
        return Err(Failure::new(Exit::Usage, message).into());
    }
    let pool = database::connect(config).context("DATABASE_URL cannot be used")?;
    let store = Store::new(pool, clock.clone(), StoreSettings::new(config));
    let plan = store.plan_forget(&args.member).await.map_err(explained)?.ok_or_else(|| {
        let message = format!(
            "nothing is known of {}, or only as an address of somebody else's customer: name a member by the user id or the address",
            args.member
        );
        Failure::new(Exit::NotFound, message)
    })?;
    let messages_in_queues =
        queue::broker_queue_depths(config).await.context("cannot count the messages in RabbitMQ");
    let messages_in_queues =
        messages_in_queues.map_err(|error| Failure::new(Exit::DependencyDown, format!("{error:#}")))?;
    let mut report = ForgetReport { plan: &plan, messages_in_queues, done: None };
    if needs_confirmation {
        complain(&text(&report));
        confirm(&args.member)?;
    }
    if !args.dry_run {
        report.done = Some(store.forget(&plan, &actor()).await.map_err(explained)?);
    }
    print(&report, args.json, text)
}

/// An ambiguous address is a usage error.
fn explained(error: ForgetError) -> anyhow::Error {
    match error {
        ForgetError::Ambiguous(_) => Failure::new(Exit::Usage, error.to_string()).into(),
        error => error.into(),
    }
}

/// Asks for the name again.
fn confirm(member: &str) -> anyhow::Result<()> {
    complain("this cannot be undone: type the user id or the address again to remove all of this");
    let mut typed = String::new();
    io::stdin().read_line(&mut typed).context("cannot read the answer")?;
    if typed.trim() == member.trim() {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, "not confirmed: nothing was removed").into())
}

fn text(report: &ForgetReport<'_>) -> String {
    let plan = report.plan;
    let mut lines = vec![format!("addresses: {}", plan.addresses.len())];
    lines.extend(plan.addresses.iter().map(|it| {
        let handling = match it.handling {
            AddressHandling::Followed => "removed from every row that belongs to nobody else",
            AddressHandling::OwnRows => "removed from the person's own rows",
            AddressHandling::LeftAlone => "removed from the person's own rows, kept elsewhere",
        };
        format!("  {}: {handling} ({})", it.address, it.because)
    }));
    let kinds =
        [("customers", &plan.customers), ("events", &plan.events), ("dead letters", &plan.dead_letters)];
    lines.extend(kinds.into_iter().chain(plan.crm.kinds()).map(|(kind, ids)| ids_line(kind, ids)));
    lines.extend(done_lines(report));
    if plan.account_is_there {
        lines.push(
            "the account and the application's rows about it are still there: delete it at Supabase, then run this again"
                .to_owned(),
        );
    }
    if !plan.not_applied.0.is_empty() {
        lines.push(ids_line("events about the person that are not applied yet", &plan.not_applied));
        lines.push("they bring the person back: run this again after them".to_owned());
    }
    lines.extend(report.messages_in_queues.iter().map(|(queue, count)| {
        format!("messages in {queue}: {count}; they may be about the person: run this again after them")
    }));
    lines.join("\n")
}

fn done_lines(report: &ForgetReport<'_>) -> Vec<String> {
    let customers = report.plan.customers.0.len();
    let Some(done) = &report.done else {
        return vec![format!("the person would be forgotten; the books of {customers} customers stay")];
    };
    let mut lines: Vec<String> =
        done.iter().map(|(action, count)| format!("{count:>8}  {}", label(action))).collect();
    lines.push(format!("the person is forgotten; the books of {customers} customers stay"));
    lines
}

/// The text of an action, where it says more than the key in JSON.
fn label(action: &str) -> &str {
    match action {
        "acts emptied" => "audit log arguments emptied",
        "claims cleaned" => "identity claims emptied of other references",
        "decisions emptied" => "recorded matches emptied of the address",
        "kept answers emptied" => "stored API responses emptied",
        "kept differences emptied" => "stored comparison differences emptied",
        _ => action,
    }
}

fn ids_line(kind: &str, ids: &Ids) -> String {
    let count = ids.0.len();
    let shown: Vec<&str> = ids.0.iter().take(IDS_IN_TEXT).map(String::as_str).collect();
    let separator = if shown.is_empty() { "" } else { ": " };
    let more = match count - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more (--json lists all)"),
    };
    format!("{kind}: {count}{separator}{}{more}", shown.join(", "))
}
