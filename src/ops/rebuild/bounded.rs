//! An interactive replay: with limits of events, time and rows shown.

use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;

use super::{Report, clear, replay_by};
use crate::ops::progress::Progress;
use crate::store::rebuild::{RebuildError, RowDifference, Selection};
use crate::store::{Store, StoreError};

/// The most events of an interactive replay.
pub const EVENTS_MAX: usize = 1_000;
/// The most rows shown.
const SHOWN_MAX: usize = 50;
/// How long it may take.
const BOUND: Duration = Duration::from_secs(25);

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Replayed {
    /// In figures.
    #[serde(flatten)]
    pub report: Report,
    /// The first of the rows that differed, at most 50.
    pub differences: Vec<RowDifference>,
}

/// It failed, or was aborted.
#[derive(Debug, thiserror::Error)]
pub enum BoundedError {
    /// Nothing was said to choose by.
    #[error("choose events by ids, type, customer, member, since or until")]
    NothingChosen,
    /// Too many events.
    #[error(
        "more than {EVENTS_MAX} events match: choose fewer, or run memberflow replay --from-inbox --dry-run"
    )]
    TooMany,
    /// What was fixed until then stays fixed.
    #[error(
        "replay took longer than {} s, what it repaired until then stays: run memberflow replay --from-inbox",
        BOUND.as_secs()
    )]
    TooLong,
    /// Another rebuild or replay is running.
    #[error("{}", RebuildError::AnotherIsRunning)]
    AnotherIsRunning,
    /// There is no such event.
    #[error("{}", RebuildError::NothingSelected)]
    NothingSelected,
    /// The database does not answer, or refuses.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<RebuildError> for BoundedError {
    fn from(error: RebuildError) -> Self {
        match error {
            RebuildError::AnotherIsRunning => Self::AnotherIsRunning,
            RebuildError::NothingSelected => Self::NothingSelected,
            RebuildError::Database(error)
            | RebuildError::Due(StoreError::Unavailable(error) | StoreError::Rejected(error)) => {
                Self::Database(error)
            }
        }
    }
}

/// The same as [`super::replay`], for at most 1,000 events and 25 seconds.
pub async fn replay_within(
    store: &Store,
    selection: &Selection,
    check: bool,
    actor: &str,
) -> Result<Replayed, BoundedError> {
    let most = i64::try_from(EVENTS_MAX).unwrap_or(i64::MAX);
    if selection.is_everything() {
        return Err(BoundedError::NothingChosen);
    }
    // The events about one customer or member are found by index: there the limit of time is enough.
    if !selection.is_of_one_owner() && selection.count(store.pool(), most + 1).await? > most {
        return Err(BoundedError::TooMany);
    }
    let (mut progress, mut differences) = (Progress::Silent, Vec::new());
    let show = |difference: RowDifference| {
        differences.push(difference);
        differences.len() < SHOWN_MAX
    };
    let replay = replay_by(store, selection, check, actor, &mut progress, show);
    let ended = timeout(BOUND, replay).await;
    if matches!(ended, Err(_) | Ok(Err(RebuildError::NothingSelected))) {
        // Otherwise the next one would remove its leftovers.
        if let Err(error) = clear(store).await {
            tracing::warn!(%error, "leftovers of a replay not removed");
        }
    }
    let report = ended.map_err(|_| BoundedError::TooLong)??;
    Ok(Replayed { report, differences })
}
