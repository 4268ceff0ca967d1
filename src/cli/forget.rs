//! `memberflow forget`: removes a person, and keeps the books.

use anyhow::Context as _;
use clap::Args;

use super::{Exit, Failure, print};
use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::ops::actor::actor;
use crate::store::forget::Forgotten;
use crate::store::{Rules, Store};

/// Remove a person from the events, the facts and the CRM's tables, and keep the books.
///
/// Payments, subscriptions, the MRR ledger and the counts stay under Stripe's customer and the user's id. The account
/// at Supabase and the customer at Stripe are not touched, and what they send later brings the person back: run this
/// before deleting them, while tickets and messages still name the account, and once more after.
#[derive(Clone, Debug, Args)]
pub struct ForgetArgs {
    /// The user id or the e-mail address, of a member who is there or gone.
    member: String,
    /// Only say what would be removed.
    #[arg(long)]
    dry_run: bool,
    /// Do it: there is no way back.
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command; data goes to stdout.
///
/// # Errors
/// Nobody is known by that name, it was not confirmed, a rebuild is under way, or the database does not answer.
pub async fn run(args: ForgetArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    if !args.yes && !args.dry_run {
        let message = "what is forgotten is gone for good: look with --dry-run, then say --yes";
        return Err(Failure::new(Exit::Usage, message).into());
    }
    let pool = database::connect(config).context("DATABASE_URL cannot be used")?;
    let store = Store::new(pool, clock.clone(), Rules::new(config));
    let person = store.find_person(&args.member).await.context("cannot look through the tables")?;
    let person = person.ok_or_else(|| {
        let message =
            format!("nothing is known of {}: name a member by the user id or the address", args.member);
        Failure::new(Exit::NotFound, message)
    })?;
    let forgotten = store.forget(&person, args.dry_run, &actor()).await?;
    print(&forgotten, args.json, |it| text(it, args.dry_run))
}

fn text(forgotten: &Forgotten, dry_run: bool) -> String {
    let mut lines: Vec<String> =
        forgotten.rows.iter().map(|(what, count)| format!("{count:>8}  {what}")).collect();
    let (done, customers) =
        (if dry_run { "would be forgotten" } else { "is forgotten" }, forgotten.customers);
    lines.push(format!("the person {done}; the books of {customers} customers stay"));
    if forgotten.account_is_there {
        lines.push(
            "the account and the application's rows about it are still there: delete it at Supabase, then run this again"
                .to_owned(),
        );
    }
    if forgotten.waiting > 0 {
        let waiting = forgotten.waiting;
        lines.push(format!(
            "events about the person that are not applied yet: {waiting}; run this again after them"
        ));
    }
    lines.join("\n")
}
