//! Slow, chunked, many or disconnecting clients; and shutdown with open connections.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use super::EVENT;
use crate::support::receiver::{
    TestReceiver, assert_problem, eventually, stall, stripe_signature, wait_for_stalled,
};

#[tokio::test]
async fn chunked_body_has_the_same_limit() {
    let receiver = TestReceiver::with(|config| config.body_limit_bytes = 2048).await;
    let chunked = async |body: &str| {
        let mut stream = connect(&receiver).await;
        let mut request = format!(
            "POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\nstripe-signature: {}\r\ntransfer-encoding: chunked\r\n\r\n",
            stripe_signature(body.as_bytes())
        )
        .into_bytes();
        for chunk in body.as_bytes().chunks(7) {
            request.extend(format!("{:x}\r\n", chunk.len()).bytes());
            request.extend([chunk, b"\r\n"].concat());
        }
        request.extend(b"0\r\n\r\n");
        stream.write_all(&request).await.unwrap();
        rest(&mut stream).await
    };
    let answer = chunked(EVENT).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(receiver.pending().await[0].body, EVENT.as_bytes());
    let answer = chunked(&" ".repeat(2049)).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body-too-large"), "{answer}");
}

#[tokio::test]
async fn one_source_at_its_limit_sheds_its_own_load_only() {
    let receiver = TestReceiver::with(|config| config.max_requests = 1).await;
    let lock = stall(&receiver.database.pool).await;
    let waiting = TaskTracker::new().spawn(receiver.stripe(EVENT).send());
    wait_for_stalled(&receiver.database.pool, 1).await;
    assert_problem(receiver.stripe(EVENT).send().await.unwrap(), 429, "overloaded").await;
    let other = receiver.post("/webhooks/supabase/auth", "{}").send().await.unwrap();
    assert_problem(other, 400, "signature-header-missing").await;
    lock.rollback().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    receiver.wait_for_pending(1).await;
    assert_eq!(receiver.stripe(EVENT).send().await.unwrap().status(), 200, "the place was given back");
}

/// A request as it goes over the wire.
fn wire(body: &str) -> String {
    format!(
        "POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nstripe-signature: {}\r\ncontent-length: {}\r\n\r\n{body}",
        stripe_signature(body.as_bytes()),
        body.len()
    )
}

async fn connect(receiver: &TestReceiver) -> TcpStream {
    TcpStream::connect(receiver.address).await.unwrap()
}

/// Everything the server sends until it closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap().ok();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn hang_up_does_not_cancel_the_event() {
    let receiver = TestReceiver::start().await;
    let lock = stall(&receiver.database.pool).await;
    let mut stream = connect(&receiver).await;
    stream.write_all(wire(EVENT).as_bytes()).await.unwrap();
    wait_for_stalled(&receiver.database.pool, 1).await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    eventually("the connection to be gone", async || (receiver.lifecycle.requests.len() == 2).then_some(()))
        .await;
    lock.rollback().await.unwrap();
    assert_eq!(receiver.wait_for_pending(1).await[0].body, EVENT.as_bytes());
}

#[tokio::test]
async fn slow_body_times_out_truncated_one_is_dropped() {
    let receiver = TestReceiver::with(|config| config.read_timeout = Duration::from_millis(200)).await;
    let request = wire(EVENT);
    let part = &request.as_bytes()[..request.len() - 5];
    let mut slow = connect(&receiver).await;
    slow.write_all(part).await.unwrap();
    let answer = rest(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body-too-slow"), "{answer}");
    let mut broken = connect(&receiver).await;
    broken.write_all(part).await.unwrap();
    broken.shutdown().await.unwrap();
    rest(&mut broken).await;
    assert!(receiver.pending().await.is_empty());
}

#[tokio::test]
async fn slow_headers_close_the_connection() {
    let receiver = TestReceiver::with(|config| config.read_timeout = Duration::from_millis(200)).await;
    for said in ["", "P", "POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\n"] {
        let mut slow = connect(&receiver).await;
        slow.write_all(said.as_bytes()).await.unwrap();
        let answer = rest(&mut slow).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{said:?}: {answer}");
    }
}

#[tokio::test]
async fn header_length_limit_is_exact() {
    let receiver = TestReceiver::start().await;
    let head = |line: &str, length: usize| {
        let rest = format!("{line}\r\nhost: x\r\nconnection: close\r\nx-padding: \r\n\r\n");
        rest.replace("padding: ", &format!("padding: {}", "x".repeat(length - rest.len())))
    };
    for (length, status) in [(64 * 1024, "HTTP/1.1 200"), (64 * 1024 + 1, "HTTP/1.1 431")] {
        let mut stream = connect(&receiver).await;
        let head = head("GET /healthz HTTP/1.1", length);
        // The server gives up at the limit; what it left unread would break the connection before its answer.
        stream.write_all(&head.as_bytes()[..length.min(64 * 1024)]).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with(status), "{length}: {answer}");
    }
    for (lines, status) in [(100, "HTTP/1.1 200"), (101, "HTTP/1.1 431")] {
        let mut stream = connect(&receiver).await;
        let more = "x: y\r\n".repeat(lines - 1);
        let head = format!("GET /healthz HTTP/1.1\r\nconnection: close\r\n{more}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with(status), "{lines}: {answer}");
    }
}

#[tokio::test]
async fn shutdown_finishes_requests_and_accepts_none() {
    let receiver = TestReceiver::start().await;
    let lock = stall(&receiver.database.pool).await;
    let mut stream = connect(&receiver).await;
    stream.write_all(wire(EVENT).as_bytes()).await.unwrap();
    wait_for_stalled(&receiver.database.pool, 1).await;
    receiver.lifecycle.stopping.cancel();
    eventually("the listener to close", async || TcpStream::connect(receiver.address).await.err()).await;
    lock.rollback().await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(receiver.lifecycle.shutdown(Duration::from_secs(10)).await, Ok(()));
    assert_eq!(receiver.pending().await.len(), 1);
}

#[tokio::test]
async fn shutdown_answers_throttled_requests_at_once() {
    let receiver = TestReceiver::start().await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(&receiver).await;
        let head = "POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    // Whoever came before it has been heard by then.
    assert_eq!(receiver.stripe(EVENT).send().await.unwrap().status(), 200);
    assert_eq!(receiver.lifecycle.shutdown(Duration::from_secs(2)).await, Ok(()));
    for mut stream in waiting {
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    }
}
