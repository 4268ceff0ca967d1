//! Which tables triggers tell of, and which of their columns they copy: what [`crate::project::supabase`] reads,
//! and nothing that is secret.

use crate::project::supabase::tables::ActivityTable;
use crate::project::supabase::{ActivityTables, PROFILE_COLUMNS, PROFILE_COLUMNS_WHERE_PRESENT};

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
    let mut watched = vec![users(), sessions(), files(), profiles()];
    watched.extend(tables.iter().map(counted));
    watched
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

/// Of a file's metadata only its size.
fn files() -> Watched {
    let size = "jsonb_build_object('size', $row.metadata -> 'size')";
    let owner = ["owner_id", "owner"].map(Column::where_present);
    let columns = [Column::needed("id"), Column::needed("metadata").copied_as(size)];
    watched("storage.objects", columns.into_iter().chain(owner))
}

fn profiles() -> Watched {
    let needed = ["id", "user_id"].map(Column::needed);
    let columns = ["is_active", "is_draft", "updated_at"]
        .into_iter()
        .chain(PROFILE_COLUMNS)
        .chain(PROFILE_COLUMNS_WHERE_PRESENT);
    watched("public.user_profiles", needed.into_iter().chain(columns.map(Column::where_present)))
}

fn counted(table: &ActivityTable) -> Watched {
    let condition = table.condition.as_ref().map(|condition| condition.column.as_str());
    let mut names = vec!["id", table.owner.as_str()];
    names.extend(condition.filter(|column| !["id", table.owner.as_str()].contains(column)));
    watched(&table.relation, names.into_iter().map(Column::needed))
}

fn watched(relation: &str, columns: impl IntoIterator<Item = Column>) -> Watched {
    Watched { relation: relation.to_owned(), columns: columns.into_iter().collect(), only_new: false }
}
