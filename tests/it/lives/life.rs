//! A life that is ready to be told, with what the tables must say in the end.

use super::model::{self, Tables};
use super::simulation::{Act, Found, Simulation, Told};
use super::story;

pub struct Life {
    pub number: u16,
    pub seed: u64,
    pub told: Vec<Told>,
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
        let Simulation { number, told, acts, found, by_hand, .. } = simulation;
        Self { number, seed, told, acts, found, by_hand: by_hand.into_iter().collect(), expected }
    }
}
