//! The service under load: how many events a second are accepted and applied, how old what the tables show is, how quick
//! the member list is, how much memory that takes. Each with its target (`docs/performance.md`).
//!
//! `make bench`, or a part of it: `make bench ARGS="--only accept --rounds 1"`

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "counts and seconds of a benchmark, all of them small"
)]

#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../../tests/it/support/mod.rs"]
mod support;

#[path = "../durable.rs"]
mod durable;

mod measure;

use clap::Parser as _;
use memberflow::http::connection_limit::raise_open_files;

#[tokio::main]
async fn main() {
    raise_open_files();
    rustls::crypto::ring::default_provider().install_default().ok();
    measure::run(&measure::Options::parse()).await;
}
