//! Tables for a terminal, and the text of their cells.

use std::ops::RangeBounds;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, LineStyle, Table};

use super::terminal::printable;

/// The spaces between two columns.
pub(super) const GAP: u16 = 2;

/// Columns two spaces apart and a line under the header: readable, and easy for `awk`.
pub(super) fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING.header_separator(LineStyle::none().fill('─')));
    if !header.is_empty() {
        table.set_header(header.iter().copied());
    }
    table
}

/// The same with the columns two spaces apart.
pub(super) fn spaced(mut table: Table) -> Table {
    let columns = table.column_count();
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if at + 1 == columns { 0 } else { GAP }));
    }
    table
}

/// Likewise, with these columns right-aligned.
pub(super) fn right_aligned(mut table: Table, numbers: impl RangeBounds<usize>) -> Table {
    let columns = table.column_iter_mut().enumerate();
    for (_, column) in columns.filter(|(at, _)| numbers.contains(at)) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    spaced(table)
}

/// Free text, or a dash.
pub(super) fn text(value: Option<&str>) -> String {
    value.map_or_else(|| "-".to_owned(), printable)
}

/// An enum value, without its underscores.
pub(super) fn word(value: Option<&str>) -> String {
    text(value.map(in_words).as_deref())
}

/// `needs_attention` as `needs attention`.
pub(super) fn in_words(value: &str) -> String {
    value.replace('_', " ")
}
