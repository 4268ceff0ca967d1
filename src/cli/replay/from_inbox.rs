//! `memberflow replay --from-inbox`: re-applies selected events, and shows or fixes the rows that differ.

use anyhow::Context as _;
use time::OffsetDateTime;

use crate::cli::members::find;
use crate::cli::rebuild::{RebuildArgs, drive};
use crate::cli::{Exit, Failure};
use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::ops::ledger::parse_since;
use crate::store::rebuild::Selection;
use crate::store::{Store, StoreSettings};

/// Above this number of events `--force` is needed.
const MANY: i64 = 10_000;

#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(super) struct InboxArgs {
    /// Re-apply selected events and repair the rows they affect, together with all other events about the same customers,
    /// users and rows. New events are applied meanwhile; rows that are correct do not change.
    #[arg(long)]
    pub(super) from_inbox: bool,
    /// Events with these ids: evt_…, or a webhook's id.
    #[arg(long = "id", value_name = "EVENT", requires = "from_inbox")]
    ids: Vec<String>,
    /// Events of this type, such as invoice.paid.
    #[arg(long = "type", value_name = "TYPE", requires = "from_inbox")]
    event_type: Option<String>,
    /// Events about this Stripe customer and its objects.
    #[arg(long, value_name = "ID", requires = "from_inbox")]
    customer: Option<String>,
    /// Events about this member, their customers and rows: the user id or the e-mail address.
    #[arg(long, value_name = "MEMBER", requires = "from_inbox")]
    member: Option<String>,
    /// Events applied since this date or moment.
    #[arg(long, value_name = "DATE", value_parser = parse_since, requires = "from_inbox")]
    since: Option<OffsetDateTime>,
    /// Events applied before this date or moment.
    #[arg(long, value_name = "DATE", value_parser = parse_since, requires = "from_inbox")]
    until: Option<OffsetDateTime>,
    /// Only show the rows that would change, before and after; exit with 6 if there are any.
    #[arg(long, requires = "from_inbox")]
    dry_run: bool,
    /// Replay all events, or more than 10,000 of a type or time. Not needed for a dry run.
    #[arg(long, requires = "from_inbox")]
    force: bool,
    /// Show at most N of the rows that change, as text; JSON shows them all.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u64,
}

pub(super) async fn run(args: InboxArgs, json: bool, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    let pool = database::connect(config).context("DATABASE_URL cannot be used")?;
    let member = match &args.member {
        Some(who) => Some(find(&pool, who).await?),
        None => None,
    };
    let selection = Selection {
        ids: args.ids,
        event_type: args.event_type,
        customer: args.customer,
        member,
        since: args.since,
        until: args.until,
    };
    if !args.force && !args.dry_run {
        refuse_many(&selection, &pool).await?;
    }
    let store = Store::new(pool, clock.clone(), StoreSettings::new(config));
    drive(&store, Some(&selection), RebuildArgs { check: args.dry_run, limit: args.limit, json }).await
}

async fn refuse_many(selection: &Selection, pool: &sqlx::PgPool) -> anyhow::Result<()> {
    if selection.is_everything() {
        let message = "choose events by --id, --type, --customer, --member, --since or --until, look with \
                       --dry-run, or take them all with --force";
        return Err(Failure::new(Exit::Usage, message).into());
    }
    if selection.is_of_one_owner() {
        return Ok(());
    }
    let count = selection.count(pool, MANY + 1).await.context("cannot count the events")?;
    if count > MANY {
        let message = format!(
            "more than {MANY} events are selected: select fewer, check with --dry-run, or replay them with --force"
        );
        return Err(Failure::new(Exit::Usage, message).into());
    }
    Ok(())
}
