//! The tables with triggers, and the columns that they copy: what [`crate::project::supabase`] reads, without
//! secrets.

use crate::project::supabase::ActivityTables;
use crate::project::supabase::columns::{self, Content};

/// A table with a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// `schema.table`
    pub relation: String,
    /// The copied columns.
    pub columns: Vec<Column>,
    /// Only inserts are recorded.
    pub only_new: bool,
}

/// A column that is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// Required; others are copied if the table has them.
    pub is_needed: bool,
    /// SQL over the row `$row`; `None` for the whole value.
    pub expression: Option<&'static str>,
}

impl Column {
    fn needed(name: &str) -> Self {
        Self { name: name.to_owned(), is_needed: true, expression: None }
    }

    fn where_present(name: &str) -> Self {
        Self { is_needed: false, ..Self::needed(name) }
    }

    fn copied_as(self, expression: &'static str) -> Self {
        Self { expression: Some(expression), ..self }
    }
}

/// All tables: Supabase's own, the profiles, and those of the settings.
pub fn all(tables: &ActivityTables) -> Vec<Watched> {
    let others =
        ["storage.objects", PROFILES].into_iter().chain(tables.iter().map(|it| it.relation.as_str()));
    [users(), sessions()].into_iter().chain(others.map(|relation| counting(tables, relation))).collect()
}

fn users() -> Watched {
    let columns = ["email_confirmed_at", "deleted_at"].map(Column::where_present);
    watched("auth.users", [Column::needed("id"), Column::needed("email")].into_iter().chain(columns))
}

/// Only inserts: sessions are deleted at logout and updated at every refresh.
fn sessions() -> Watched {
    let created_at = Column::needed("created_at").copied_as("coalesce($row.created_at, clock_timestamp())");
    let columns = ["id", "user_id"].map(Column::needed);
    let columns = columns.into_iter().chain([created_at, Column::where_present("oauth_client_id")]);
    Watched { only_new: true, ..watched("auth.sessions", columns) }
}

/// Of a file's metadata only the size. Files and counted rows are ordered by change number, so `updated_at`
/// is not copied. Of a user's profiles the last updated one counts.
fn counting(tables: &ActivityTables, relation: &str) -> Watched {
    let read = columns::of(tables, relation).unwrap_or_default();
    let read = read.into_iter().filter(|it| it.name != "updated_at" || relation == PROFILES || it.is_needed);
    let columns = read.map(|columns::Column { name, is_needed, content }| Column {
        name,
        is_needed,
        expression: (content == Content::Size)
            .then_some("jsonb_build_object('size', $row.metadata -> 'size')"),
    });
    watched(relation, columns)
}

const PROFILES: &str = "public.user_profiles";

fn watched(relation: &str, columns: impl IntoIterator<Item = Column>) -> Watched {
    Watched { relation: relation.to_owned(), columns: columns.into_iter().collect(), only_new: false }
}
