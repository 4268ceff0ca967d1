//! Which tables triggers tell of, and which of their columns they copy: what [`crate::project::supabase`] reads,
//! and nothing that is secret.

use crate::project::supabase::ActivityTables;
use crate::project::supabase::columns::{self, Content};

/// A table that triggers tell of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// `schema.table`
    pub relation: String,
    /// What is copied of a row.
    pub columns: Vec<Column>,
    /// Only its new rows are of interest.
    pub only_new: bool,
}

/// A column that is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// Without it the rows mean nothing; others are copied where the table has them.
    pub is_needed: bool,
    /// What is copied, in SQL over the row `$row`; the whole value unless said otherwise.
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

/// All of them: Supabase's own, the profiles, and those of the map.
pub fn all(tables: &ActivityTables) -> Vec<Watched> {
    let others =
        ["storage.objects", PROFILES].into_iter().chain(tables.iter().map(|it| it.relation.as_str()));
    [users(), sessions()].into_iter().chain(others.map(|relation| counting(tables, relation))).collect()
}

fn users() -> Watched {
    let columns = ["email_confirmed_at", "deleted_at"].map(Column::where_present);
    watched("auth.users", [Column::needed("id"), Column::needed("email")].into_iter().chain(columns))
}

/// Sessions are deleted at logout and touched at every refresh; neither is a login.
fn sessions() -> Watched {
    let created_at = Column::needed("created_at").copied_as("coalesce($row.created_at, clock_timestamp())");
    let columns = ["id", "user_id"].map(Column::needed);
    let columns = columns.into_iter().chain([created_at, Column::where_present("oauth_client_id")]);
    Watched { only_new: true, ..watched("auth.sessions", columns) }
}

/// Of a file's metadata only its size. Files and rows of the map come in the order of their numbers; when they were
/// changed does not matter. Of a user's profiles the one changed last speaks.
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
