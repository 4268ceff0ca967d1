//! `memberflow reconcile stripe`

use time::OffsetDateTime;

use super::drift::{Findings, short};
use crate::cli::{Exit, Failure, stripe_api};
use crate::clock::Clock;
use crate::config::Config;
use crate::ops::actor::actor;
use crate::ops::ledger::parse_since;
use crate::ops::progress::Progress;
use crate::ops::reconcile::Options;
use crate::ops::reconcile::stripe::{self, DriftedObject, ObjectDrift, ObjectId, Report};

/// Compare every object of Stripe's API with what the events have reported.
///
/// Objects whose events left a doubt are compared first. Needs STRIPE_API_KEY.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct StripeArgs {
    /// Fix differences, as an event created in the second in which Stripe answered would.
    #[arg(long)]
    fix: bool,
    /// Leave out invoices, charges, refunds and disputes made before this date or moment.
    #[arg(long, value_name = "DATE", value_parser = parse_since)]
    since: Option<OffsetDateTime>,
    /// Compare only the object with this id (cus_…, sub_…, in_…, ch_…, re_…, dp_…, price_…).
    #[arg(long, value_name = "ID", conflicts_with = "since")]
    object: Option<ObjectId>,
    /// Show at most N of the objects that differ, as text; JSON shows them all.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u64,
    /// One line of JSON per object that differs, then one with the summary.
    #[arg(long)]
    json: bool,
}

/// Exits with 6 if differences remain, with 3 if some lists could not be read, with 5 if nobody has the one object.
pub(super) async fn run(args: StripeArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    let options = Options { fix: args.fix, since: args.since };
    let mut findings = Findings::new(args.json, args.limit);
    let show = |drifted: &DriftedObject| {
        findings.show(drifted, lines);
    };
    let report = match &args.object {
        Some(object) => run_object(object, args.fix, config, clock, show).await?,
        None => run_stripe("reconcile", options, config, clock, show).await?,
    };
    findings.end(&report, report.total() + report.deleted_at_stripe, summary)?;
    Ok(exit(&report))
}

fn exit(report: &Report) -> Exit {
    match (report.left(), report.skipped.is_empty()) {
        (0, true) => Exit::Fine,
        (0, false) => Exit::SomeFailed,
        _ => Exit::Drift,
    }
}

/// Compares, and fixes if requested. The progress names `command`.
///
/// # Errors
/// A failure with its exit code.
pub async fn run_stripe(
    command: &'static str,
    options: Options,
    config: &Config,
    clock: &Clock,
    show: impl FnMut(&DriftedObject),
) -> anyhow::Result<Report> {
    let (store, api) = stripe_api::open(config, clock)?;
    let mut progress = Progress::on_stderr(command);
    tokio::select! {
        done = stripe::run(&store, &api, clock, options, &mut progress, show) => done.map_err(stripe_api::failure),
        _ = tokio::signal::ctrl_c() => {
            Err(Failure::new(Exit::Failed, "interrupted: what was fixed stays; the next run continues").into())
        }
    }
}

async fn run_object(
    object: &ObjectId,
    fix: bool,
    config: &Config,
    clock: &Clock,
    show: impl FnMut(&DriftedObject),
) -> anyhow::Result<Report> {
    let (store, api) = stripe_api::open(config, clock)?;
    let done = stripe::run_object_by(&store, &api, clock, fix, object, &actor(), show).await;
    done.map_err(stripe_api::failure)
}

fn lines(drifted: &DriftedObject) -> String {
    let DriftedObject { kind, id, customer, drift, fields, is_fixed } = drifted;
    let of = customer.as_deref().filter(|customer| customer != id).map(|it| format!(" of {it}"));
    let name = format!("{kind} {id}{}", of.unwrap_or_default());
    let fixed = if *is_fixed { ", fixed" } else { "" };
    match drift {
        ObjectDrift::Missing => format!("{name}: not known here{fixed}"),
        ObjectDrift::NotAtStripe => format!("{name}: not known to Stripe"),
        ObjectDrift::DeletedAtStripe => format!("{name}: deleted at Stripe, its terms still apply"),
        ObjectDrift::Differs => {
            let field = |it: &stripe::FieldDifference| {
                format!("\n    {}: {} -> {}", it.field, short(&it.here), short(&it.stripe))
            };
            format!("{name}: here -> at Stripe{fixed}{}", fields.iter().map(field).collect::<String>())
        }
    }
}

/// The summary for people.
#[must_use]
pub fn summary(report: &Report) -> String {
    let mut lines = Vec::new();
    for (kind, objects) in &report.objects {
        let drifted = report.drifted.get(kind).copied().unwrap_or_default();
        lines.push(format!(
            "{objects:>8}  {kind}{}",
            if drifted > 0 { format!(", {drifted} differ") } else { String::new() }
        ));
    }
    lines.extend(report.skipped.iter().map(|(list, reason)| format!("could not be read: {list}: {reason}")));
    let counts = [
        (report.unreadable, "unparseable objects"),
        (report.not_at_stripe, "objects that Stripe does not know"),
        (report.deleted_at_stripe, "prices, products and coupons deleted at Stripe, which is no drift"),
        (report.forgotten, "objects of forgotten persons, which are not fixed"),
    ];
    lines.extend(
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{what}: {count}")),
    );
    let seconds = report.took.as_secs_f64();
    lines.push(match (report.total(), report.left()) {
        (0, _) => format!("no drift: the facts match Stripe ({seconds:.1} s)"),
        (total, 0) => format!("objects that differed and are fixed: {total} ({seconds:.1} s)"),
        (_, left) if report.fix => {
            format!("fixed: {}; objects that differ and cannot be fixed: {left} ({seconds:.1} s)", report.fixed)
        }
        (total, _) => {
            format!("objects that differ: {total}; `memberflow reconcile stripe --fix` fixes them ({seconds:.1} s)")
        }
    });
    lines.join("\n")
}
