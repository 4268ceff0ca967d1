//! A provider that retries until each event is acknowledged, and records those that were.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use fastrand::Rng;
use futures_util::future::join_all;
use memberflow::clock::Clock;
use memberflow::envelope::{Envelope, Source};
use memberflow::ops::fixture;

use crate::support::signing::Keys;

/// Deliveries under way at once.
const LANES: usize = 16;
/// Stripe waits no longer for an answer either.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest wait of a lane whose deliveries fail.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// An event by its source and id.
pub type Name = (Source, String);

/// What the sender signs by.
#[derive(Clone)]
pub struct Hand {
    pub stripe: String,
    pub supabase: String,
    /// Seconds that its clock is wrong by.
    pub clock_off_s: i64,
    /// It knows that its signatures may be refused at present.
    pub may_be_refused: bool,
}

/// Posts to all receivers, whichever.
pub struct Sender {
    urls: Vec<String>,
    clients: Vec<reqwest::Client>,
    pause: Duration,
    hand: Mutex<Hand>,
    book: Mutex<Book>,
    ending: AtomicBool,
}

/// What is to be sent and what came of it.
struct Book {
    rng: Rng,
    waiting: VecDeque<Envelope>,
    under_way: usize,
    /// Events that were sent already, to be sent again where there is nothing else to do.
    sent: Vec<Envelope>,
    taken: BTreeSet<Name>,
    /// The same, in the order of their first yes.
    in_order: Vec<Name>,
    /// Hooks are always acknowledged.
    hooks: BTreeMap<Name, Envelope>,
    last_yes: Instant,
    longest_silence: Duration,
    answers: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Sender {
    /// A sender of `events_per_second` at most.
    pub fn new(urls: Vec<String>, hand: Hand, events_per_second: u32, seed: u64) -> Self {
        let client = || reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let book = Book {
            rng: Rng::with_seed(seed),
            waiting: VecDeque::new(),
            under_way: 0,
            sent: Vec::new(),
            taken: BTreeSet::new(),
            in_order: Vec::new(),
            hooks: BTreeMap::new(),
            last_yes: Instant::now(),
            longest_silence: Duration::ZERO,
            answers: BTreeMap::new(),
            wrong: Vec::new(),
        };
        Self {
            clients: urls.iter().map(|_| client()).collect(),
            urls,
            pause: Duration::from_secs(LANES as u64) / events_per_second,
            hand: Mutex::new(hand),
            book: Mutex::new(book),
            ending: AtomicBool::default(),
        }
    }

    /// Sends all that is given to it, and again what was sent, until [`Sender::end`].
    pub async fn run(&self) {
        join_all((0..LANES).map(|_| self.lane())).await;
    }

    async fn lane(&self) {
        let mut pause = self.pause;
        while let Some((event, is_repeat)) = self.next() {
            let taken = self.post(&event).await;
            if !is_repeat {
                self.put_back(event, taken);
            }
            pause = if taken { self.pause } else { (pause * 2).min(LONGEST_PAUSE) };
            tokio::time::sleep(pause).await;
        }
    }

    /// What comes next, and whether it was sent before. None once all is done.
    fn next(&self) -> Option<(Envelope, bool)> {
        let mut book = self.book();
        if let Some(event) = book.waiting.pop_front() {
            book.under_way += 1;
            return Some((event, false));
        }
        if self.ending.load(Ordering::SeqCst) || book.sent.is_empty() {
            return None;
        }
        let count = book.sent.len();
        let at = book.rng.usize(..count);
        Some((book.sent[at].clone(), true))
    }

    fn put_back(&self, event: Envelope, taken: bool) {
        let mut book = self.book();
        book.under_way -= 1;
        if taken {
            book.sent.push(event);
        } else {
            // Stripe comes back later, and in no order.
            let count = book.waiting.len();
            let at = book.rng.usize(..=count);
            book.waiting.insert(at, event);
        }
    }

    async fn post(&self, event: &Envelope) -> bool {
        let at = self.book().rng.usize(..self.urls.len());
        let hand = self.hand.lock().unwrap().clone();
        let url = format!("{}{}", self.urls[at], fixture::endpoint(event.source, &event.event_id).unwrap());
        let keys = Keys { stripe: &hand.stripe, supabase: &hand.supabase };
        let now = Clock::System.now() + time::Duration::seconds(hand.clock_off_s);
        let request =
            keys.sign(self.clients[at].post(url), event.source, &event.event_id, event.body.clone(), now);
        let answer = request.send().await;
        let status = answer.as_ref().ok().map(|answer| answer.status().as_u16());
        let retry_after = answer.is_ok_and(|answer| answer.headers().contains_key("retry-after"));
        self.note(event, status, retry_after, hand.may_be_refused);
        status == Some(200)
    }

    fn note(&self, event: &Envelope, status: Option<u16>, retry_after: bool, may_be_refused: bool) {
        let mut book = self.book();
        let said = status.map_or("no answer".to_owned(), |status| status.to_string());
        *book.answers.entry(format!("{} {said}", event.source)).or_default() += 1;
        let is_hook = event.source == Source::SupabaseAuth;
        match status {
            None => {}
            Some(200) => {
                let silence = book.last_yes.elapsed();
                book.longest_silence = book.longest_silence.max(silence);
                book.last_yes = Instant::now();
                let name = (event.source, event.event_id.clone());
                if is_hook {
                    book.hooks.insert(name, event.clone());
                } else if book.taken.insert(name.clone()) {
                    book.in_order.push(name);
                }
            }
            Some(400) if may_be_refused => {}
            Some(503 | 429) if !is_hook && retry_after => {}
            Some(_) => book.wrong.push(format!("{} {}: {said}", event.source, event.event_id)),
        }
    }

    /// Gives it more to send, in this order.
    pub fn give(&self, events: Vec<Envelope>) {
        self.book().waiting.extend(events);
    }

    /// Changes what it signs by.
    pub fn change_hand(&self, change: impl FnOnce(&mut Hand)) {
        change(&mut self.hand.lock().unwrap());
    }

    /// How many events wait to be sent or are under way for the first time.
    pub fn left(&self) -> usize {
        let book = self.book();
        book.waiting.len() + book.under_way
    }

    /// From now on nothing is sent again.
    pub fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }

    /// The events that were answered with yes and have to be kept.
    pub fn taken(&self) -> BTreeSet<Name> {
        self.book().taken.clone()
    }

    /// How many those are.
    pub fn count_taken(&self) -> usize {
        self.book().in_order.len()
    }

    /// A few of those that were taken after the first `count`.
    pub fn taken_after(&self, count: usize) -> Vec<Name> {
        self.book().in_order.iter().skip(count).take(100).cloned().collect()
    }

    /// The hooks that were answered.
    pub fn hooks(&self) -> Vec<Envelope> {
        self.book().hooks.values().cloned().collect()
    }

    /// Since when it has heard no yes.
    pub fn last_yes(&self) -> Instant {
        self.book().last_yes
    }

    /// The longest time without a yes since this was last asked.
    pub fn longest_silence(&self) -> Duration {
        let mut book = self.book();
        let longest = book.longest_silence.max(book.last_yes.elapsed());
        book.longest_silence = Duration::ZERO;
        longest
    }

    /// How often what was answered, and what should not have been.
    pub fn answers(&self) -> (BTreeMap<String, usize>, Vec<String>) {
        let book = self.book();
        (book.answers.clone(), book.wrong.clone())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }
}
