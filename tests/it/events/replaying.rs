//! Replay against a receiver that checks every signature with the secrets it was given.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use memberflow::cli::replay::{error_code, exit_code};
use memberflow::clock::Clock;
use memberflow::envelope::{Parameters, Source};
use memberflow::ops::fixture::{self, FixtureEvent};
use memberflow::ops::progress::Progress;
use memberflow::ops::replay::{self, Options, ReplayError, Secrets, Summary};
use memberflow::verify::secrets::split_twilio;
use memberflow::verify::standard_webhooks::Headers;
use memberflow::verify::{
    StripeSecrets, SupabaseSecrets, TwilioTokens, Window, standard_webhooks, stripe, twilio,
};
use secrecy::SecretString;
use time::macros::datetime;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::support::receiver::{PUBLIC_URL, TWILIO_TOKENS};
use crate::support::servers::quiet_address;

const STRIPE_SECRET: &str = "whsec_replaying";
const SUPABASE_SECRET: &str = "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW: time::OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

/// What the receiver does with a delivery whose signature is right.
type Reply = fn(nth: usize, body: &str) -> Response;

struct Receiver {
    secrets: Secrets,
    reply: Reply,
    /// Every delivery rightly signed: path, `webhook-id`, body.
    taken: Mutex<Vec<(String, Option<String>, Bytes)>>,
}

impl Receiver {
    async fn start(reply: Reply) -> (String, Arc<Self>) {
        let receiver = Arc::new(Self { secrets: secrets(), reply, taken: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = axum::Router::new().fallback(receive).with_state(Arc::clone(&receiver));
        TaskTracker::new().spawn(async move { axum::serve(listener, routes).await });
        (url, receiver)
    }

    fn taken(&self) -> Vec<(String, Option<String>, Bytes)> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn bodies(&self) -> Vec<Bytes> {
        self.taken().into_iter().map(|(_, _, body)| body).collect()
    }
}

async fn receive(
    State(receiver): State<Arc<Receiver>>,
    uri: Uri,
    headers: HeaderMap,
    mut body: Bytes,
) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let window = Window { now: NOW, tolerance: Duration::from_secs(300) };
    let verified = match uri.path() {
        "/webhooks/stripe" => {
            stripe::verify(receiver.secrets.stripe.as_ref().unwrap(), header(stripe::HEADER), &body, window)
        }
        "/webhooks/twilio/messages" | "/webhooks/twilio/status" => {
            let url = format!("{PUBLIC_URL}{}", uri.path());
            let form = Parameters::from_form(&body).unwrap();
            let content = twilio::Content::Form(form.pairs());
            body = form.to_json();
            twilio::verify(receiver.secrets.twilio.as_ref().unwrap(), header(twilio::HEADER), &url, content)
        }
        "/webhooks/supabase/auth" | "/webhooks/supabase/database" => {
            let signed = Headers {
                id: header(standard_webhooks::ID),
                timestamp: header(standard_webhooks::TIMESTAMP),
                signature: header(standard_webhooks::SIGNATURE),
            };
            let secrets = receiver.secrets.supabase.as_ref().unwrap();
            standard_webhooks::verify(secrets, signed, &body, window).map(drop)
        }
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    if let Err(refusal) = verified {
        return problem(400, refusal.kind(), &refusal.to_string());
    }
    let nth = {
        let mut taken = receiver.taken.lock().unwrap();
        taken.push((uri.path().to_owned(), header("webhook-id").map(str::to_owned), body.clone()));
        taken.len()
    };
    (receiver.reply)(nth, std::str::from_utf8(&body).unwrap())
}

fn problem(status: u16, kind: &str, detail: &str) -> Response {
    let body = serde_json::json!({ "type": kind, "title": "t", "status": status, "detail": detail });
    (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response()
}

fn accept(_: usize, _: &str) -> Response {
    (StatusCode::OK, r#"{"received":true}"#).into_response()
}

fn secrets() -> Secrets {
    Secrets {
        stripe: StripeSecrets::new(&[SecretString::from(STRIPE_SECRET)]).unwrap(),
        hooks: SupabaseSecrets::new(&[SecretString::from(SUPABASE_SECRET)]).unwrap(),
        supabase: SupabaseSecrets::new(&[SecretString::from(SUPABASE_SECRET)]).unwrap(),
        twilio: TwilioTokens::new(&split_twilio(TWILIO_TOKENS)).unwrap(),
        public_url: Some(PUBLIC_URL.to_owned()),
    }
}

fn options(url: &str) -> Options {
    Options {
        url: url.to_owned(),
        shuffle: None,
        duplicate: 1.try_into().unwrap(),
        rate_per_s: None,
        concurrency: 4.try_into().unwrap(),
        shift_to: None,
        secrets: secrets(),
    }
}

fn fixture_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

async fn replayed(options: &Options, path: PathBuf) -> Result<Summary, ReplayError> {
    replay::replay(options, &[path], &Clock::fixed(NOW), &mut Progress::Silent).await
}

/// What the receiver has of it: of Twilio's forms what they say.
fn sent(event: &FixtureEvent) -> Bytes {
    match event.source {
        Source::Twilio => Parameters::from_json(&event.body).unwrap().to_json(),
        _ => event.body.clone(),
    }
}

fn counted(bodies: Vec<Bytes>) -> HashMap<Bytes, usize> {
    let mut counts = HashMap::new();
    bodies.into_iter().for_each(|body| *counts.entry(body).or_default() += 1);
    counts
}

#[tokio::test]
async fn fixtures_are_signed_and_posted_unchanged() {
    let (url, receiver) = Receiver::start(accept).await;
    let events: Vec<_> = fixture::events(&[fixture_path("")]).map(Result::unwrap).collect();
    // As a task of its own, as `dev` may run it.
    let task = TaskTracker::new().spawn(async move { replayed(&options(&url), fixture_path("")).await });
    let summary = task.await.unwrap().unwrap();
    assert_eq!((summary.accepted, summary.refused, summary.unreadable), (events.len() as u64, 0, 0));
    assert_eq!(exit_code(&summary), 0);
    assert_eq!(counted(receiver.bodies()), counted(events.iter().map(sent).collect()));
    for (path, id, body) in receiver.taken() {
        let event = events.iter().find(|event| sent(event) == body).unwrap();
        assert_eq!(Some(path.as_str()), fixture::endpoint(event.source, &event.event_id));
        if path == "/webhooks/supabase/database" {
            assert_eq!(id.as_ref(), Some(&event.event_id));
        }
    }
}

#[tokio::test]
async fn concurrency_one_keeps_the_order() {
    let (url, receiver) = Receiver::start(accept).await;
    let one = Options { concurrency: 1.try_into().unwrap(), ..options(&url) };
    replayed(&one, fixture_path("12-free-member")).await.unwrap();
    let expected: Vec<_> =
        fixture::events(&[fixture_path("12-free-member")]).map(|event| event.unwrap().body).collect();
    assert_eq!(receiver.bodies(), expected);
}

#[tokio::test]
async fn shuffle_and_duplicates_follow_the_options() {
    let (url, receiver) = Receiver::start(accept).await;
    let one = Options { concurrency: 1.try_into().unwrap(), ..options(&url) };
    let mixed = Options { shuffle: Some(11), duplicate: 3.try_into().unwrap(), ..one };
    let summary = replayed(&mixed, fixture_path("07-cancellation-with-refund")).await.unwrap();
    let first = receiver.bodies();
    replayed(&mixed, fixture_path("07-cancellation-with-refund")).await.unwrap();
    assert_eq!(summary.accepted, first.len() as u64);
    assert_eq!(receiver.bodies()[first.len()..], first, "the same seed, the same order");
    let events = fixture::events(&[fixture_path("07-cancellation-with-refund")]).count();
    let counts = counted(first);
    assert_eq!(counts.len(), events);
    assert!(counts.values().all(|count| *count == 3));
}

#[tokio::test]
async fn rejected_events_are_reported_and_skipped() {
    let (url, _receiver) = Receiver::start(|_, body| {
        if body.contains("\"invoice.paid\"") {
            problem(400, "https://example.com/problems/created-missing", "the field created is missing")
        } else {
            accept(0, body)
        }
    })
    .await;
    let summary = replayed(&options(&url), fixture_path("07-cancellation-with-refund")).await.unwrap();
    assert_eq!((summary.accepted, summary.refused), (22, 2));
    let refusal = summary.refusals.values().next().unwrap();
    assert_eq!((refusal.status, refusal.count), (400, 2));
    assert_eq!(refusal.kind, "https://example.com/problems/created-missing");
    assert_eq!(refusal.detail, "the field created is missing");
    assert!(refusal.example.ends_with("-invoice-paid.json"), "{}", refusal.example);
    assert_eq!(exit_code(&summary), 3);
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["refusals"][0]["count"], 2);
}

#[tokio::test]
async fn auth_hook_error_with_200_is_a_rejection() {
    let (url, _receiver) = Receiver::start(|_, _| {
        let body = r#"{"error":{"http_code":422,"message":"memberflow sends no SMS"}}"#;
        (StatusCode::OK, body).into_response()
    })
    .await;
    let summary = replayed(&options(&url), fixture_path("10-checkout-before-sign-up")).await.unwrap();
    assert!(summary.refusals.contains_key(&(422, "hook-error".to_owned())), "{summary}");
}

#[tokio::test]
async fn retry_after_is_respected() {
    let (url, receiver) = Receiver::start(|nth, body| match nth {
        1 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]).into_response(),
        2 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")]).into_response(),
        3 => (StatusCode::BAD_GATEWAY, [("retry-after", "0")]).into_response(),
        _ => accept(nth, body),
    })
    .await;
    let summary = replayed(&options(&url), fixture_path("11-guest-checkout")).await.unwrap();
    assert_eq!((summary.accepted, summary.refused), (3, 0));
    assert!(summary.accepted_after_waiting >= 1);
    assert_eq!(receiver.taken().len(), 6);
}

#[tokio::test]
async fn gives_up_after_a_bounded_number_of_attempts() {
    let (url, receiver) =
        Receiver::start(|_, _| (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]).into_response())
            .await;
    let summary = replayed(&options(&url), fixture_path("11-guest-checkout")).await.unwrap();
    assert_eq!((summary.accepted, summary.refused), (0, 3));
    assert_eq!(receiver.taken().len(), 15);
    assert!(summary.refusals.contains_key(&(503, "service unavailable".to_owned())), "{summary}");
}

#[tokio::test]
async fn wrong_secrets_are_rejected_as_mismatch() {
    let (url, receiver) = Receiver::start(accept).await;
    let stripe = StripeSecrets::new(&[SecretString::from("whsec_another_one")]).unwrap();
    let other = Options { secrets: Secrets { stripe, ..Secrets::default() }, ..options(&url) };
    let summary = replayed(&other, fixture_path("11-guest-checkout")).await.unwrap();
    assert_eq!(summary.refusals[&(400, "signature-mismatch".to_owned())].count, 3);
    assert!(receiver.taken().is_empty());
}

#[tokio::test]
async fn unreadable_fixtures_are_counted_rest_is_posted() {
    let (url, receiver) = Receiver::start(accept).await;
    let paths = [fixture_path("absent.json"), fixture_path("11-guest-checkout"), fixture_path("tiers.json")];
    let summary =
        replay::replay(&options(&url), &paths, &Clock::fixed(NOW), &mut Progress::Silent).await.unwrap();
    assert_eq!((summary.accepted, summary.unreadable), (3, 2));
    assert_eq!(receiver.taken().len(), 3);
    assert!(summary.unreadable_examples[0].contains("absent.json: cannot be read"), "{summary}");
    assert_eq!(exit_code(&summary), 3);
}

#[tokio::test]
async fn unreachable_service_aborts_the_replay() {
    let url = format!("http://{}", quiet_address());
    let error = replayed(&options(&url), fixture_path("11-guest-checkout")).await.unwrap_err();
    assert_eq!(error_code(&error), 7);
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn missing_secret_or_address_is_named() {
    let (url, _receiver) = Receiver::start(accept).await;
    let none = Options { secrets: Secrets::default(), ..options(&url) };
    let error = replayed(&none, fixture_path("12-free-member")).await.unwrap_err();
    assert!(error.to_string().contains("set SUPABASE_WEBHOOK_SECRETS"), "{error}");
    assert_eq!(error_code(&error), 2);
    for url in ["ftp://127.0.0.1", "not a url", ""] {
        let error = replayed(&options(url), fixture_path("12-free-member")).await.unwrap_err();
        assert_eq!(error_code(&error), 2, "{error}");
    }
}

#[tokio::test]
async fn a_base_path_is_kept() {
    let (url, receiver) = Receiver::start(accept).await;
    let summary = replayed(&options(&format!("{url}/")), fixture_path("11-guest-checkout")).await.unwrap();
    assert_eq!(summary.accepted, 3);
    let summary =
        replayed(&options(&format!("{url}/elsewhere/")), fixture_path("11-guest-checkout")).await.unwrap();
    assert_eq!(summary.refusals[&(404, "not found".to_owned())].count, 3);
    assert_eq!(receiver.taken().len(), 3);
}

#[tokio::test]
async fn delivery_rate_is_limited() {
    let (url, _receiver) = Receiver::start(accept).await;
    let slow = Options { rate_per_s: Some(20.0), ..options(&url) };
    let summary = replayed(&slow, fixture_path("11-guest-checkout")).await.unwrap();
    // Three deliveries begin at 0, 50 and 100 ms.
    assert!(summary.elapsed_s >= 0.1, "{summary}");
}

#[tokio::test]
async fn shifted_fixtures_end_now_with_valid_signatures() {
    let (url, receiver) = Receiver::start(accept).await;
    let shifted = Options { shift_to: Some(NOW), ..options(&url) };
    let summary = replayed(&shifted, fixture_path("")).await.unwrap();
    let scenarios = fixture::scenarios(&fixture_path("")).unwrap();
    let originals: Vec<_> = scenarios.iter().flat_map(|scenario| &scenario.events).collect();
    assert_eq!((summary.accepted, summary.refused), (originals.len() as u64, 0));

    let moved: Vec<_> =
        scenarios.iter().cloned().flat_map(|scenario| scenario.moved_to(NOW).events).collect();
    assert_eq!(counted(receiver.bodies()), counted(moved.iter().map(sent).collect()));
    let ids: Vec<_> = receiver.taken().into_iter().filter(|(path, ..)| path.ends_with("/database")).collect();
    for (_, id, body) in &ids {
        let event = moved.iter().find(|event| event.body == body).unwrap();
        assert_eq!(id.as_ref(), Some(&event.event_id));
        let original = originals.iter().find(|original| original.event_id == event.event_id).unwrap();
        assert_ne!(original.body, event.body, "named by the body that stands in the file");
    }
    assert!(!ids.is_empty());
}

#[tokio::test]
async fn shifted_loose_files_end_now_together() {
    let (url, receiver) = Receiver::start(accept).await;
    let folder = std::env::temp_dir().join(format!("mf-shift-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&folder).unwrap();
    let event = |id: &str, created: i64| {
        format!(
            r#"{{"id":"{id}","object":"event","type":"x.y","created":{created},"data":{{"object":{{}}}}}}"#
        )
    };
    std::fs::write(folder.join("a.ndjson"), format!("{}\n{}\n", event("e1", 1000), event("e2", 4000)))
        .unwrap();
    std::fs::write(folder.join("b.json"), event("e3", 2500)).unwrap();
    let shifted = Options { shift_to: Some(NOW), ..options(&url) };
    replayed(&shifted, folder.clone()).await.unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    let mut created: Vec<_> = receiver
        .bodies()
        .iter()
        .map(|body| serde_json::from_slice::<serde_json::Value>(body).unwrap()["created"].as_i64().unwrap())
        .collect();
    created.sort_unstable();
    let now = NOW.unix_timestamp();
    assert_eq!(created, [now - 3000, now - 1500, now]);
}

/// Regression test: the number of bytes was printed instead of the number of events.
#[tokio::test]
async fn progress_off_a_terminal_counts_events_not_bytes() {
    let (url, _receiver) = Receiver::start(accept).await;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_memberflow"));
    command.arg("replay").arg(fixture_path("")).args(["--url", &url, "--duplicate", "2"]).kill_on_drop(true);
    command.env("STRIPE_WEBHOOK_SECRETS", STRIPE_SECRET).env("SUPABASE_WEBHOOK_SECRETS", SUPABASE_SECRET);
    command.env("TWILIO_AUTH_TOKENS", TWILIO_TOKENS).env("MEMBERFLOW_PUBLIC_URL", PUBLIC_URL);
    let output = command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none").output().await.unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let events = 2 * fixture::events(&[fixture_path("")]).count();
    assert!(log.contains(&format!("replay: posting events, 0 of {events}\n")), "{log}");
}
