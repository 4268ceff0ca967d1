//! How Postgres is used: plans of queries, statistics, transactions and connections.

mod reading_plans;
mod statistics;
mod transactions;
