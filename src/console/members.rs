//! `/console/members`: the member list, with the API's filters and orders.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::Console;
use super::html::format;
use super::html::page::{Frame, PageError, page_with};
use super::signing_in::session::Session;
use crate::ops::members::{
    self, DEFAULT_LIMIT, ENGAGEMENT_STATUSES, Filter, HEALTH_STATUSES, ListError, Member, PageRequest,
    SUBSCRIPTION_STATUSES, Sort, SortBy,
};

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
    sort: String,
    order: String,
    cursor: String,
}

impl Params {
    fn filters(&self) -> [(&'static str, &str); 5] {
        [
            ("engagement_status", &self.engagement_status),
            ("health_status", &self.health_status),
            ("tier", &self.tier),
            ("status", &self.status),
            ("text", &self.text),
        ]
    }

    fn is_filtered(&self) -> bool {
        self.filters().iter().any(|(_, value)| !value.is_empty())
    }

    /// The query string of the same list, in this order and from this place on.
    fn query(&self, sort: &str, order: &str, cursor: &str) -> String {
        let rest = [("sort", sort), ("order", order), ("cursor", cursor)];
        let given = self.filters().into_iter().chain(rest).filter(|(_, value)| !value.is_empty());
        form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish()
    }

    pub(super) fn request(&self, limit: u32) -> Result<PageRequest, String> {
        let named = |name: &str, text: &str| (!text.is_empty()).then(|| (name.to_owned(), text.to_owned()));
        let said = |error: &dyn std::fmt::Display, name: &str| format!("{name}: {error}");
        let by: SortBy = match named("sort", &self.sort) {
            Some((name, text)) => text.parse().map_err(|error| said(&error, &name))?,
            None => SortBy::default(),
        };
        let direction = match named("order", &self.order) {
            Some((name, text)) => text.parse().map_err(|error| said(&error, &name))?,
            None => by.natural_direction(),
        };
        let given = |text: &String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let filter = Filter {
            engagement_status: given(&self.engagement_status),
            health_status: given(&self.health_status),
            tier: given(&self.tier),
            status: given(&self.status),
            text: given(&self.text),
        };
        Ok(PageRequest { filter, sort: Sort { by, direction }, limit, cursor: given(&self.cursor) })
    }

    /// What the audit log keeps: what a person typed may tell of somebody.
    pub(super) fn audited(&self) -> serde_json::Value {
        let shown = |(name, value): (&str, &str)| {
            let value = if name == "text" { "given" } else { value };
            (name.to_owned(), serde_json::Value::from(value))
        };
        self.filters().into_iter().filter(|(_, value)| !value.is_empty()).map(shown).collect()
    }
}

/// A column by which the list can be sorted.
struct Column {
    title: &'static str,
    class: &'static str,
    href: String,
    /// For `aria-sort`; empty where the list is sorted by another.
    sorted: &'static str,
}

#[derive(Template)]
#[template(path = "members.html")]
struct Members {
    frame: Frame,
    params: Params,
    columns: Vec<Column>,
    members: Vec<Member>,
    first: Option<String>,
    next: Option<String>,
    csv: String,
    error: Option<String>,
}

impl Members {
    const ENGAGEMENT: [&'static str; 4] = ENGAGEMENT_STATUSES;
    const HEALTH: [&'static str; 3] = HEALTH_STATUSES;
    const STATUSES: [&'static str; 8] = SUBSCRIPTION_STATUSES;
}

/// Shows a page of the list.
pub(super) async fn show(
    State(console): State<Console>,
    session: Session,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Response, PageError> {
    let Query(params) = params?;
    let found = match params.request(DEFAULT_LIMIT) {
        Ok(request) => members::list(console.pool(), &request, console.now()).await,
        Err(detail) => return Ok(answer(&session, params, Vec::new(), None, Some(detail))),
    };
    match found {
        Ok(page) => Ok(answer(&session, params, page.members, page.next_cursor, None)),
        Err(ListError::Database(error)) => Err(error.into()),
        Err(error) => Ok(answer(&session, params, Vec::new(), None, Some(error.to_string()))),
    }
}

fn answer(
    session: &Session,
    params: Params,
    members: Vec<Member>,
    next_cursor: Option<String>,
    error: Option<String>,
) -> Response {
    let status = if error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let next = next_cursor.map(|cursor| address(&params.query(&params.sort, &params.order, &cursor)));
    let first = (!params.cursor.is_empty()).then(|| address(&params.query(&params.sort, &params.order, "")));
    let csv = format!("/console/members.csv?{}", params.query(&params.sort, &params.order, ""));
    let frame = Frame::of(session, "Members", "Members");
    let columns = columns(&params);
    page_with(status, &Members { frame, columns, members, first, next, csv, error, params })
}

fn address(query: &str) -> String {
    if query.is_empty() { HERE.to_owned() } else { format!("{HERE}?{query}") }
}

fn columns(params: &Params) -> Vec<Column> {
    let column = |(title, by, class): (&'static str, &str, &'static str)| {
        let present = if params.sort.is_empty() { "created_at" } else { &params.sort };
        let natural = if matches!(by, "name" | "email") { "asc" } else { "desc" };
        let order = if params.order.is_empty() { natural } else { &params.order };
        let is_here = !by.is_empty() && present == by;
        let (other, sorted) = match (is_here, order) {
            (true, "asc") => ("desc", "ascending"),
            (true, _) => ("asc", "descending"),
            _ => (natural, ""),
        };
        let href = if by.is_empty() { String::new() } else { address(&params.query(by, other, "")) };
        Column { title, class, href, sorted }
    };
    [
        ("Name", "name", ""),
        ("E-mail", "email", ""),
        ("Tier", "", ""),
        ("Subscription", "", ""),
        ("MRR", "mrr", "number"),
        ("LTV", "ltv", "number"),
        ("Engagement", "", ""),
        ("Health", "", ""),
        ("Last login", "last_login_at", ""),
        ("Visions", "", "number"),
        ("Created", "created_at", ""),
    ]
    .map(column)
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_keeps_the_filter_and_says_no_more_than_was_asked() {
        let params = Params { text: "a&b".to_owned(), tier: "Pro".to_owned(), ..Params::default() };
        assert_eq!(params.query("mrr", "", "x"), "tier=Pro&text=a%26b&sort=mrr&cursor=x");
        assert_eq!(address(&Params::default().query("", "", "")), HERE);
    }

    #[test]
    fn a_column_sorts_the_other_way_once_it_sorts() {
        let columns = columns(&Params { sort: "mrr".to_owned(), ..Params::default() });
        let mrr = columns.iter().find(|column| column.title == "MRR").unwrap();
        assert_eq!((mrr.sorted, mrr.href.as_str()), ("descending", "/console/members?sort=mrr&order=asc"));
        let name = columns.iter().find(|column| column.title == "Name").unwrap();
        assert_eq!((name.sorted, name.href.as_str()), ("", "/console/members?sort=name&order=asc"));
    }

    #[test]
    fn what_was_typed_is_not_audited() {
        let params = Params { text: "ada".to_owned(), status: "active".to_owned(), ..Params::default() };
        assert_eq!(params.audited(), serde_json::json!({"status": "active", "text": "given"}));
    }
}
