//! Reconcile: what Stripe's API and the database itself say, beside what the events have reported.

pub mod stripe;
pub mod supabase;
pub mod twilio;
