//! `docs/problems.md` lists all problems.

use memberflow::http::problem::KINDS;

const PAGE: &str = include_str!("../../docs/problems.md");

/// The first cells of the table.
fn named() -> Vec<&'static str> {
    let lines = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    lines.map(|line| line.split('`').next().unwrap()).collect()
}

#[test]
fn every_problem_kind_is_documented_in_order() {
    let (fields, kinds): (Vec<&str>, Vec<&str>) = named().into_iter().partition(|name| name.contains('<'));
    assert_eq!(kinds, KINDS);
    assert_eq!(fields, ["<field>-missing", "<field>-invalid"]);
    for row in PAGE.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert!(cells.len() == 4 && cells.iter().all(|cell| !cell.is_empty()), "{row}");
        assert!(cells[1].parse::<u16>().is_ok_and(|status| (400..600).contains(&status)), "{row}");
    }
}
