//! The member list over HTTP, with very many members: every order, its first page and one far inside, each filter, and
//! texts that many, few and none of them bear.

use std::net::SocketAddr;

use memberflow::ops::members::Cursor;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio::time::Instant;
use uuid::Uuid;

use super::client::Connection;
use super::population::empty;
use super::report::{Report, Target};
use super::visible::ms_at;
use super::{Options, Part};
use crate::support::database::TestDatabase;
use crate::support::process::Serving;
use crate::support::receiver::ADMIN_TOKEN;

/// How often each page is read in a round: the quickest is what the page takes, the others what else was running.
const READINGS: usize = 5;

/// The service's API over a database full of members.
pub struct Listed {
    database: TestDatabase,
    api: Serving,
    pages: Vec<String>,
}

impl Listed {
    pub async fn filled(options: &Options) -> Self {
        let database = empty().await;
        let console = if options.wants(Part::Console) { include_str!("console.sql") } else { "" };
        let fill = [include_str!("members.sql"), console].join("\n");
        let fill = fill.replace("MEMBERS", &options.listed().to_string());
        let fill = format!("set session_replication_role = replica; {fill}; reset session_replication_role");
        let mut connection = database.pool.acquire().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut *connection).await.unwrap();
        sqlx::query("vacuum (analyze)").execute(&mut *connection).await.unwrap();
        drop(connection);
        let settings =
            vec![("DATABASE_URL", database.url()), ("MEMBERFLOW_ADMIN_TOKEN", ADMIN_TOKEN.to_owned())];
        let api = Serving::roles("api", &settings);
        let pages = pages(&api).await;
        Self { database, api, pages }
    }

    /// Where the service listens.
    pub fn address(&self) -> SocketAddr {
        self.api.address
    }

    /// Somebody with a subscription.
    pub async fn member(&self) -> Uuid {
        sqlx::query_scalar("select md5('member10041')::uuid").fetch_one(&self.database.pool).await.unwrap()
    }

    /// One round.
    pub async fn measure(&self, options: &Options, report: &mut Report) {
        let mut connection = Connection::open(self.api.address).await;
        let mut took = Vec::new();
        for page in &self.pages {
            let mut readings = Vec::new();
            for _ in 0..READINGS {
                let began = Instant::now();
                read(&mut connection, page).await;
                readings.push(began.elapsed());
            }
            readings.sort();
            took.push((readings[0], page));
        }
        took.sort();
        let times: Vec<_> = took.iter().map(|(took, _)| *took).collect();
        let name = format!("a page of the list of {} members", options.listed());
        let unit = " ms";
        report.value(&format!("{name}, median of {}", times.len()), ms_at(&times, 0.5), unit, Target::None);
        report.value(
            &format!("{name}, slowest of {}", times.len()),
            ms_at(&times, 1.0),
            unit,
            Target::Below(10.0),
        );
        for (took, page) in took.iter().rev().take(3) {
            eprintln!("    {:.1} ms: {page}", took.as_secs_f64() * 1000.0);
        }
    }
}

async fn read(connection: &mut Connection, page: &str) -> Value {
    let answer = connection.get(page, Some(ADMIN_TOKEN)).await;
    assert_eq!(answer.status, 200, "{page}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

/// The pages that are read.
async fn pages(api: &Serving) -> Vec<String> {
    let mut connection = Connection::open(api.address).await;
    let mut pages = Vec::new();
    for sort in ["created_at", "email", "name", "mrr", "ltv", "total_spent", "last_login_at"] {
        for order in ["asc", "desc"] {
            let first = format!("/api/members?sort={sort}&order={order}&limit=200");
            pages.push(format!("{first}&cursor={}", inside(&mut connection, sort, order).await));
            pages.push(first);
        }
    }
    let filters = [
        "text=anna",
        "text=Berger%204999",
        "text=mail99999",
        "text=%2B120210",
        "text=nobody",
        "text=a",
        "engagement_status=champion",
        "health_status=needs_attention",
        "health_status=healthy",
        "tier=Pro",
        "tier=Founder",
        "status=past_due",
        "status=active",
        "status=canceled&tier=Starter",
        "status=active&text=berger",
        "engagement_status=at_risk&health_status=needs_attention",
    ];
    for filter in filters {
        for sort in ["", "&sort=name", "&sort=mrr&order=desc"] {
            pages.push(format!("/api/members?{filter}{sort}"));
        }
    }
    pages
}

/// A place far inside the list: after a member that a search finds in its middle.
async fn inside(connection: &mut Connection, sort: &str, order: &str) -> String {
    let found = read(connection, "/api/members?text=Ito%202501&limit=1").await;
    let member = &found["members"][0];
    let key = match sort {
        "email" => json!({"text": member["email"]}),
        "name" => json!({"text": member["full_name"].as_str().unwrap().to_lowercase()}),
        "created_at" | "last_login_at" => json!({"moment": nanoseconds(&member[sort])}),
        _ => json!({"amount": member[sort]}),
    };
    let cursor = json!({
        "sort": {"by": sort, "direction": order}, "stretch": 0, "key": key, "user_id": member["user_id"]
    });
    serde_json::from_value::<Cursor>(cursor).unwrap().encode()
}

fn nanoseconds(moment: &Value) -> String {
    use time::format_description::well_known::Rfc3339;
    let moment = moment
        .as_str()
        .map_or(Ok(time::OffsetDateTime::UNIX_EPOCH), |text| time::OffsetDateTime::parse(text, &Rfc3339));
    moment.unwrap().unix_timestamp_nanos().to_string()
}
