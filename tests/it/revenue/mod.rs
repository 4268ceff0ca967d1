//! Payments, subscriptions and the revenue of members, in every order of events.

mod money;
mod payment_kinds;
mod subscriptions;
