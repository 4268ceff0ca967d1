//! What the MRR ledger answers: the MRR at any date, as it was known at any date; the monthly waterfall;
//! why a member's MRR is what it is.

mod explain;
mod moment;
mod total;
mod waterfall;

pub use crate::project::mrr::DEFINITION;
pub use explain::{About, Explained, Movement, explain};
pub use moment::{InvalidMoment, Month, parse_moment, parse_since};
pub use total::{MrrAt, Question, Total, mrr_at};
pub use waterfall::{InvalidMonths, MAX_MONTHS, Row, Waterfall, months, waterfall};

/// What was believed at `$1`; at null, what is believed now.
macro_rules! believed {
    () => {
        "(case when $1::timestamptz is null then superseded_at is null
               else recorded_at <= $1 and (superseded_at is null or superseded_at > $1) end)"
    };
}
use believed;
