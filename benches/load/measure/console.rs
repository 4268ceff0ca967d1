//! The console's pages, as a person reads them who is signed in, with very many members and ten events for each of them.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::Options;
use super::client::Connection;
use super::members::Listed;
use super::report::{Report, Target};
use crate::support::receiver::ADMIN_TOKEN;

/// How often each page is read in a round.
const READINGS: usize = 7;
/// What every page is to take at most, in milliseconds.
const MOST_MS: f64 = 100.0;

/// One round: each page's median, reported by the page that is the slowest of its kind.
pub async fn measure(listed: &Listed, options: &Options, report: &mut Report) {
    let mut connection = Connection::open(listed.address()).await;
    let cookie = sign_in(&mut connection).await;
    let mut slowest = BTreeMap::<&str, (Duration, String)>::new();
    for (kind, path) in pages(&mut connection, &cookie, listed.member().await).await {
        let mut readings = Vec::new();
        for _ in 0..READINGS {
            let began = Instant::now();
            read(&mut connection, &cookie, &path).await;
            readings.push(began.elapsed());
        }
        readings.sort();
        let median = readings[READINGS / 2];
        eprintln!("    {:>7.1} ms: {path}", median.as_secs_f64() * 1000.0);
        let known = slowest.entry(kind).or_default();
        *known = (median, path).max(known.clone());
    }
    let members = options.listed();
    for (kind, (median, path)) in slowest {
        eprintln!("    slowest of {kind}: {path}");
        let name = format!("console with {members} members and {} events: {kind}", members * 10);
        report.value(&name, median.as_secs_f64() * 1000.0, " ms", Target::Below(MOST_MS));
    }
}

/// The cookie of a session that begins.
pub async fn sign_in(connection: &mut Connection) -> String {
    let form = format!("token={ADMIN_TOKEN}");
    let request = format!(
        "POST /console/sign-in HTTP/1.1\r\nhost: memberflow\r\nsec-fetch-site: same-origin\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    let answer = connection.send(request.as_bytes()).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let cookie = answer.head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("set-cookie")
            .then(|| value.split(';').next().unwrap_or_default().to_owned())
    });
    cookie.expect("a session")
}

/// A page, as a person reads it who is signed in.
pub async fn read(connection: &mut Connection, cookie: &str, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: memberflow\r\ncookie: {cookie}\r\n\r\n");
    let answer = connection.send(request.as_bytes()).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

/// Every page, its lists with each filter, and what their links to a next page lead to.
async fn pages(connection: &mut Connection, cookie: &str, member: Uuid) -> Vec<(&'static str, String)> {
    let mut pages: Vec<(&'static str, String)> = Vec::new();
    for (kind, path) in PAGES {
        let path = path.replace("MEMBER", &member.to_string());
        let page = read(connection, cookie, &path).await;
        pages.push((kind, path));
        let next = page.split("rel=\"next\"").next().filter(|before| before.len() < page.len());
        if let Some(href) = next.and_then(|before| before.rsplit("href=\"").next()) {
            let href = href.split('"').next().unwrap_or_default().replace("&#38;", "&");
            pages.push((kind, href));
        }
    }
    pages
}

/// What a page is called, and where it is.
const PAGES: &[(&str, &str)] = &[
    ("overview", "/console"),
    ("members", "/console/members"),
    ("members", "/console/members?sort=name"),
    ("members", "/console/members?sort=email"),
    ("members", "/console/members?sort=mrr"),
    ("members", "/console/members?sort=ltv&order=asc"),
    ("members", "/console/members?sort=last_login_at"),
    ("members", "/console/members?text=anna"),
    ("members", "/console/members?text=anna&sort=mrr"),
    ("members", "/console/members?text=Berger%204999"),
    ("members", "/console/members?text=mail99999&sort=name"),
    ("members", "/console/members?text=nobody"),
    ("members", "/console/members?text=%2B120210"),
    ("members", "/console/members?tier=Founder"),
    ("members", "/console/members?tier=Pro&status=past_due&sort=mrr"),
    ("members", "/console/members?status=past_due"),
    ("members", "/console/members?status=past_due&sort=name"),
    ("members", "/console/members?status=past_due&sort=mrr"),
    ("members", "/console/members?status=past_due&sort=last_login_at"),
    ("members", "/console/members?status=canceled&tier=Starter&sort=name"),
    ("members", "/console/members?status=unpaid"),
    ("members", "/console/members?health_status=needs_attention"),
    ("members", "/console/members?health_status=needs_attention&sort=mrr"),
    ("members", "/console/members?engagement_status=at_risk&health_status=needs_attention"),
    ("members", "/console/members?engagement_status=champion&status=past_due"),
    ("member", "/console/members/MEMBER"),
    ("tickets", "/console/tickets"),
    ("tickets", "/console/tickets?status=closed"),
    ("tickets", "/console/tickets?status=waiting_reply"),
    ("tickets", "/console/tickets?priority=urgent&category=billing"),
    ("tickets", "/console/tickets?assignee=nobody&waiting_for=staff"),
    ("tickets", "/console/tickets?text=nothing%20like%20it"),
    ("ticket", "/console/tickets/SUPP-8"),
    ("revenue", "/console/revenue"),
    ("revenue", "/console/revenue?from=2024-01&to=2026-11"),
    ("revenue", "/console/revenue?date=2025-06-15T12:00:00Z"),
    ("movements", "/console/revenue/movements?currency=usd&month=2025-03&kind=new"),
    ("movements", "/console/revenue/movements?currency=eur&month=2025-03&kind=churn"),
    ("movements", "/console/revenue/movements?currency=usd&month=2025-03&kind=expansion&known_at=2025-04-01"),
    ("revenue, as known before the last of 33 months", "/console/revenue?known_at=2026-10-20"),
    ("revenue, as known before the last 20 of 33 months", "/console/revenue?known_at=2025-04-01"),
    ("campaigns", "/console/campaigns"),
    ("campaigns", "/console/campaigns?status=active"),
    ("campaign", "/console/campaigns/campaign-1"),
    ("campaign", "/console/campaigns/campaign-2"),
    ("events", "/console/events"),
    ("events", "/console/events?type=invoice.*"),
    ("events", "/console/events?type=never.seen"),
    ("events", "/console/events?source=twilio&since=2025-01-01&until=2025-02-01"),
    ("events", "/console/events?object=sub_1003"),
    ("events", "/console/events?state=dead"),
    ("events", "/console/events?state=waiting"),
    ("events", "/console/events?state=failing"),
    ("event", "/console/events/stripe/evt_40"),
    ("attention", "/console/attention"),
    ("audit", "/console/audit"),
    ("audit", "/console/audit?actor=person3@crm&act=members%20change"),
    ("audit", "/console/audit?actor=nobody"),
];
