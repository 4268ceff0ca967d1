//! `POST /console/members/{user_id}`: statuses, tags and notes, set by hand.

use std::collections::BTreeSet;

use axum::Form;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{Path, State};
use axum::response::Redirect;
use serde::Deserialize;
use uuid::Uuid;

use super::html::error::PageError;
use super::member;
use super::state::Console;
use crate::config::console_roles::ConsoleRole;
use crate::console::session::Session;
use crate::ops::members::{self, Change, ChangeError};
use crate::store::StoreError;

/// The form: each field as it is wanted, and as it was shown. What nobody touched is not changed, whoever else did
/// meanwhile.
#[derive(Debug, Deserialize)]
pub(super) struct Fields {
    engagement_status: String,
    was_engagement_status: String,
    health_status: String,
    was_health_status: String,
    custom_tags: String,
    was_custom_tags: String,
    admin_notes: String,
    was_admin_notes: String,
}

/// Makes the change and shows the member as it is now.
pub(super) async fn change(
    State(console): State<Console>,
    session: Session,
    user_id: Result<Path<Uuid>, PathRejection>,
    fields: Result<Form<Fields>, FormRejection>,
) -> Result<Redirect, PageError> {
    session.require(ConsoleRole::Operator)?;
    let (Path(user_id), Form(fields)) = (user_id?, fields?);
    let change = fields.into_change();
    if change != Change::default() {
        members::change(console.pool(), user_id, &change, &session.actor, console.now())
            .await
            .map_err(refused)?;
        // A status given back to the rule is as it should be at once.
        console.0.store.recompute(BTreeSet::new(), BTreeSet::from([user_id])).await?;
    }
    Ok(Redirect::to(&format!("/console/members/{user_id}")))
}

impl Fields {
    fn into_change(self) -> Change {
        let changed = |is: &str, was: &str| {
            let (is, was) = (lines(is), lines(was));
            (is != was).then_some(is)
        };
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        let tags = |text: String| {
            text.lines().map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
        };
        Change {
            engagement_status: changed(&self.engagement_status, &self.was_engagement_status).map(given),
            health_status: changed(&self.health_status, &self.was_health_status).map(given),
            custom_tags: changed(&self.custom_tags, &self.was_custom_tags).map(tags),
            admin_notes: changed(&self.admin_notes, &self.was_admin_notes).map(given),
        }
    }
}

/// A form sends lines with carriage returns, whatever they had.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").trim().to_owned()
}

fn refused(error: ChangeError) -> PageError {
    match error {
        stale @ ChangeError::Stale => PageError::Invalid(stale.to_string()),
        ChangeError::Invalid(detail) => PageError::Invalid(detail),
        ChangeError::NotFound(user_id) => member::unknown(user_id),
        ChangeError::Database(error) => error.into(),
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(error) | StoreError::Rejected(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_touched_is_changed() {
        let fields = Fields {
            engagement_status: String::new(),
            was_engagement_status: "champion".to_owned(),
            health_status: "churned".to_owned(),
            was_health_status: "churned".to_owned(),
            custom_tags: "vip\r\n\r\n early ".to_owned(),
            was_custom_tags: "vip".to_owned(),
            admin_notes: "a\r\nb\r\n".to_owned(),
            was_admin_notes: "a\nb".to_owned(),
        };
        let expected = Change {
            engagement_status: Some(None),
            custom_tags: Some(vec!["vip".to_owned(), "early".to_owned()]),
            ..Change::default()
        };
        assert_eq!(fields.into_change(), expected);
    }
}
