//! What the MRR ledger answers: the MRR at any date, as it was known at any date; the monthly waterfall;
//! why a member's MRR is what it is.

mod cohort_customers;
mod cohorts;
mod explain;
mod moment;
mod movements;
mod sums;
mod total;
mod waterfall;

pub use crate::project::mrr::DEFINITION;
pub use cohort_customers::{CohortCustomer, CohortMonth, CohortPage, cohort_customers, count_cohort};
pub use cohorts::{Cohort, Cohorts, Retained, cohorts};
pub use explain::{About, Explained, Movement, explain, explain_at};
pub use moment::{InvalidMoment, Month, parse_moment, parse_since};
pub use movements::{Cell, KINDS, Listed, Page, count_customers, count_movements, movements};
pub use total::{MrrAt, Question, Total, mrr_at};
pub use waterfall::{Counts, InvalidMonths, MAX_MONTHS, Row, Waterfall, months, waterfall};
