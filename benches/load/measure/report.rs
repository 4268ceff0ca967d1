//! What was measured, each with its target: as a table, and as JSON.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

/// The table's place in a document.
const BEGIN: &str = "<!-- measured by `make bench`: begin -->";
const END: &str = "<!-- measured by `make bench`: end -->";

/// What the value of a row must be.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// None: it is there to be compared.
    None,
    /// So much of the yardstick at least.
    OfYardstick(f64),
    /// So much at least of the row that is called so.
    OfRow(String, f64),
    /// Less than this.
    Below(f64),
    /// At least this.
    AtLeast(f64),
}

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    name: String,
    unit: &'static str,
    target: Target,
    /// One value for each round, with the yardstick of that round where it is a rate.
    rounds: Vec<(f64, Option<f64>)>,
}

/// Everything that was measured, in the order in which it was first.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    /// What could not be measured here, and why.
    notes: Vec<String>,
}

impl Report {
    /// A rate, in the unit of the yardstick.
    pub fn rate(&mut self, name: &str, value: f64, yardstick: f64, target: Target) {
        self.add(name, "/s", (value, Some(yardstick)), target);
    }

    /// Any other value.
    pub fn value(&mut self, name: &str, value: f64, unit: &'static str, target: Target) {
        self.add(name, unit, (value, None), target);
    }

    fn add(&mut self, name: &str, unit: &'static str, round: (f64, Option<f64>), target: Target) {
        eprintln!("  {name}: {}", shown(round.0, unit));
        match self.rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.rounds.push(round),
            None => self.rows.push(Row { name: name.to_owned(), unit, target, rounds: vec![round] }),
        }
    }

    /// Says what could not be measured.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Whether the target is met; `None` where there is none, or nothing to compare with.
    fn met(&self, row: &Row) -> Option<bool> {
        match &row.target {
            Target::None => None,
            Target::OfYardstick(share) => Some(row.ratio()? >= *share),
            Target::OfRow(name, share) => Some(row.ratio()? >= share * self.row(name)?.ratio()?),
            Target::Below(most) => Some(row.median() < *most),
            Target::AtLeast(least) => Some(row.median() >= *least),
        }
    }

    /// The table as Markdown, with the notes below it.
    pub fn table(&self) -> String {
        let mut table =
            "| measured | median | of all rounds | of the yardstick | target | met |\n".to_owned();
        table.push_str("|---|---:|---:|---:|---|---|\n");
        for row in &self.rows {
            let met = self.met(row).map_or("", |met| if met { "yes" } else { "**no**" });
            let (least, most) = row.range();
            let range = format!("{} to {}", number(least), number(most));
            let (median, ratio) = (shown(row.median(), row.unit), row.ratio());
            let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.3}"));
            let target = self.target(row);
            writeln!(table, "| {} | {median} | {range} | {ratio} | {target} | {met} |", row.name).unwrap();
        }
        for note in &self.notes {
            write!(table, "\n{note}\n").unwrap();
        }
        table
    }

    fn target(&self, row: &Row) -> String {
        match &row.target {
            Target::None => String::new(),
            Target::OfYardstick(share) => format!("{share} of the yardstick"),
            Target::OfRow(name, share) => {
                let reached = row.ratio().zip(self.row(name).and_then(Row::ratio));
                let reached = reached.map_or_else(String::new, |(ratio, of)| format!(" ({:.2})", ratio / of));
                format!("{share} of: {name}{reached}")
            }
            Target::Below(most) => format!("under {}", shown(*most, row.unit)),
            Target::AtLeast(least) => format!("at least {}", shown(*least, row.unit)),
        }
    }

    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            json!({
                "name": row.name, "unit": row.unit.trim(), "median": row.median(), "of_yardstick": row.ratio(),
                "rounds": row.rounds.iter().map(|(value, _)| value).collect::<Vec<_>>(),
                "target": self.target(row), "met": self.met(row),
            })
        });
        json!({"rows": rows.collect::<Vec<_>>(), "notes": self.notes})
    }
}

impl Row {
    fn median(&self) -> f64 {
        median(self.rounds.iter().map(|(value, _)| *value))
    }

    fn ratio(&self) -> Option<f64> {
        let ratios: Option<Vec<f64>> =
            self.rounds.iter().map(|(value, yardstick)| Some(value / (*yardstick)?)).collect();
        Some(median(ratios?.into_iter()))
    }

    fn range(&self) -> (f64, f64) {
        let values = self.rounds.iter().map(|(value, _)| *value);
        (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn shown(value: f64, unit: &str) -> String {
    format!("{}{unit}", number(value))
}

/// With thousands apart, and as many decimals as say something.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return "never".to_owned();
    }
    if value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && digit.is_ascii_digit() {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Puts `text` in the place of what stands between the document's two marks.
pub fn write_between_marks(document: &Path, text: &str) -> std::io::Result<()> {
    let whole = std::fs::read_to_string(document)?;
    let parts = whole.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let Some((head, tail)) = parts else {
        return Err(std::io::Error::other(format!("{} has no {BEGIN} and {END}", document.display())));
    };
    std::fs::write(document, format!("{head}{BEGIN}\n\n{}\n\n{END}{tail}", text.trim()))
}
