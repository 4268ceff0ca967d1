//! The trace of an event as text.

use serde_json::{Map, Value};

use super::text::facts;
use crate::cli::moment::seconds;
use crate::cli::rebuild::columns;
use crate::cli::terminal::printable;
use crate::ops::events::Trace;

pub(super) fn text(traces: &[Trace]) -> String {
    traces.iter().map(one).collect::<Vec<_>>().join("\n\n")
}

fn one(trace: &Trace) -> String {
    let fact = |fact: &crate::ops::events::Fact, by: bool| {
        let by = if by { format!(" by {}, {}", fact.by, seconds(fact.occurred_at)) } else { String::new() };
        printable(&format!("{} {}{by}", fact.table, fact.id))
    };
    let changes = trace.changes.iter().map(|change| {
        let none = Map::<String, Value>::new();
        let before = change.before.as_ref().map_or(&none, |before| &before.0);
        printable(&format!("{} {}", change.table, change.id)) + &columns(before, &change.after.0)
    });
    let parked =
        trace.parked.iter().map(|it| printable(&format!("{} {}: {}", it.subject, it.reason, it.detail)));
    let acts =
        trace.acts.iter().map(|it| format!("{} {} by {}", seconds(it.at), it.act, printable(&it.actor)));
    [
        format!("{}\nVia       {}", facts(&trace.event), trace.via),
        section("Decides", trace.won.iter().map(|it| fact(it, false))),
        section("Decided by others", trace.lost.iter().map(|it| fact(it, true))),
        section("Changed", changes),
        section("Parked", parked),
        section("Acts of operators", acts),
        section("Not kept", trace.not_kept.iter().map(|it| (*it).to_owned())),
    ]
    .concat()
}

fn section(title: &str, lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.map(|line| format!("\n  {line}")).collect();
    if lines.is_empty() { String::new() } else { format!("\n\n{title}{}", lines.concat()) }
}
