//! A history ready to be applied, with the expected tables.

use super::generate;
use super::model::{self, Tables};
use super::state::{Act, Emitted, PreexistingRow, Simulation};

pub struct History {
    pub number: u16,
    pub seed: u64,
    pub emitted: Vec<Emitted>,
    pub acts: Vec<(usize, Act)>,
    pub preexisting: Vec<PreexistingRow>,
    pub by_hand: Vec<(uuid::Uuid, &'static str)>,
    pub expected: Tables,
}

impl History {
    pub fn new(number: u16, seed: u64) -> Self {
        Self::of(generate::history(number, seed), seed)
    }

    pub fn of(simulation: Simulation, seed: u64) -> Self {
        let expected = model::tables(&simulation);
        let Simulation { number, emitted, acts, preexisting, by_hand, .. } = simulation;
        Self { number, seed, emitted, acts, preexisting, by_hand: by_hand.into_iter().collect(), expected }
    }
}
