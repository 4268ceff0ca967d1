//! The deliveries and their order: copies of every event, shuffled if requested.

use std::iter;
use std::path::PathBuf;

use crate::ops::fixture;

use super::{Delivery, Options, ReplayError};

/// The most bytes of events to shuffle, which happens in memory.
pub const SHUFFLE_MAX_BYTES: u64 = 1024 * 1024 * 1024;

type Deliveries = Box<dyn Iterator<Item = Delivery> + Send>;

/// The deliveries of `paths`. Without shuffling they stream, an event's copies one after the other.
pub(super) fn of(paths: &[PathBuf], options: &Options) -> Result<Deliveries, ReplayError> {
    let copies = options.duplicate.get() as usize;
    let events: Deliveries = match options.shift_to {
        Some(moment) => fixture::events_at(paths, moment)?,
        None => Box::new(fixture::events(paths)),
    };
    match options.shuffle {
        None => Ok(Box::new(events.flat_map(move |event| repeated(event, copies)))),
        Some(seed) => {
            let mut events = within(events, SHUFFLE_MAX_BYTES)?;
            events = events.into_iter().flat_map(|event| repeated(event, copies)).collect();
            fastrand::Rng::with_seed(seed).shuffle(&mut events);
            Ok(Box::new(events.into_iter()))
        }
    }
}

/// `copies` of an event, which share its body; an unreadable one is reported once.
fn repeated(delivery: Delivery, copies: usize) -> Deliveries {
    match delivery {
        Ok(event) => Box::new(iter::repeat_n(event, copies).map(Ok)),
        Err(bad) => Box::new(iter::once(Err(bad))),
    }
}

/// All of `events`, if they are within `max_bytes`.
fn within(events: impl Iterator<Item = Delivery>, max_bytes: u64) -> Result<Vec<Delivery>, ReplayError> {
    let mut size_bytes = 0;
    let mut held = Vec::new();
    for event in events {
        size_bytes += event.as_ref().map_or(0, |event| event.body.len() as u64);
        if size_bytes > max_bytes {
            return Err(ReplayError::TooLargeToShuffle(max_bytes));
        }
        held.push(event);
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn bodies(shuffle: Option<u64>, duplicate: u32) -> Vec<String> {
        let options = Options {
            url: String::new(),
            shuffle,
            duplicate: duplicate.try_into().unwrap(),
            rate_per_s: None,
            concurrency: 1.try_into().unwrap(),
            shift_to: None,
            secrets: super::super::Secrets::default(),
        };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/12-free-member");
        of(&[folder], &options).unwrap().map(|event| event.unwrap().event_id).collect()
    }

    #[test]
    fn shuffle_is_deterministic_and_complete() {
        let (plain, mixed) = (bodies(None, 1), bodies(Some(7), 1));
        assert_eq!(mixed, bodies(Some(7), 1));
        assert_ne!(mixed, plain);
        assert_ne!(mixed, bodies(Some(8), 1));
        let sorted = |mut ids: Vec<String>| {
            ids.sort();
            ids
        };
        assert_eq!(sorted(mixed), sorted(plain));
    }

    #[test]
    fn duplicates_are_posted_as_requested() {
        let once = bodies(None, 1);
        for shuffle in [None, Some(3)] {
            let thrice = bodies(shuffle, 3);
            assert_eq!(thrice.len(), 3 * once.len());
            assert!(once.iter().all(|id| thrice.iter().filter(|other| *other == id).count() == 3));
        }
    }

    #[test]
    fn shuffle_memory_is_bounded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/12-free-member");
        let events = || fixture::events(std::slice::from_ref(&folder));
        assert!(matches!(within(events(), 4096), Err(ReplayError::TooLargeToShuffle(4096))));
        assert_eq!(within(events(), SHUFFLE_MAX_BYTES).unwrap().len(), events().count());
    }
}
