//! `POST /console/views`: saves the present filter, order and columns of a list under a name, or deletes such a view. Each
//! person has their own.

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::Redirect;
use serde::Deserialize;

use super::html::error::PageError;
use super::html::query;
use super::state::Console;
use super::{audit, campaigns, events, members, messages, parked, revenue, tickets};
use crate::console::session::Session;
use crate::ops::views::{self, VIEWS_MAX, View};

/// The longest name, in characters.
const NAME_MAX_CHARS: usize = 60;
/// The longest query string, in bytes.
const QUERY_MAX_BYTES: usize = 2_000;

/// A view, and what to do with it.
#[derive(Debug, Deserialize)]
pub(super) struct Fields {
    list: String,
    name: String,
    #[serde(default)]
    query: String,
    act: String,
}

/// Does it, and shows the list.
pub(super) async fn change(
    State(console): State<Console>,
    session: Session,
    fields: Result<Form<Fields>, FormRejection>,
) -> Result<Redirect, PageError> {
    let Form(Fields { list, name, query, act }) = fields?;
    let name = name.trim().to_owned();
    if name.is_empty() || name.chars().count() > NAME_MAX_CHARS || name.contains('\0') {
        return Err(PageError::Invalid(format!("A view's name has 1 to {NAME_MAX_CHARS} characters.")));
    }
    let query = checked(&list, &query)?;
    let (pool, actor) = (console.pool(), session.actor.as_str());
    let address =
        if query.is_empty() { format!("/console/{list}") } else { format!("/console/{list}?{query}") };
    match act.as_str() {
        "save" => {
            if !views::save(pool, actor, &list, &View { name, query }, console.now()).await? {
                let detail =
                    format!("You have {VIEWS_MAX} views of this list. Delete one that you don't need.");
                return Err(PageError::Invalid(detail));
            }
        }
        "delete" => views::delete(pool, actor, &list, &name).await?,
        other => return Err(PageError::Invalid(format!("act is save or delete; {other:?} is neither"))),
    }
    Ok(Redirect::to(&address))
}

/// The query string, normalised; one that the list does not know is rejected.
fn checked(list: &str, text: &str) -> Result<String, PageError> {
    let pairs = form_urlencoded::parse(text.as_bytes()).filter(|(name, _)| name != "cursor");
    let query: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.len() > QUERY_MAX_BYTES || query.contains("%00") {
        return Err(PageError::Invalid(format!("A view holds at most {QUERY_MAX_BYTES} bytes and no NUL.")));
    }
    let uri = format!("/?{query}")
        .parse()
        .map_err(|_| PageError::Invalid("This is no query string.".to_owned()))?;
    match list {
        "members" => drop(query::parse::<members::Params>(&uri)?),
        "events" => drop(query::parse::<events::list::Params>(&uri)?),
        "tickets" => drop(query::parse::<tickets::Params>(&uri)?),
        "messages" => drop(query::parse::<messages::Params>(&uri)?),
        "campaigns" => drop(query::parse::<campaigns::Params>(&uri)?),
        "revenue/movements" => drop(query::parse::<revenue::movements::Params>(&uri)?),
        "parked" => drop(query::parse::<parked::Params>(&uri)?),
        "audit" => drop(query::parse::<audit::Params>(&uri)?),
        other => return Err(PageError::Invalid(format!("{other:?} is no list that has views"))),
    }
    Ok(query)
}
