//! The MRR as the overview shows it. Worked out from the whole ledger, so at most once a minute, whoever looks.

use std::time::Duration;

use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::ops::ledger::{self, Month, Row};

/// How old what is shown may be.
const FRESH_FOR: Duration = Duration::from_secs(60);

/// The MRR of the present month, by currency.
#[derive(Clone)]
pub(super) struct Figures {
    /// From the month's opening to now.
    pub rows: Vec<Row>,
    /// When it was worked out.
    pub at: OffsetDateTime,
}

/// What was worked out last.
#[derive(Default)]
pub(super) struct Cache(Mutex<Option<(Instant, Figures)>>);

impl Cache {
    /// The figures, at most a minute old. Who asks while they are worked out waits for them.
    pub(super) async fn figures(&self, pool: &PgPool, now: OffsetDateTime) -> Result<Figures, sqlx::Error> {
        let mut last = self.0.lock().await;
        if let Some((_, figures)) = last.as_ref().filter(|(since, _)| since.elapsed() < FRESH_FOR) {
            return Ok(figures.clone());
        }
        let waterfall = ledger::waterfall(pool, &[Month::of(now)], None).await?;
        let figures = Figures { rows: waterfall.rows, at: now };
        *last = Some((Instant::now(), figures.clone()));
        Ok(figures)
    }
}
