//! The model's rows against the database's.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::history::History;
use super::tables::Said;

/// What differs, by the number of the history: the lines to show.
pub fn differences(histories: &[&History], said: &Said) -> BTreeMap<u16, String> {
    let mut differences: BTreeMap<u16, String> = BTreeMap::new();
    for (table, rows) in said {
        let mut unexplained: HashMap<&str, usize> = HashMap::new();
        rows.iter().for_each(|row| *unexplained.entry(row).or_default() += 1);
        for history in histories {
            for row in &history.expected[table.as_str()] {
                let found =
                    row.iter().find(|line| unexplained.get(line.as_str()).is_some_and(|left| *left > 0));
                match found {
                    Some(line) => *unexplained.get_mut(line.as_str()).unwrap() -= 1,
                    None => {
                        let shown = differences.entry(history.number).or_default();
                        writeln!(shown, "- {table}: {}", row.join(" or ")).unwrap();
                    }
                }
            }
        }
        for (row, _) in unexplained.into_iter().filter(|(_, left)| *left > 0) {
            writeln!(differences.entry(number(row)).or_default(), "+ {table}: {row}").unwrap();
        }
    }
    differences
}

/// Whose a line is: users' ids begin with their history's number, ids of Stripe's end with it.
fn number(line: &str) -> u16 {
    let digits = match line.strip_prefix("user=") {
        Some(user) => &user[..4],
        None => line.split_whitespace().next().and_then(|id| id.rsplit('L').next()).unwrap_or_default(),
    };
    u16::from_str_radix(digits, 16).unwrap_or_default()
}
