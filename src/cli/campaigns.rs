//! `memberflow campaigns list` and `memberflow campaigns show`.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use sqlx::PgPool;

use super::moment::days;
use super::table::{in_words, plain, right_aligned, spaced, text};
use super::terminal::printable;
use super::{Exit, Failure, print};
use crate::config::Config;
use crate::database;
use crate::money::format_minor_units;
use crate::ops::campaigns::{self, Campaign, Detail, Page};
use crate::ops::page::MAX_LIMIT;

/// List and show campaigns with leads, revenue and return.
#[derive(Debug, Args)]
pub struct CampaignsArgs {
    #[command(subcommand)]
    command: CampaignsCommand,
}

#[derive(Debug, Subcommand)]
enum CampaignsCommand {
    /// List campaigns with leads, members, revenue, cost and return, in the order of their slugs.
    List(ListArgs),
    /// Show one campaign with its newest leads.
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only campaigns in this status.
    #[arg(long, value_parser = campaigns::STATUSES)]
    status: Option<String>,
    /// Continue after the campaign with this slug.
    #[arg(long, value_name = "SLUG")]
    after: Option<String>,
    /// Campaigns on one page, 1 to 200.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LIMIT)))]
    limit: u32,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The id or the slug.
    campaign: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command; data goes to stdout, messages to stderr.
///
/// # Errors
/// There is no such campaign, the database does not answer, or stdout can't be written to.
pub async fn run(args: CampaignsArgs, config: &Config) -> anyhow::Result<Exit> {
    let pool = database::connect(config).context("DATABASE_URL can't be read")?;
    match args.command {
        CampaignsCommand::List(args) => list(&pool, &args).await,
        CampaignsCommand::Show(args) => show(&pool, &args).await,
    }
}

async fn list(pool: &PgPool, args: &ListArgs) -> anyhow::Result<Exit> {
    let page = campaigns::list(pool, args.status.as_deref(), args.after.as_deref(), args.limit).await;
    let page = page.context("cannot read the campaigns")?;
    let exit = print(&page, args.json, table)?;
    if let Some(slug) = page.next_after.filter(|_| !args.json) {
        anstream::eprintln!("more results: run again with --after {}", printable(&slug));
    }
    Ok(exit)
}

async fn show(pool: &PgPool, args: &ShowArgs) -> anyhow::Result<Exit> {
    let found = campaigns::show(pool, &args.campaign).await.context("cannot read the campaign")?;
    let found = found.ok_or_else(|| {
        let message =
            format!("there is no campaign {}: `memberflow campaigns list` shows all", args.campaign);
        Failure::new(Exit::NotFound, message)
    })?;
    print(&found, args.json, detail)
}

fn table(page: &Page) -> String {
    if page.campaigns.is_empty() {
        return "no campaigns".to_owned();
    }
    let mut table = plain(&["Campaign", "Status", "Leads", "Members", "Revenue", "Cost", "Per lead", "ROI"]);
    for campaign in &page.campaigns {
        let money = |amount| format_minor_units(amount, Some(&campaign.currency));
        table.add_row([
            printable(&campaign.slug),
            text(campaign.status.as_deref()),
            campaign.leads.to_string(),
            campaign.members.to_string(),
            money(campaign.revenue),
            money(campaign.cost),
            campaign.cost_per_lead.map_or_else(|| "-".to_owned(), money),
            roi(campaign),
        ]);
    }
    right_aligned(table, 2..).trim_fmt()
}

/// As a percentage; the JSON has the ratio.
fn roi(campaign: &Campaign) -> String {
    campaign.roi.map_or_else(|| "-".to_owned(), |ratio| format!("{:.2} %", ratio * 100.0))
}

fn detail(detail: &Detail) -> String {
    let Detail { campaign, utm, leads_by_status, newest_leads } = detail;
    let money = |amount| format_minor_units(amount, Some(&campaign.currency));
    let statuses: Vec<String> =
        leads_by_status.iter().map(|(status, count)| format!("{count} {status}")).collect();
    let mut facts = plain(&[]);
    for (name, value) in [
        ("Campaign id", Some(campaign.id.to_string())),
        ("Name", Some(campaign.name.clone())),
        ("Slug", Some(campaign.slug.clone())),
        ("Status", campaign.status.clone()),
        ("UTM campaign", utm.utm_campaign.clone()),
        ("UTM source", utm.utm_source.clone()),
        ("UTM medium", utm.utm_medium.clone()),
        ("Leads", Some(campaign.leads.to_string())),
        ("By status", Some(statuses.join(", ")).filter(|text| !text.is_empty())),
        ("Members", Some(campaign.members.to_string())),
        ("Revenue", Some(money(campaign.revenue))),
        ("Cost", Some(money(campaign.cost))),
        ("Cost per lead", campaign.cost_per_lead.map(money)),
        ("ROI", campaign.roi.map(|_| roi(campaign))),
    ] {
        facts.add_row([name.to_owned(), text(value.as_deref())]);
    }
    let facts = spaced(facts).trim_fmt();
    if newest_leads.is_empty() {
        return facts;
    }
    let mut leads = plain(&["Lead", "Status", "Found by", "Made", "Value"]);
    for lead in newest_leads {
        leads.add_row([
            printable(&lead.email),
            text(lead.status.as_deref()),
            in_words(&lead.matched_by),
            lead.created_at.map_or_else(|| "-".to_owned(), days),
            money(lead.value),
        ]);
    }
    format!("{facts}\n\n{}", right_aligned(leads, 4..).trim_fmt())
}
