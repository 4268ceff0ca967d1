//! `MEMBERFLOW_CONSOLE_ROLES`: which words in Supabase allow what in the console.

use std::str::FromStr;

use crate::project::supabase::tables::is_identifier;

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConsoleRole {
    /// Read.
    Viewer,
    /// Change what people may set.
    Operator,
    /// Everything, and see who did what.
    Admin,
}

impl ConsoleRole {
    /// As it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    pub(crate) fn named(text: &str) -> Option<Self> {
        [Self::Viewer, Self::Operator, Self::Admin].into_iter().find(|role| role.as_str() == text)
    }

    /// As it was stored; a word of a later version may nothing but read.
    pub(crate) fn stored(text: &str) -> Self {
        Self::named(text).unwrap_or(Self::Viewer)
    }
}

/// What the setting looks like.
pub const FORM: &str = "app_metadata, or schema.table:user_id_column:role_column, with :word=role behind it for each word that is not viewer, operator or admin (public.user_accounts:user_id:role:super_admin=admin)";

/// What says what somebody may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleSource {
    /// The table to read; none: `app_metadata`.
    pub table: Option<RoleTable>,
    /// Further words, each with what it allows. They come before the roles' own names.
    words: Vec<(String, ConsoleRole)>,
}

/// A table with the application's own roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleTable {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// The column with the user's id, a uuid.
    pub user_column: String,
    /// The column with the word.
    pub role_column: String,
}

impl RoleTable {
    /// As it stands in SQL. The names are plain identifiers.
    #[must_use]
    pub fn relation(&self) -> String {
        format!(r#""{}"."{}""#, self.schema, self.table)
    }
}

impl FromStr for RoleSource {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(':').map(str::trim);
        let table = match parts.next() {
            Some("app_metadata") => None,
            relation => {
                let (schema, table) = relation.and_then(|it| it.split_once('.')).ok_or(())?;
                let (user, role) = (parts.next().ok_or(())?, parts.next().ok_or(())?);
                let is_plain = [schema, table, user, role].into_iter().all(is_identifier);
                // What stands in these is not the application's to set.
                if !is_plain || matches!(schema, "auth" | "storage" | "ingest") {
                    return Err(());
                }
                let [schema, table, user_column, role_column] =
                    [schema, table, user, role].map(str::to_owned);
                Some(RoleTable { schema, table, user_column, role_column })
            }
        };
        let words = parts.map(word).collect::<Option<_>>().ok_or(())?;
        Ok(Self { table, words })
    }
}

fn word(text: &str) -> Option<(String, ConsoleRole)> {
    let (word, role) = text.split_once('=')?;
    Some((word.to_owned(), ConsoleRole::named(role)?)).filter(|(word, _)| !word.is_empty())
}

impl RoleSource {
    /// What the strongest of `words` allows; nothing where none of them is known.
    #[must_use]
    pub fn strongest<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Option<ConsoleRole> {
        let role = |word: &str| match self.words.iter().find(|(known, _)| known == word) {
            Some((_, role)) => Some(*role),
            None => ConsoleRole::named(word),
        };
        words.into_iter().filter_map(role).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_table_and_its_columns_or_app_metadata() {
        assert_eq!("app_metadata".parse(), Ok(RoleSource::default()));
        let table =
            "public.user_accounts:user_id:role:super_admin=admin".parse::<RoleSource>().unwrap().table;
        assert_eq!(table.unwrap().relation(), r#""public"."user_accounts""#);
        for wrong in [
            "",
            "user_metadata",
            "user_accounts:user_id:role",
            "public.user_accounts",
            "public.user_accounts:user_id",
            "public.user_accounts:user_id:role:super_admin",
            "public.user_accounts:user_id:role:super_admin=owner",
            "public.user_accounts:user_id:role:=admin",
            "public.user_accounts:user_id:ro\"le",
            "public.user accounts:user_id:role",
            "auth.users:id:role",
            "a.b.c:user_id:role",
        ] {
            assert_eq!(wrong.parse::<RoleSource>(), Err(()), "{wrong}");
        }
    }
}
