//! The model's rows against the database's.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::deliver::Life;

/// What differs, by the number of the life: the lines to show.
pub fn differences<'a>(
    lives: impl Iterator<Item = &'a Life>,
    actual: &BTreeMap<&'static str, Vec<String>>,
) -> BTreeMap<u16, String> {
    let mut differences: BTreeMap<u16, String> = BTreeMap::new();
    let mut unexplained: BTreeMap<&str, Vec<&String>> =
        actual.iter().map(|(table, rows)| (*table, rows.iter().collect())).collect();
    for life in lives {
        for (table, rows) in &life.expected {
            let there = unexplained.get_mut(table).unwrap();
            for row in rows {
                match there.iter().position(|line| row.contains(line)) {
                    Some(at) => drop(there.swap_remove(at)),
                    None => {
                        let said = differences.entry(life.number).or_default();
                        writeln!(said, "- {table}: {}", row.join(" or ")).unwrap();
                    }
                }
            }
        }
    }
    for (table, rows) in unexplained {
        for row in rows {
            writeln!(differences.entry(number(row)).or_default(), "+ {table}: {row}").unwrap();
        }
    }
    differences
}

/// Whose a line is: users' ids begin with their life's number, ids of Stripe's end with it.
fn number(line: &str) -> u16 {
    let digits = match line.strip_prefix("user=") {
        Some(user) => &user[..4],
        None => line.split_whitespace().next().and_then(|id| id.rsplit('L').next()).unwrap_or_default(),
    };
    u16::from_str_radix(digits, 16).unwrap_or_default()
}
