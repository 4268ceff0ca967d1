//! The tables whose rows count: the owner column, the metric, and which of the rows count. The settings add
//! to it.
//!
//! Logins, files and profiles are not among them: they have their own readers.

use std::str::FromStr;

use serde_json::Value;

#[cfg(test)]
mod tests;

/// A count in `user_activity_metrics` of rows of the application's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// `vision_count`
    Visions,
    /// `journal_entry_count`
    JournalEntries,
    /// `vision_refinement_count`
    Refinements,
    /// `audio_generated_count`
    AudioTracks,
    /// `vision_board_image_count`
    BoardImages,
}

impl Metric {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 5] =
        [Self::Visions, Self::JournalEntries, Self::Refinements, Self::AudioTracks, Self::BoardImages];

    /// The column of `user_activity_metrics`.
    #[must_use]
    pub const fn column(self) -> &'static str {
        match self {
            Self::Visions => "vision_count",
            Self::JournalEntries => "journal_entry_count",
            Self::Refinements => "vision_refinement_count",
            Self::AudioTracks => "audio_generated_count",
            Self::BoardImages => "vision_board_image_count",
        }
    }
}

/// Which rows count: those whose `column` is (or is not) `value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The column to check.
    pub column: String,
    /// The value it must have.
    pub value: String,
    /// Whether rows with this value count; otherwise those with another value, including null.
    pub is: bool,
}

impl Condition {
    fn holds(&self, row: &Value) -> bool {
        let text = match &row[&self.column] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        (text.as_ref() == Some(&self.value)) == self.is
    }
}

/// A table whose rows count. Its primary key is called `id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivityTable {
    /// `schema.table`
    pub relation: String,
    /// The column that holds the owner's user id.
    pub owner: String,
    /// What its rows count for.
    pub metric: Metric,
    /// Without it all rows count.
    pub condition: Option<Condition>,
}

impl ActivityTable {
    /// Whether this row counts while it exists.
    #[must_use]
    pub fn counts(&self, row: &Value) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.holds(row))
    }
}

/// The format of an entry.
pub const FORM: &str = "schema.table:owner_column:metric_column, with :column=value or :column!=value behind it where not all rows count (a metric_column is vision_count, journal_entry_count, vision_refinement_count, audio_generated_count or vision_board_image_count); several joined by commas";

impl FromStr for ActivityTable {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.trim().splitn(4, ':');
        let mut name = || parts.next().filter(|part| part.split('.').all(is_identifier)).ok_or(());
        let (relation, owner, metric) = (name()?, name()?, name()?);
        let (schema, table) = relation.split_once('.').ok_or(())?;
        let is_read_otherwise =
            matches!(schema, "auth" | "storage" | "ingest") || relation == "public.user_profiles";
        if is_read_otherwise || table.contains('.') || owner.contains('.') {
            return Err(());
        }
        let metric = Metric::ALL.into_iter().find(|known| known.column() == metric).ok_or(())?;
        let condition = parts.next().map(condition).transpose()?;
        Ok(Self { relation: relation.to_owned(), owner: owner.to_owned(), metric, condition })
    }
}

fn condition(text: &str) -> Result<Condition, ()> {
    let (left, value) = text.split_once('=').ok_or(())?;
    let column = left.strip_suffix('!').unwrap_or(left);
    if !is_identifier(column) {
        return Err(());
    }
    Ok(Condition { column: column.to_owned(), value: value.to_owned(), is: !left.ends_with('!') })
}

/// Whether a name can stand in SQL between quotation marks as it is.
pub(crate) fn is_identifier(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.len() <= 63 && name.chars().all(plain)
}

/// The counted tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivityTables(Vec<ActivityTable>);

impl Default for ActivityTables {
    /// The CRM's defaults: visions that are not drafts, and journal entries.
    fn default() -> Self {
        let table = |relation: &str, metric, condition| ActivityTable {
            relation: relation.to_owned(),
            owner: "user_id".to_owned(),
            metric,
            condition,
        };
        let no_draft = Condition { column: "is_draft".to_owned(), value: "true".to_owned(), is: false };
        Self(vec![
            table("public.vision_versions", Metric::Visions, Some(no_draft)),
            table("public.journal_entries", Metric::JournalEntries, None),
        ])
    }
}

impl ActivityTables {
    /// Adds `table`, or replaces the entry for the same table.
    #[must_use]
    pub fn with(mut self, table: ActivityTable) -> Self {
        match self.0.iter_mut().find(|known| known.relation == table.relation) {
            Some(known) => *known = table,
            None => self.0.push(table),
        }
        self
    }

    /// The entry for a table.
    #[must_use]
    pub fn of(&self, relation: &str) -> Option<&ActivityTable> {
        self.0.iter().find(|table| table.relation == relation)
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = &ActivityTable> {
        self.0.iter()
    }

    /// Whether some table feeds this metric. A metric without one belongs to the application.
    #[must_use]
    pub fn feed(&self, metric: Metric) -> bool {
        self.0.iter().any(|table| table.metric == metric)
    }
}
