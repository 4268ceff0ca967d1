//! What people set by hand: statuses, tags, notes.

use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::postgres::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::filter::{ENGAGEMENT_STATUSES, HEALTH_STATUSES};
use crate::database;
use crate::ops::version::{self, Expected};
use crate::store::audit::{self, Act};

/// The most tags of one member.
pub const MAX_TAGS: usize = 50;
/// The longest tag, in characters.
pub const MAX_TAG_CHARS: usize = 100;
const MAX_NOTES_CHARS: usize = 10_000;

/// What to change; a field that is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MemberChange)]
pub struct Change {
    /// A status set by hand wins and stays; `Some(None)` gives it back to the rule.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub engagement_status: Option<Option<String>>,
    /// Likewise.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub health_status: Option<Option<String>>,
    /// All the member's tags.
    #[serde(default)]
    pub custom_tags: Option<Vec<String>>,
    /// `Some(None)` removes the notes.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 10_000)]
    pub admin_notes: Option<Option<String>>,
}

/// The change can't be made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// A value that the column can't have; says which it can.
    #[error("{0}")]
    Invalid(String),
    /// There is no such account (any more).
    #[error("no member {0}: see `memberflow members list`")]
    NotFound(Uuid),
    /// Somebody changed it meanwhile.
    #[error("changed in the meantime: reload, then repeat the change")]
    Stale,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What people set of a member.
#[derive(Debug, Serialize, sqlx::FromRow)]
pub(super) struct SetByHand {
    pub(super) engagement_status: Option<String>,
    pub(super) health_status: Option<String>,
    pub(super) custom_tags: Vec<String>,
    pub(super) admin_notes: Option<String>,
}

const SET_BY_HAND: &str = "
select case when a.engagement_status_is_manual then a.engagement_status end as engagement_status,
       case when a.health_status_is_manual then a.health_status end as health_status,
       coalesce(a.custom_tags, '{}'::text[]) as custom_tags, a.admin_notes
from auth.users u left join public.user_activity_metrics a on a.user_id = u.id
where u.id = $1 and u.deleted_at is null";

/// Makes the change, and the member's row in `user_activity_metrics` where it has none yet. The audit log says
/// that `actor` did.
///
/// A status given back to the rule keeps its value until the member is computed again.
///
/// # Errors
/// A value makes no sense, there is no such member, or the database does not answer.
pub async fn change(
    pool: &PgPool,
    user_id: Uuid,
    change: &Change,
    actor: &str,
    now: OffsetDateTime,
) -> Result<(), ChangeError> {
    change_expected(pool, user_id, change, &Expected::Any, actor, now).await
}

/// The same, where what people set still is of one of the versions that are `expected`.
///
/// # Errors
/// Also where it is not.
pub async fn change_expected(
    pool: &PgPool,
    user_id: Uuid,
    change: &Change,
    expected: &Expected,
    actor: &str,
    now: OffsetDateTime,
) -> Result<(), ChangeError> {
    change.check().map_err(ChangeError::Invalid)?;
    let mut tx = database::begin(pool).await?;
    // One change of a member at a time, though there may be no row yet that could be locked.
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('memberflow members change ' || $1, 0))")
        .bind(user_id.to_string())
        .execute(&mut *tx)
        .await?;
    let set: Option<SetByHand> = sqlx::query_as(SET_BY_HAND).bind(user_id).fetch_optional(&mut *tx).await?;
    if !expected.is(&version::of(&set.ok_or(ChangeError::NotFound(user_id))?)) {
        return Err(ChangeError::Stale);
    }
    let changed = sqlx::query(UPSERT)
        .bind(user_id)
        .bind(change.engagement_status.is_some())
        .bind(change.engagement_status.as_ref().and_then(Option::as_deref))
        .bind(change.health_status.is_some())
        .bind(change.health_status.as_ref().and_then(Option::as_deref))
        .bind(change.custom_tags.as_deref())
        .bind(change.admin_notes.is_some())
        .bind(change.admin_notes.as_ref().and_then(Option::as_deref))
        .execute(&mut *tx)
        .await?;
    if changed.rows_affected() == 0 {
        return Err(ChangeError::NotFound(user_id));
    }
    let act = Act { actor, act: "members change", arguments: change.audited(user_id), outcome: json!({}) };
    audit::record(&mut tx, act, now).await?;
    Ok(tx.commit().await?)
}

/// One statement, so that a member who signs up or is deleted meanwhile is seen whole or not at all.
const UPSERT: &str = "
insert into public.user_activity_metrics as a
    (user_id, engagement_status, engagement_status_is_manual, health_status, health_status_is_manual,
     custom_tags, admin_notes)
select u.id, coalesce($3, 'inactive'), $3 is not null, coalesce($5, 'healthy'), $5 is not null,
       coalesce($6, '{}'::text[]), $8
from auth.users u
where u.id = $1 and u.deleted_at is null
on conflict (user_id) do update set
    engagement_status = coalesce($3, a.engagement_status),
    engagement_status_is_manual = case when $2 then $3 is not null else a.engagement_status_is_manual end,
    health_status = coalesce($5, a.health_status),
    health_status_is_manual = case when $4 then $5 is not null else a.health_status_is_manual end,
    custom_tags = coalesce($6, a.custom_tags),
    admin_notes = case when $7 then $8 else a.admin_notes end,
    updated_at = now()";

impl Change {
    /// What the audit log keeps: statuses with their values; of tags and notes, which may be personal, only
    /// that they changed.
    fn audited(&self, user_id: Uuid) -> Value {
        let mut audited = Map::from_iter([("user_id".to_owned(), json!(user_id))]);
        let statuses =
            [("engagement_status", &self.engagement_status), ("health_status", &self.health_status)];
        audited.extend(
            statuses.into_iter().filter_map(|(name, it)| Some((name.to_owned(), json!(it.as_ref()?)))),
        );
        let texts =
            [("custom_tags", self.custom_tags.is_some()), ("admin_notes", self.admin_notes.is_some())];
        audited
            .extend(texts.into_iter().filter(|it| it.1).map(|(name, _)| (name.to_owned(), json!("changed"))));
        Value::Object(audited)
    }

    fn check(&self) -> Result<(), String> {
        one_of("engagement_status", self.engagement_status.as_ref(), &ENGAGEMENT_STATUSES)?;
        one_of("health_status", self.health_status.as_ref(), &HEALTH_STATUSES)?;
        let tags = self.custom_tags.as_deref().unwrap_or_default();
        let tag_fits = |tag: &String| !tag.trim().is_empty() && fits(tag, MAX_TAG_CHARS);
        if tags.len() > MAX_TAGS || !tags.iter().all(tag_fits) {
            return Err(format!(
                "custom_tags holds at most {MAX_TAGS} tags of 1 to {MAX_TAG_CHARS} characters, without NUL"
            ));
        }
        match self.admin_notes.as_ref().and_then(Option::as_ref) {
            Some(notes) if !fits(notes, MAX_NOTES_CHARS) => {
                Err(format!("admin_notes holds at most {MAX_NOTES_CHARS} characters, without NUL"))
            }
            _ => Ok(()),
        }
    }
}

fn one_of(name: &str, value: Option<&Option<String>>, known: &[&str]) -> Result<(), String> {
    match value.and_then(Option::as_deref) {
        Some(value) if !known.contains(&value) => {
            Err(crate::ops::unknown_value(name, value, known) + ", or null (automatic)")
        }
        _ => Ok(()),
    }
}

fn fits(text: &str, most_chars: usize) -> bool {
    text.chars().count() <= most_chars && !text.contains('\0')
}

/// Distinguishes a field that is null from one that is absent.
fn given<'de, D, T>(field: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    T::deserialize(field).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_gives_back_to_the_rule_and_absent_leaves_alone() {
        let change: Change = serde_json::from_str(r#"{"engagement_status":null}"#).unwrap();
        assert_eq!(change, Change { engagement_status: Some(None), ..Change::default() });
        let change: Change = serde_json::from_str(r#"{"health_status":"churned"}"#).unwrap();
        assert_eq!(change, Change { health_status: Some(Some("churned".to_owned())), ..Change::default() });
    }

    #[test]
    fn values_the_columns_cannot_have_are_refused() {
        for wrong in [
            r#"{"engagement_status":"happy"}"#.to_owned(),
            r#"{"health_status":""}"#.to_owned(),
            r#"{"custom_tags":[" "]}"#.to_owned(),
            r#"{"custom_tags":["a\u0000"]}"#.to_owned(),
            format!(r#"{{"custom_tags":["{}"]}}"#, "x".repeat(101)),
            format!(r#"{{"admin_notes":"{}"}}"#, "x".repeat(10_001)),
        ] {
            let change: Change = serde_json::from_str(&wrong).unwrap();
            assert!(change.check().is_err(), "{wrong}");
        }
        for unreadable in [r#"{"mrr":1}"#, r#"{"custom_tags":"vip"}"#] {
            assert!(serde_json::from_str::<Change>(unreadable).is_err(), "{unreadable}");
        }
    }
}
