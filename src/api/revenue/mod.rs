//! The monthly recurring revenue over time: its movements, by month and by cohort.

pub(super) mod list_cohort_customers;
pub(super) mod list_cohorts;
pub(super) mod list_movements;
pub(super) mod show_waterfall;
