//! Good traffic under attack: how long a receiver takes to answer signed deliveries that come at a steady rate, alone
//! and during each attack, with its memory and with what the attack has left in the queue: nothing. The attackers are
//! a process of their own, this program once more. All share one machine, so a flood takes processor time from the
//! receiver merely by being sent: read each ratio together with the attack's rate.
//!
//! `cargo bench --bench attack -- --rounds 3 --rate 300`

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "counts and seconds of a benchmark, all of them small"
)]

#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../../tests/it/support/mod.rs"]
mod support;

#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../../tests/it/whole_way/sender.rs"]
mod sender;

#[path = "../durable.rs"]
mod durable;

mod attacker;
mod attacks;
mod pace;
mod receiver;

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum as _};
use memberflow::http::connection_limit::raise_open_files;

use attacks::Attack;
use receiver::{Measured, Receiver};

#[derive(Debug, Parser)]
struct Args {
    /// Good deliveries a second.
    #[arg(long, default_value_t = 300)]
    rate: u32,
    /// For so long each time.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// So often; medians are shown.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only these attacks.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Attack>,
    /// Be the attacker, of this address.
    #[arg(long, hide = true, requires = "attack")]
    at: Option<SocketAddr>,
    /// The attack to make.
    #[arg(long, hide = true, value_enum)]
    attack: Option<Attack>,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    raise_open_files();
    if let (Some(at), Some(attack)) = (args.at, args.attack) {
        return attacker::run(attack, at).await;
    }
    rustls::crypto::ring::default_provider().install_default().ok();
    let attacks = if args.only.is_empty() { Attack::value_variants() } else { &args.only[..] };
    println!("{} good deliveries/s for {} s, medians of {} rounds", args.rate, args.seconds, args.rounds);
    println!(
        "| attack | p50 | p99 | p99 just before | ratio | good ones refused | peak memory | left in the queue | the attack |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for &attack in attacks {
        // A receiver of its own for each, so that each peak of memory is that attack's.
        let receiver =
            Receiver::open(args.rate, Duration::from_secs(args.seconds.into()), attack.database_round_trip())
                .await;
        let mut rounds = Vec::new();
        for _ in 0..args.rounds {
            rounds.push(receiver.measure(attack).await);
        }
        println!("{}", line(attack, &rounds, &receiver).await);
    }
}

async fn line(attack: Attack, rounds: &[Measured], receiver: &Receiver) -> String {
    let median = |of: fn(&Measured) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    format!(
        "| {} | {:.1} ms | {:.1} ms | {:.1} ms | {:.2} | {} | {} MB | {} | {} |",
        attack.name(),
        median(|it| it.p50_ms),
        median(|it| it.p99_ms),
        median(|it| it.quiet_p99_ms),
        median(|it| it.p99_ms / it.quiet_p99_ms),
        rounds.iter().map(|it| it.refused).sum::<usize>(),
        receiver.peak_memory_bytes() / (1024 * 1024),
        receiver.left_by_attacks().await,
        rounds.last().map_or("", |it| it.answers.as_str()),
    )
}
