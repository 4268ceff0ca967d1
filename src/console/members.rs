//! `/console/members`: the member list, with the API's filters and orders.

use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;

use super::html::columns::{self, Choice, Known, usual, usual_number};
use super::html::error::PageError;
use super::html::page::{Frame, page_with};
use super::html::query::{Downloads, Listed, Pages, Rows};
use super::html::{format, query};
use super::state::Console;
use crate::console::session::Session;
use crate::ops::members::{
    self, DEFAULT_LIMIT, ENGAGEMENT_STATUSES, Filter, HEALTH_STATUSES, Member, PageRequest,
    SUBSCRIPTION_STATUSES, Sort, SortBy,
};
use crate::ops::views::{self, View};

/// What the list is called in addresses.
const LIST: &str = "members";
/// Where the list is.
const HERE: &str = "/console/members";

/// The query string; an empty value is what a form sends for "any".
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Params {
    engagement_status: String,
    health_status: String,
    tier: String,
    status: String,
    text: String,
    since: String,
    until: String,
    sort: String,
    order: String,
    /// Those shown, joined by commas.
    columns: String,
    cursor: String,
}

impl Params {
    pub(super) fn filters(&self) -> [(&'static str, &str); 7] {
        [
            ("engagement_status", &self.engagement_status),
            ("health_status", &self.health_status),
            ("tier", &self.tier),
            ("status", &self.status),
            ("text", &self.text),
            ("since", &self.since),
            ("until", &self.until),
        ]
    }

    fn is_filtered(&self) -> bool {
        self.filters().iter().any(|(_, value)| !value.is_empty())
    }

    /// The address of the same list, in this order and from this place on.
    fn address(&self, sort: &str, order: &str, cursor: &str) -> String {
        let rest = [("sort", sort), ("order", order), ("columns", self.columns.as_str()), ("cursor", cursor)];
        query::address(HERE, self.filters().into_iter().chain(rest))
    }

    /// The address of another page of the same list.
    fn page(&self, cursor: &str) -> String {
        self.address(&self.sort, &self.order, cursor)
    }

    pub(super) fn request(&self, limit: u32) -> Result<PageRequest, PageError> {
        let invalid =
            |name: &str, error: &dyn std::fmt::Display| PageError::Invalid(format!("{name}: {error}"));
        let by: SortBy = match self.sort.as_str() {
            "" => SortBy::default(),
            text => text.parse().map_err(|error| invalid("sort", &error))?,
        };
        let direction = match self.order.as_str() {
            "" => by.natural_direction(),
            text => text.parse().map_err(|error| invalid("order", &error))?,
        };
        let filter = Filter {
            engagement_status: query::given(&self.engagement_status),
            health_status: query::given(&self.health_status),
            tier: query::given(&self.tier),
            status: query::given(&self.status),
            text: query::given(&self.text),
            since: query::moment("since", &self.since)?,
            until: query::moment("until", &self.until)?,
        };
        Ok(PageRequest { filter, sort: Sort { by, direction }, limit, cursor: query::given(&self.cursor) })
    }
}

/// A column that is shown.
struct Column {
    key: &'static str,
    title: &'static str,
    class: &'static str,
    /// Where the list is sorted by it; empty where it cannot be.
    href: String,
    /// For `aria-sort`; empty where the list is sorted by another.
    sorted: &'static str,
}

#[derive(Template)]
#[template(path = "members.html")]
struct Members {
    frame: Frame,
    params: Params,
    name: Column,
    columns: Vec<Column>,
    choices: Vec<Choice>,
    members: Vec<Member>,
    pages: Pages,
    downloads: Downloads,
    list: &'static str,
    views: Vec<View>,
    /// The query string of what is shown.
    query: String,
    error: Option<String>,
}

impl Members {
    const ENGAGEMENT: [&'static str; 4] = ENGAGEMENT_STATUSES;
    const HEALTH: [&'static str; 3] = HEALTH_STATUSES;
    const STATUSES: [&'static str; 8] = SUBSCRIPTION_STATUSES;

    fn headings(&self) -> impl Iterator<Item = &Column> {
        std::iter::once(&self.name).chain(&self.columns)
    }
}

async fn read(console: &Console, params: &Params) -> Result<Rows<Member>, PageError> {
    let page = members::list(console.pool(), &params.request(DEFAULT_LIMIT)?, console.now()).await?;
    Ok(Rows { rows: page.members, next: page.next_cursor, prev: page.prev_cursor })
}

/// Shows a page of the list.
pub(super) async fn show(
    State(console): State<Console>,
    session: Session,
    uri: Uri,
) -> Result<Response, PageError> {
    let params: Params = query::parse(&uri)?;
    let Listed { status, rows: members, pages, error } =
        Listed::of(read(&console, &params).await, &params.cursor, |cursor| params.page(cursor))?;
    let order = [("sort", params.sort.as_str()), ("order", &params.order)];
    let downloads = query::downloads(HERE, params.filters().into_iter().chain(order));
    let choices = columns::chosen(&COLUMNS.map(|(known, _)| known), &params.columns);
    let is_shown = |key: &str| choices.iter().any(|choice| choice.key == key && choice.is_shown);
    let columns = COLUMNS.iter().filter(|(known, _)| is_shown(known.key));
    let columns = columns.map(|(known, by)| column(&params, *known, by)).collect();
    let page = Members {
        frame: Frame::of(&session, "Members", "Members"),
        name: column(&params, NAME, "name"),
        views: views::of(console.pool(), &session.actor, LIST).await?,
        query: query::of(&params.page("")),
        list: LIST,
        columns,
        choices,
        members,
        pages,
        downloads,
        error,
        params,
    };
    Ok(page_with(status, &page))
}

/// The columns besides the name, each with its sort key.
static COLUMNS: [(Known, &str); 12] = [
    (usual("email", "E-mail"), "email"),
    (usual("phone", "Phone").on_demand(), ""),
    (usual("tier", "Tier"), ""),
    (usual("subscription", "Subscription"), ""),
    (usual_number("mrr", "MRR"), "mrr"),
    (usual_number("ltv", "LTV"), "ltv"),
    (usual_number("total_spent", "Total spent").on_demand(), "total_spent"),
    (usual("engagement", "Engagement"), ""),
    (usual("health", "Health"), ""),
    (usual("last_login", "Last login"), "last_login_at"),
    (usual_number("visions", "Visions"), ""),
    (usual("created", "Created"), "created_at"),
];

/// The column that is always there.
const NAME: Known = usual("name", "Name");

/// A column with the address that sorts by it.
fn column(params: &Params, known: Known, by: &'static str) -> Column {
    let Known { key, title, class, .. } = known;
    let present = if params.sort.is_empty() { "created_at" } else { &params.sort };
    let natural = if matches!(by, "name" | "email") { "asc" } else { "desc" };
    let order = if params.order.is_empty() { natural } else { &params.order };
    let is_here = !by.is_empty() && present == by;
    let (other, sorted) = match (is_here, order) {
        (true, "asc") => ("desc", "ascending"),
        (true, _) => ("asc", "descending"),
        _ => (natural, ""),
    };
    let href = if by.is_empty() { String::new() } else { params.address(by, other, "") };
    Column { key, title, class, href, sorted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_keeps_the_filter_and_says_no_more_than_was_asked() {
        let params = Params { text: "a&b".to_owned(), tier: "Pro".to_owned(), ..Params::default() };
        assert_eq!(params.address("mrr", "", "x"), "/console/members?tier=Pro&text=a%26b&sort=mrr&cursor=x");
        assert_eq!(Params::default().page(""), HERE);
    }

    #[test]
    fn a_column_sorts_the_other_way_once_it_sorts() {
        let params = Params { sort: "mrr".to_owned(), columns: "mrr".to_owned(), ..Params::default() };
        let column = |by: &'static str| column(&params, usual(by, ""), by);
        let mrr = column("mrr");
        assert_eq!(
            (mrr.sorted, mrr.href.as_str()),
            ("descending", "/console/members?sort=mrr&order=asc&columns=mrr")
        );
        let name = column("name");
        assert_eq!(
            (name.sorted, name.href.as_str()),
            ("", "/console/members?sort=name&order=asc&columns=mrr")
        );
        assert_eq!(column("").href, "");
    }
}
