//! A provider that posts signed events and remembers which were acknowledged.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use memberflow::clock::Clock;
use memberflow::envelope::Source;
use memberflow::ops::fixture::{self, FixtureEvent};
use reqwest::{RequestBuilder, Response};

use crate::support::receiver::{STRIPE_SECRETS, SUPABASE_SECRETS, eventually};
use crate::support::signing::Keys;

/// Posts to one address.
pub struct Sender {
    client: reqwest::Client,
    url: String,
    clock: Clock,
    taken: Mutex<BTreeSet<String>>,
    acknowledged: AtomicUsize,
}

impl Sender {
    pub fn to(url: impl Into<String>) -> Self {
        Self::with_clock(url, Clock::System)
    }

    /// A provider that signs by `clock`.
    pub fn with_clock(url: impl Into<String>, clock: Clock) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        Self { client, url: url.into(), clock, taken: Mutex::default(), acknowledged: AtomicUsize::new(0) }
    }

    fn request(&self, event: &FixtureEvent) -> RequestBuilder {
        let request = self.client.post(format!(
            "{}{}",
            self.url,
            fixture::endpoint(event.source, &event.event_id).unwrap()
        ));
        let keys = Keys { stripe: STRIPE_SECRETS, supabase: SUPABASE_SECRETS };
        // What reports a row has no id of its own but the delivery's.
        let id = fixture::name_by_hash(&event.body);
        keys.sign(request, event.source, &id, event.body.clone(), self.clock.now())
    }

    /// Posts `event` once. A yes is remembered, unless it is an Auth Hook's, which is always yes.
    pub async fn post(&self, event: &FixtureEvent) -> Result<Response, reqwest::Error> {
        let response = self.request(event).send().await?;
        if response.status().is_success() {
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        if response.status().is_success() && event.source != Source::SupabaseAuth {
            self.taken.lock().unwrap().insert(event.event_id.clone());
        }
        Ok(response)
    }

    /// Posts each of `events` once, a few at a time, whatever comes of it.
    pub async fn post_all(&self, events: &[FixtureEvent], lanes: usize, pause: Duration) {
        let next = AtomicUsize::new(0);
        let lanes = (0..lanes).map(async |_| {
            while let Some(event) = events.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.post(event).await.ok();
                tokio::time::sleep(pause).await;
            }
        });
        join_all(lanes).await;
    }

    /// Posts all of `events` in rounds until `work` is done, and the round that has begun by then.
    pub async fn post_during<T>(
        &self,
        events: &[FixtureEvent],
        (lanes, pause): (usize, Duration),
        work: impl Future<Output = T>,
    ) -> T {
        let is_done = AtomicBool::new(false);
        let posting = async {
            while !is_done.load(Ordering::Relaxed) {
                self.post_all(events, lanes, pause).await;
            }
        };
        let working = async {
            let done = work.await;
            is_done.store(true, Ordering::Relaxed);
            done
        };
        tokio::join!(working, posting).0
    }

    /// Waits until `count` more posts have been acknowledged.
    pub async fn acknowledges(&self, count: usize) {
        let wanted = self.acknowledged.load(Ordering::Relaxed) + count;
        let is_reached = || self.acknowledged.load(Ordering::Relaxed) >= wanted;
        eventually("acknowledgements", async || is_reached().then_some(())).await;
    }

    /// Posts each of `events`, all of which must be taken.
    pub async fn deliver(&self, events: &[FixtureEvent], lanes: usize) {
        let next = AtomicUsize::new(0);
        let lanes = (0..lanes).map(async |_| {
            while let Some(event) = events.get(next.fetch_add(1, Ordering::Relaxed)) {
                let response = self.post(event).await.unwrap();
                assert_eq!(response.status(), 200, "{}", event.origin);
            }
        });
        join_all(lanes).await;
    }

    /// The acknowledged events.
    pub fn taken(&self) -> BTreeSet<String> {
        self.taken.lock().unwrap().clone()
    }
}
