//! `GET /healthz`, `GET /readyz`, `GET /metrics`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::Receive;
use super::keep::json_response;
use super::problem::Problem;

/// The process runs. Nothing else is asked: a restart heals nothing but the process.
pub(super) async fn alive() -> Response {
    json_response(r#"{"alive":true}"#)
}

/// Whether Postgres and, where there is one, the broker are there, each by its name.
pub(super) async fn ready(State(receive): State<Receive>) -> Result<Response, Problem> {
    if receive.0.rests.lifecycle.stopping.is_cancelled() {
        let detail = "the process is stopping: send requests to another one";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "Stopping", detail));
    }
    let looks = receive.0.rests.queue.health().await;
    let down: Vec<&str> = looks.iter().filter(|(_, look)| look.is_err()).map(|(name, _)| *name).collect();
    let dependencies: Map<String, Value> =
        looks.iter().map(|(name, look)| ((*name).to_owned(), state(look))).collect();
    if down.is_empty() {
        return Ok(json_response(json!({"ready": true, "dependencies": dependencies}).to_string()));
    }
    let detail = format!(
        "not to be reached: {}. See what became of it, and its address in the settings",
        down.join(", ")
    );
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "dependency-down", "Not ready", detail);
    Err(problem.with("ready", json!(false)).with("dependencies", Value::Object(dependencies)))
}

/// Everything counted, in Prometheus' text form.
pub(super) async fn metrics(State(receive): State<Receive>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], receive.0.rests.metrics.render())
}

/// Up or down for all to see; why is for the log.
fn state(look: &Result<(), String>) -> Value {
    match look {
        Ok(()) => json!("up"),
        Err(fault) => {
            tracing::warn!(%fault, "dependency down");
            json!("down")
        }
    }
}
