//! `/console/members.count` and the like: how many rows of a list match the filter. Apart from the list, which is shown
//! before they are counted.

use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;

use super::List;
use crate::console::html::error::PageError;
use crate::console::html::page::{Frame, page};
use crate::console::session::Session;
use crate::console::state::Console;
use crate::ops::page::Count;

/// The ending of the address.
pub(in crate::console) const ENDING: &str = "count";

#[derive(Template)]
#[template(path = "counted.html")]
struct Counted {
    frame: Frame,
    count: Option<Count>,
    /// Of movements: whose they are.
    customers: Option<Count>,
    /// The list.
    href: String,
}

impl Counted {
    fn capped(&self, count: &Count) -> String {
        format!("{}{}", count.rows, if count.is_capped { "+" } else { "" })
    }
}

/// Shows how many match.
pub(in crate::console) async fn show(
    State(console): State<Console>,
    session: Session,
    uri: Uri,
) -> Result<Response, PageError> {
    let (list, _) = List::at(&uri, console.now())?;
    session.require(list.least())?;
    let (count, customers) = list.count(console.pool()).await?;
    let path = uri.path().strip_suffix(ENDING).and_then(|path| path.strip_suffix('.'));
    let path = path.ok_or(PageError::NotFound)?;
    let href = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    Ok(page(&Counted { frame: Frame::of(&session, "", "How many match"), count, customers, href }))
}
