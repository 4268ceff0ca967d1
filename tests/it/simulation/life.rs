//! A history ready to be applied, with the expected tables.

use super::model::{self, Tables};
use super::state::{Act, Emitted, Found, Simulation};
use super::story;

pub struct Life {
    pub number: u16,
    pub seed: u64,
    pub emitted: Vec<Emitted>,
    pub acts: Vec<(usize, Act)>,
    pub found: Vec<Found>,
    pub by_hand: Vec<(uuid::Uuid, &'static str)>,
    pub expected: Tables,
}

impl Life {
    pub fn new(number: u16, seed: u64) -> Self {
        Self::of(story::life(number, seed), seed)
    }

    pub fn of(simulation: Simulation, seed: u64) -> Self {
        let expected = model::tables(&simulation);
        let Simulation { number, emitted, acts, found, by_hand, .. } = simulation;
        Self { number, seed, emitted, acts, found, by_hand: by_hand.into_iter().collect(), expected }
    }
}
