//! Signature verification at the real endpoints and command line, against forgeries and other
//! implementations' signatures.

mod peer;
mod signing_in_sql;

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::receiver::{
    NOW, STRIPE_SECRETS, SUPABASE_SECRETS, TestReceiver, assert_problem, stripe_signature, supabase_signature,
};

const EVENT: &str = r#"{"id":"evt_1","object":"event","type":"invoice.paid","created":1764158399}"#;
const HOOK: &str = r#"{"metadata":{"uuid":"u-1","time":"2025-11-26T11:59:59Z","name":"after-user-created"}}"#;
const ROW: &str = r#"{"type":"INSERT","schema":"public","table":"t","record":null,"old_record":null}"#;

#[tokio::test]
async fn invalid_stripe_signatures_are_rejected_with_reason() {
    let receiver = TestReceiver::start().await;
    let good = stripe_signature(EVENT.as_bytes());
    let now = NOW.unix_timestamp();
    let (_, macs) = good.split_once(',').unwrap();
    let decoy = "0".repeat(64);
    let unsigned = receiver.post("/webhooks/stripe", EVENT).send().await.unwrap();
    assert_problem(unsigned, 400, "signature-header-missing").await;
    for (signature, body, kind) in [
        (String::new(), EVENT, "signature-header-missing"),
        ("nonsense".to_owned(), EVENT, "signature-header-malformed"),
        (macs.to_owned(), EVENT, "signature-header-malformed"),
        (format!("t=now,{macs}"), EVENT, "signature-timestamp-invalid"),
        (format!("t={now}"), EVENT, "signature-absent"),
        (good.replace("v1=", "v0="), EVENT, "signature-absent"),
        (format!("t={now},v1={decoy}"), EVENT, "signature-mismatch"),
        (format!("t={},{macs}", now + 1), EVENT, "signature-mismatch"),
        (good.clone(), r#"{"id":"evt_2"}"#, "signature-mismatch"),
        (good.clone(), "", "signature-mismatch"),
    ] {
        let request = receiver.post("/webhooks/stripe", body).header("stripe-signature", signature);
        assert_problem(request.send().await.unwrap(), 400, kind).await;
    }
    assert!(receiver.pending().await.is_empty());
}

#[tokio::test]
async fn invalid_supabase_signatures_are_rejected() {
    let receiver = TestReceiver::start().await;
    for (what, body) in [("auth", HOOK), ("database", ROW)] {
        let good = supabase_signature("msg_1", body.as_bytes());
        let (id, timestamp, signature) = (good.id.as_str(), good.timestamp.as_str(), good.signature.as_str());
        let v2 = signature.replace("v1,", "v2,");
        for (id, timestamp, signature, kind) in [
            ("", timestamp, signature, "signature-header-missing"),
            (id, "", signature, "signature-header-missing"),
            (id, timestamp, "", "signature-header-missing"),
            (id, "yesterday", signature, "signature-timestamp-invalid"),
            (id, timestamp, "v1,", "signature-absent"),
            (id, timestamp, v2.as_str(), "signature-absent"),
            (id, timestamp, "v1,AAAA", "signature-mismatch"),
            ("msg_2", timestamp, signature, "signature-mismatch"),
        ] {
            let mut request = receiver.post(&format!("/webhooks/supabase/{what}"), body);
            for (name, value) in
                [("webhook-id", id), ("webhook-timestamp", timestamp), ("webhook-signature", signature)]
            {
                if !value.is_empty() {
                    request = request.header(name, value);
                }
            }
            assert_problem(request.send().await.unwrap(), 400, kind).await;
        }
    }
    assert!(receiver.pending().await.is_empty());
}

#[tokio::test]
async fn old_and_early_signatures_are_rejected() {
    let strict = TestReceiver::start().await;
    let lax = TestReceiver::with(|config| config.webhook_tolerance = std::time::Duration::ZERO).await;
    let now = NOW.unix_timestamp();
    for (timestamp_s, kind) in [
        (now - 301, Some("signature-too-old")),
        (now - 300, None),
        (now + 300, None),
        (now + 301, Some("signature-too-new")),
    ] {
        let stripe = memberflow_sign("stripe", timestamp_s, EVENT);
        let supabase = memberflow_sign("supabase", timestamp_s, ROW);
        for receiver in [&strict, &lax] {
            let refused = kind.filter(|_| std::ptr::eq(receiver, &raw const strict));
            for (path, headers, body) in [("stripe", &stripe, EVENT), ("supabase/database", &supabase, ROW)] {
                let mut request = receiver.post(&format!("/webhooks/{path}"), body);
                for (name, value) in headers {
                    request = request.header(name, value);
                }
                let response = request.send().await.unwrap();
                match refused {
                    Some(kind) => drop(assert_problem(response, 400, kind).await),
                    None => assert_eq!(response.status(), 200, "{path} at {timestamp_s}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn several_secrets_and_signature_lists_are_accepted() {
    let receiver = TestReceiver::start().await;
    let stripe = stripe_signature(EVENT.as_bytes());
    let parts: Vec<&str> = stripe.split(',').collect();
    assert_eq!(parts.len(), 3, "a timestamp and one signature per secret");
    for mac in &parts[1..] {
        let request = receiver
            .post("/webhooks/stripe", EVENT)
            .header("stripe-signature", format!("{},{mac}", parts[0]));
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    let signed = supabase_signature("msg_1", HOOK.as_bytes());
    let (one, other) = signed.signature.split_once(' ').unwrap();
    let decoy = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for signature in [
        one.to_owned(),
        other.to_owned(),
        format!("{one}, {other}"),
        format!("{decoy}, {other}"),
        format!("{decoy} {one}"),
    ] {
        let request = receiver
            .post("/webhooks/supabase/auth", HOOK)
            .header("webhook-id", &signed.id)
            .header("webhook-timestamp", &signed.timestamp)
            .header("webhook-signature", &signature);
        assert_eq!(request.send().await.unwrap().status(), 200, "{signature}");
    }
}

#[test]
fn sign_reads_stdin_and_generates_an_id() {
    let ended = memberflow(&["sign", "supabase", "--file", "-"], EVENT);
    let printed = String::from_utf8(ended.stdout).unwrap();
    assert!(printed.starts_with("webhook-id: msg_"), "{printed}");
    assert_eq!(printed.lines().count(), 3);
}

#[test]
fn sign_without_a_secret_names_the_variable() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memberflow"));
    let ended = command.env_clear().args(["sign", "stripe", "--file", "/dev/null"]).output().unwrap();
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8(ended.stderr).unwrap().contains("STRIPE_WEBHOOK_SECRETS"));
}

/// The headers that `memberflow sign` prints for `body`.
fn memberflow_sign(provider: &str, timestamp_s: i64, body: &str) -> Vec<(String, String)> {
    let timestamp = timestamp_s.to_string();
    let arguments = ["sign", provider, "--json", "--file", "-", "--timestamp", &timestamp];
    let ended = memberflow(&arguments, body);
    let headers: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let pair = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap().to_owned());
    headers.as_object().unwrap().iter().map(pair).collect()
}

fn memberflow(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_memberflow"))
        .args(arguments)
        .env_clear()
        .env("STRIPE_WEBHOOK_SECRETS", STRIPE_SECRETS)
        .env("SUPABASE_WEBHOOK_SECRETS", SUPABASE_SECRETS)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success());
    ended
}
