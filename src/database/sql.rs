//! Quoting of names and texts in generated SQL.

/// A name, quoted.
#[must_use]
pub fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `schema.table`, quoted.
#[must_use]
pub fn table(relation: &str) -> String {
    let parts: Vec<_> = relation.split('.').map(name).collect();
    parts.join(".")
}

/// A text in quotes.
#[must_use]
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
