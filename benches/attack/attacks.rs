//! What each attack sends, and at which rate.

use std::time::Duration;

use clap::ValueEnum;
use memberflow::clock::Clock;
use memberflow::verify::secrets::split_stripe;
use memberflow::verify::{StripeSecrets, stripe};

use crate::support::receiver::STRIPE_SECRETS;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Attack {
    Forged,
    ForgedUnbounded,
    SlowHeaders,
    SlowBodies,
    LargeSlowBodies,
    Idle,
    IdleBeyondLimit,
    Oversized,
    Deep,
    Invalid,
    Readiness,
}

/// How an attack is made.
pub enum Manner {
    /// Whole requests one after the other over each connection, so many a second; 0: as fast as they are answered.
    Flood { request: Vec<u8>, per_second: u32, connections: usize },
    /// Connections that say `begin`, then a `piece` every second; opened again when they are closed.
    Hold { connections: usize, begin: Vec<u8>, piece: &'static [u8] },
}

impl Attack {
    pub fn name(self) -> &'static str {
        match self {
            Self::Forged => "bad signatures, 1,000/s",
            Self::ForgedUnbounded => "bad signatures, as fast as they are answered",
            Self::SlowHeaders => "2,000 connections with slow headers",
            Self::SlowBodies => "2,000 connections with slow bodies",
            Self::LargeSlowBodies => "400 connections with slow bodies of 900 KB",
            Self::Idle => "5,000 idle connections",
            Self::IdleBeyondLimit => "18,000 idle connections",
            Self::Oversized => "bodies of 2 MiB, 20/s",
            Self::Deep => "signed bodies 100,000 deep, 200/s",
            Self::Invalid => "signed bodies that are no events, 1,000/s",
            Self::Readiness => "/readyz over 800 connections, Postgres 20 ms away",
        }
    }

    /// How far Postgres is from the receiver, with and without the attack.
    pub const fn database_round_trip(self) -> Duration {
        match self {
            Self::Readiness => Duration::from_millis(20),
            _ => Duration::ZERO,
        }
    }

    pub fn manner(self) -> Manner {
        let flood = |request, per_second| Manner::Flood { request, per_second, connections: 32 };
        let hold = |connections, begin, piece| Manner::Hold { connections, begin, piece };
        let event = format!(r#"{{"id":"evt_bad","type":"t","created":1,"data":"{}"}}"#, "x".repeat(2500));
        let forged = || request(event.as_bytes(), &format!("t={},v1={}", now_s(), "0".repeat(64)));
        let slow = |begun: usize| {
            let whole = request(&vec![b' '; 1_000_000], "t=1,v1=00");
            whole[..whole.len() - 1_000_000 + begun].to_vec()
        };
        match self {
            Self::Forged => flood(forged(), 1000),
            Self::ForgedUnbounded => flood(forged(), 0),
            Self::SlowHeaders => {
                hold(2000, b"POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\n".to_vec(), b"x: y\r\n")
            }
            Self::SlowBodies => hold(2000, slow(1000), b" "),
            Self::LargeSlowBodies => hold(400, slow(900_000), b" "),
            Self::Idle => hold(5000, Vec::new(), b""),
            Self::IdleBeyondLimit => hold(18_000, Vec::new(), b""),
            Self::Oversized => flood(request(&vec![b' '; 2 * 1024 * 1024], "t=1,v1=00"), 20),
            Self::Deep => flood(signed(["[".repeat(100_000), "]".repeat(100_000)].concat().as_bytes()), 200),
            Self::Invalid => flood(signed(&event.as_bytes()[..event.len() - 1]), 1000),
            Self::Readiness => Manner::Flood {
                request: b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
                per_second: 0,
                connections: 800,
            },
        }
    }
}

/// Signatures are made once; an attack lasts for less than the receiver's tolerance.
fn now_s() -> i64 {
    Clock::System.now().unix_timestamp()
}

fn signed(body: &[u8]) -> Vec<u8> {
    let secrets = StripeSecrets::new(&split_stripe(STRIPE_SECRETS)).unwrap().unwrap();
    request(body, &stripe::sign(&secrets, now_s(), body))
}

fn request(body: &[u8], signature: &str) -> Vec<u8> {
    let head = format!(
        "POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nstripe-signature: {signature}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Between two pieces of what is slow.
pub const PIECE_EVERY: Duration = Duration::from_secs(1);
