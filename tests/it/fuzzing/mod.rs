//! Mutated fixtures for every reader of external input.
//!
//! [`targets`] defines what each reader guarantees; [`mutator`] breaks good input in seeded ways. The same
//! targets run under libFuzzer from `fuzz/`.

mod corpus;
mod mutator;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use fastrand::Rng;
use mutator::Mutator;

use crate::simulation::{SEED, set};

/// How many inputs each target gets.
const EXECUTIONS: &str = "MEMBERFLOW_TEST_EXECUTIONS";
/// After so many findings a target is given up.
const FINDINGS_MAX: usize = 5;

/// A function that panics where a promise is broken.
type Target = fn(&[u8]);

/// The inputs of one target, and those that failed.
struct Run {
    name: &'static str,
    executions: usize,
    took: Duration,
    findings: Vec<Vec<u8>>,
}

/// All targets in parallel, each with its own generator.
fn run(seed: u64, executions: usize) -> Vec<Run> {
    let corpus = corpus::Corpus::read();
    let all: [(&'static str, Target, &[Vec<u8>]); 7] = [
        ("stripe_signature", targets::stripe_signature, &corpus.stripe_signatures),
        ("standard_webhooks", targets::standard_webhooks, &corpus.standard_webhooks),
        ("parse", targets::parse, &corpus.events),
        ("stripe_event", targets::stripe_event, &corpus.stripe),
        ("database_change", targets::database_change, &corpus.changes),
        ("auth_hook", targets::auth_hook, &corpus.hooks),
        ("wire", targets::wire, &corpus.messages),
    ];
    std::thread::scope(|scope| {
        let begin = |(name, target, seeds)| scope.spawn(move || fuzz(name, target, seeds, seed, executions));
        let threads: Vec<_> = all.map(begin).into_iter().collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn fuzz(name: &'static str, target: Target, seeds: &[Vec<u8>], seed: u64, most: usize) -> Run {
    assert!(!seeds.is_empty(), "{name} has no corpus");
    let mut mutator = Mutator { rng: Rng::with_seed(seed), seeds };
    let begun = Instant::now();
    let mut run = Run { name, executions: 0, took: Duration::ZERO, findings: Vec::new() };
    while run.executions < most && run.findings.len() < FINDINGS_MAX {
        // What is good must be taken as it is, before it is broken.
        let input = seeds.get(run.executions).cloned().unwrap_or_else(|| mutator.next());
        if catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
            eprintln!("{name} fails for {}", input.escape_ascii());
            run.findings.push(input);
        }
        run.executions += 1;
    }
    run.took = begun.elapsed();
    run
}

fn assert_kept(runs: &[Run], seed: u64) {
    let broken: Vec<_> = runs.iter().filter(|run| !run.findings.is_empty()).map(|run| run.name).collect();
    assert!(broken.is_empty(), "promises broken: {broken:?}; again with {SEED}={seed}");
}

#[test]
fn mutated_input_breaks_no_reader() {
    let seed = set(SEED).unwrap_or(1);
    assert_kept(&run(seed, 400), seed);
}

/// The long run of `make soak`.
#[test]
#[ignore = "minutes long: make soak"]
fn soak_mutated_input_breaks_no_reader() {
    let seed = set(SEED).unwrap_or_else(|| fastrand::u64(..));
    let runs = run(seed, set(EXECUTIONS).unwrap_or(150_000));
    for Run { name, executions, took, findings } in &runs {
        let rate = (*executions as f64 / took.as_secs_f64()).round();
        println!("{name}: {executions} executions, {rate}/s, {} findings", findings.len());
    }
    let all: usize = runs.iter().map(|run| run.executions).sum();
    println!("{all} executions ({SEED}={seed})");
    assert_kept(&runs, seed);
}
