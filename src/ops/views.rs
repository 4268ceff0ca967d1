//! Views that people saved: a list's query string under a name of their own.

use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;

/// Views of one person and list.
pub const VIEWS_MAX: i64 = 50;

/// A saved view.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct View {
    /// What its owner calls it.
    pub name: String,
    /// The list's query string.
    pub query: String,
}

/// The views of `list` that `actor` saved, by name.
pub async fn of(pool: &PgPool, actor: &str, list: &str) -> Result<Vec<View>, sqlx::Error> {
    let select =
        "select name, query from ingest.saved_views where actor = $1 and list = $2 order by name limit $3";
    sqlx::query_as(select).bind(actor).bind(list).bind(VIEWS_MAX).fetch_all(pool).await
}

/// Saves a view, in place of one that has the name; false where the person has too many already.
pub async fn save(
    pool: &PgPool,
    actor: &str,
    list: &str,
    view: &View,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let saved = sqlx::query(
        "insert into ingest.saved_views (actor, list, name, query, saved_at)
         select $1, $2, $3, $4, $5
         where (select count(*) from ingest.saved_views where actor = $1 and list = $2 and name <> $3) < $6
         on conflict (actor, list, name) do update set query = excluded.query, saved_at = excluded.saved_at",
    )
    .bind(actor)
    .bind(list)
    .bind(&view.name)
    .bind(&view.query)
    .bind(now)
    .bind(VIEWS_MAX)
    .execute(pool)
    .await?;
    Ok(saved.rows_affected() > 0)
}

/// Deletes the view of this name.
pub async fn delete(pool: &PgPool, actor: &str, list: &str, name: &str) -> Result<(), sqlx::Error> {
    let delete = "delete from ingest.saved_views where actor = $1 and list = $2 and name = $3";
    sqlx::query(delete).bind(actor).bind(list).bind(name).execute(pool).await?;
    Ok(())
}
