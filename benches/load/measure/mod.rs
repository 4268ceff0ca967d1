//! Measures the service: separate processes with a database and queues of their own, everything on this machine, the
//! load too. Parts can be measured alone; each round measures everything once, and medians are reported.

mod accept;
mod client;
mod console;
mod freshness;
mod instructions;
mod machine;
mod members;
mod population;
mod post;
mod readers;
mod report;
mod service;
mod traffic;
mod visible;
mod whole;
mod yardstick;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde_json::json;

use members::Listed;
use report::{Report, Target};
use service::{Queue, Service};
use whole::Filled;

use report::write_between_marks;

/// What can be measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Events accepted a second
    Accept,
    /// Events a second from the POST to committed metrics
    Whole,
    /// The same with 300,000 members, which take minutes to make
    Largest,
    /// How long it takes from a POST to its metric
    Freshness,
    /// The same with 2 ms between the service and its database
    Away,
    /// Pages of the member list
    Members,
    /// Pages of the console
    Console,
    /// Events a second while pages of the console are open
    Readers,
}

/// Which parts, how often, and where to.
#[derive(Debug, Parser)]
pub struct Options {
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// How often; medians are reported.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// So many members to list, instead of a million.
    #[arg(long)]
    pub listed: Option<u64>,
    /// With so little load that the figures mean nothing: shows that everything works.
    #[arg(long)]
    pub quick: bool,
    /// Where the figures go as JSON.
    #[arg(long, default_value = "target/bench.json")]
    pub json: PathBuf,
    /// Also puts the table between the two marks of this document.
    #[arg(long)]
    pub write: Option<PathBuf>,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// How much of everything.
struct Scale {
    yardstick: Duration,
    connections: &'static [usize],
    bodies: &'static [usize],
    /// Events to accept.
    accepted: usize,
    /// Events to apply as fast as possible.
    applied: usize,
    /// How many members are few, many and most.
    few: u64,
    many: u64,
    most: u64,
    /// Events a second at a low and at a high steady rate, and for how long.
    slow: f64,
    quick: f64,
    steady: Duration,
    /// Members to list.
    listed: u64,
    /// Pages of the console that are open.
    readers: usize,
}

const FULL: Scale = Scale {
    yardstick: Duration::from_secs(2),
    connections: &[1, 16, 64, 256],
    bodies: &[1024, 5400],
    accepted: 15_000,
    applied: 12_000,
    few: 500,
    many: 20_000,
    most: 300_000,
    slow: 200.0,
    quick: 1000.0,
    steady: Duration::from_secs(8),
    listed: 1_000_000,
    readers: 100,
};

const QUICK: Scale = Scale {
    yardstick: Duration::from_millis(100),
    connections: &[16],
    bodies: &[5400],
    accepted: 200,
    applied: 240,
    few: 20,
    many: 100,
    most: 200,
    slow: 50.0,
    quick: 100.0,
    steady: Duration::from_secs(1),
    listed: 20_000,
    readers: 16,
};

impl Options {
    fn scale(&self) -> &'static Scale {
        if self.quick { &QUICK } else { &FULL }
    }

    /// How many members are listed.
    fn listed(&self) -> u64 {
        self.listed.unwrap_or(self.scale().listed)
    }

    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// The most memory that each role has had, for each queue.
#[derive(Default)]
struct Peaks([[f64; 2]; 2]);

impl Peaks {
    fn note(&mut self, queue: Queue, service: &Service) {
        let known = &mut self.0[queue as usize];
        for (known, now) in known.iter_mut().zip(service.peak_memory_mb()) {
            *known = known.max(now);
        }
    }

    fn report(&self, report: &mut Report) {
        for (queue, peaks) in Queue::ALL.into_iter().zip(self.0) {
            for ((role, most), peak) in [("receiver", 64.0), ("consumer", 128.0)].into_iter().zip(peaks) {
                let name = format!("peak memory, {role}, {}", queue.name());
                report.value(&name, peak, " MB", Target::Below(most));
            }
        }
    }
}

/// Measures what `options` ask for, prints the table, and writes it to where it is wanted.
pub async fn run(options: &Options) -> String {
    let mut report = Report::default();
    let mut filled = Filled::default();
    let lists = options.wants(Part::Members) || options.wants(Part::Console);
    let listed = if lists { Some(Listed::filled(options).await) } else { None };
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        let mut peaks = Peaks::default();
        if options.wants(Part::Accept) {
            accept::measure(options, &mut report).await;
        }
        if options.wants(Part::Whole) {
            whole::measure(options, &mut report, &mut filled, &mut peaks).await;
        }
        if options.wants(Part::Largest) {
            whole::measure_largest(options, &mut report, &mut filled, &mut peaks).await;
        }
        if options.wants(Part::Freshness) {
            freshness::measure(options, &mut report, &mut peaks).await;
        }
        if options.wants(Part::Away) {
            freshness::measure_away(options, &mut report).await;
        }
        if options.wants(Part::Readers) {
            readers::measure(options, &mut report).await;
        }
        if [Part::Whole, Part::Largest, Part::Freshness].into_iter().any(|part| options.wants(part)) {
            peaks.report(&mut report);
        }
        if let Some(listed) = &listed {
            if options.wants(Part::Members) {
                listed.measure(options, &mut report).await;
            }
            if options.wants(Part::Console) {
                console::measure(listed, options, &mut report).await;
            }
        }
    }
    let machine = machine::describe(options).await;
    let document = format!("{machine}\n\n{}", report.table());
    println!("{document}");
    let mut figures = report.json();
    figures["machine"] = json!(machine);
    std::fs::write(&options.json, format!("{figures:#}\n")).unwrap();
    if let Some(path) = &options.write {
        write_between_marks(path, &document).unwrap();
    }
    document
}
