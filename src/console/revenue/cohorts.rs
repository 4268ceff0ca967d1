//! The grids of cohorts on the Revenue page: who is still there, and what they bring.

use super::cohort;
use crate::console::html::{format, query};
use crate::ops::ledger::{Cohort, Retained};

/// The most cohorts in one grid, and so the most months that one is followed.
pub(super) const MAX: usize = 24;

/// One currency's cohorts by one measure.
pub(super) struct Grid {
    pub caption: &'static str,
    pub columns: Vec<String>,
    pub lines: Vec<Line>,
}

/// One cohort.
pub(super) struct Line {
    pub month: String,
    /// As many as columns; those of months to come are empty.
    pub cells: Vec<Cell>,
}

/// What is left at the end of one month.
#[derive(Clone, Default)]
pub(super) struct Cell {
    /// Of the end of the first month; empty where nothing was left there.
    pub percent: String,
    pub value: String,
    /// Where its customers are.
    pub href: String,
}

/// The grids of `cohorts`, all of one currency; none where there is no cohort.
pub(super) fn grids(cohorts: &[&Cohort]) -> Vec<Grid> {
    if cohorts.is_empty() {
        return Vec::new();
    }
    let count = |cohort: &Cohort| line(cohort, |it| it.customers, &|count| count.to_string());
    let money = |cohort: &Cohort| line(cohort, |it| it.mrr, &|sum| format::money(sum, &cohort.currency));
    vec![
        grid("Customers who are still there at the end of each month", cohorts, &count),
        grid("What they bring at the end of each month", cohorts, &money),
    ]
}

fn grid(caption: &'static str, cohorts: &[&Cohort], line: &dyn Fn(&Cohort) -> Line) -> Grid {
    let months = cohorts.iter().map(|cohort| cohort.months.len()).max().unwrap_or(0);
    let column = |at| if at == 0 { "First month".to_owned() } else { format!("+{at}") };
    let mut lines: Vec<Line> = cohorts.iter().map(|cohort| line(cohort)).collect();
    lines.iter_mut().for_each(|line| line.cells.resize(months, Cell::default()));
    Grid { caption, columns: (0..months).map(column).collect(), lines }
}

fn line(cohort: &Cohort, measure: fn(&Retained) -> i64, shown: &dyn Fn(i64) -> String) -> Line {
    let (first, began) = (cohort.months.first().map_or(0, measure), cohort.month.to_string());
    let cell = |retained: &Retained| {
        let value = measure(retained);
        let percent = percent(value, first).map_or_else(String::new, |percent| format!("{percent} %"));
        let month = retained.month.to_string();
        let pairs = [("currency", cohort.currency.as_str()), ("began", &began), ("month", &month)];
        Cell { percent, value: shown(value), href: query::address(cohort::HERE, pairs) }
    };
    Line { month: began.clone(), cells: cohort.months.iter().map(cell).collect() }
}

/// In whole percent, half up.
fn percent(value: i64, of: i64) -> Option<i64> {
    let (value, of) = (i128::from(value), i128::from(of));
    if of <= 0 { None } else { i64::try_from((value * 200 + of).div_euclid(of * 2)).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_half_up() {
        let shares =
            [(1, 3), (1, 2), (5, 1000), (3, 2), (0, 7), (1, 0)].map(|(value, of)| percent(value, of));
        assert_eq!(shares, [Some(33), Some(50), Some(1), Some(150), Some(0), None]);
    }
}
