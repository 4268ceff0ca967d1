//! Throughput, freshness and backlog over a period, as bars.

use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

use super::capped;
use crate::console::html::chart::{Chart, Span};
use crate::console::html::{format, query};
use crate::ops::sources::Source;
use crate::ops::throughput::{Period, Point, Throughput};

const TIME: StaticFormatDescription = format_description!("[hour]:[minute]");
const DAY_AND_TIME: StaticFormatDescription = format_description!("[month]-[day] [hour]:[minute]");

/// What the section shows.
pub(super) struct Charts {
    /// The period in words.
    pub heading: &'static str,
    /// Other periods, and this one.
    pub periods: Vec<Link>,
    /// Other sources, and this one.
    pub sources: Vec<Link>,
    /// None where nothing was counted or measured.
    pub figures: Vec<Figure>,
    /// The same as numbers.
    pub throughput: Throughput,
}

/// The same charts of another period or source.
pub(super) struct Link {
    pub name: String,
    pub href: String,
    pub is_shown: bool,
}

/// A chart.
pub(super) struct Figure {
    pub heading: &'static str,
    /// What it shows, in words.
    pub summary: String,
    pub chart: Chart,
}

impl Charts {
    /// Draws `throughput`; `sources` are those to choose from.
    pub(super) fn of(period: Period, throughput: Throughput, sources: &[Source]) -> Self {
        let source = throughput.source.as_deref().unwrap_or_default();
        let link = |name: &str, at: Period, of: &str, is_shown| {
            let href = query::address("/console", [("period", at.as_str()), ("source", of)]);
            Link { name: name.to_owned(), href: format!("{href}#charts"), is_shown }
        };
        let periods = Period::ALL.map(|at| link(at.as_str(), at, source, at == period)).into();
        let names = [("all sources", "")].into_iter();
        let names = names.chain(sources.iter().map(|it| (it.source.as_str(), it.source.as_str())));
        let sources = names.map(|(name, of)| link(name, period, of, of == source)).collect();
        let is_empty = throughput.points.iter().all(|point| point.events == 0 && point.waiting.is_none());
        let figures = if is_empty { Vec::new() } else { figures(period, &throughput.points) };
        Self { heading: heading(period), periods, sources, figures, throughput }
    }
}

fn heading(period: Period) -> &'static str {
    match period {
        Period::Hour => "Last hour",
        Period::Day => "Last 24 hours",
        Period::Week => "Last 7 days",
        Period::Month => "Last 30 days",
    }
}

fn figures(period: Period, points: &[Point]) -> Vec<Figure> {
    let spans = |class: &'static str, value: fn(&Point) -> Option<(i64, String)>| -> Vec<Span> {
        let span = |point: &Point| {
            let (to, value) = value(point).unwrap_or_default();
            Span { name: name(period, point.at), from: 0, to, value, class }
        };
        points.iter().map(span).collect()
    };
    let highest = |value: fn(&Point) -> Option<f64>| points.iter().filter_map(value).reduce(f64::max);

    let events: i64 = points.iter().map(|point| point.events).sum();
    let per_minute = highest(|point| Some(point.per_minute)).unwrap_or_default();
    let p99_s = highest(|point| point.freshness_p99_s);
    let waiting = points.iter().filter_map(|point| point.waiting).max();
    let oldest_s = highest(|point| point.oldest_s);
    vec![
        Figure {
            heading: "Events applied a minute",
            summary: format!("{events} events, at most {} a minute", format::rate(&per_minute)),
            chart: Chart::of(&spans("bar", |point| {
                let value = format!("{} events, {} a minute", point.events, format::rate(&point.per_minute));
                Some((thousandths(point.per_minute), value))
            })),
        },
        Figure {
            heading: "Freshness",
            summary: format!(
                "from receipt to visible; filled p50, outlined p99: at most {}",
                format::latency(&p99_s)
            ),
            chart: Chart::layered(&[
                &spans("outlined", |point| Some((thousandths(point.freshness_p99_s?), freshness(point)))),
                &spans("bar", |point| Some((thousandths(point.freshness_p50_s?), freshness(point)))),
            ]),
        },
        Figure {
            heading: "Waiting events",
            summary: format!("of all sources; at most {}", waiting.map_or_else(|| "–".to_owned(), capped)),
            chart: Chart::of(&spans("bar", |point| Some((point.waiting?, capped(point.waiting?))))),
        },
        Figure {
            heading: "Oldest waiting event",
            summary: format!("of all sources; at most {} old", format::latency(&oldest_s)),
            chart: Chart::of(&spans("bar", |point| {
                Some((thousandths(point.oldest_s?), format::latency(&point.oldest_s)))
            })),
        },
    ]
}

fn freshness(point: &Point) -> String {
    let [p50, p99] = [point.freshness_p50_s, point.freshness_p99_s].map(|seconds| format::latency(&seconds));
    format!("p50 {p50}, p99 {p99}")
}

/// What a point is called, in UTC.
fn name(period: Period, at: OffsetDateTime) -> String {
    let form = match period {
        Period::Hour | Period::Day => TIME,
        Period::Week | Period::Month => DAY_AND_TIME,
    };
    at.format(form).unwrap_or_default()
}

/// Bars have whole lengths.
#[expect(clippy::cast_possible_truncation, reason = "rounded on purpose, and short")]
fn thousandths(value: f64) -> i64 {
    (value * 1_000.0).round() as i64
}
