//! `GET /healthz`, `GET /readyz`, `GET /metrics`.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::Endpoints;
use super::enqueue::json_response;
use crate::http::problem::Problem;
use crate::http::readiness::Checked;

/// A result older than this is not trusted: the check has stopped, or the process is overloaded.
const STALE_AFTER: Duration = Duration::from_secs(30);
/// The cost of `/metrics`, in `/readyz` requests.
const METRICS_COST: usize = 40;

/// The process runs. Dependencies are not checked: a restart would not fix them.
pub(super) async fn alive() -> Response {
    json_response(r#"{"alive":true}"#)
}

/// The state of Postgres and, if configured, of the broker.
pub(super) async fn ready(State(endpoints): State<Endpoints>) -> Result<Response, Problem> {
    endpoints.throttle_ops(1).await;
    if endpoints.0.dependencies.lifecycle.stopping.is_cancelled() {
        return Err(unready("stopping", "Stopping", "the process is stopping: send requests to another one"));
    }
    let checked = endpoints.0.dependencies.readiness.last().await;
    let unchecked =
        || unready("dependency-unchecked", "Not checked", "no dependency was checked yet: ask again");
    let checked = checked.ok_or_else(unchecked)?;
    answer(&checked, checked.at.elapsed())
}

fn answer(checked: &Checked, age: Duration) -> Result<Response, Problem> {
    let age_s = age.as_millis() as f64 / 1000.0;
    let states = || checked.dependencies.iter();
    let dependencies: Map<String, Value> = states()
        .map(|(name, state)| ((*name).to_owned(), json!(if state.is_ok() { "up" } else { "down" })))
        .collect();
    let down: Vec<&str> = states().filter(|(_, state)| state.is_err()).map(|(name, _)| *name).collect();
    let problem = if age > STALE_AFTER {
        let detail =
            "the dependencies were not checked lately: the process is overloaded, restart it if that lasts";
        unready("dependency-unchecked", "Not checked", detail)
    } else if down.is_empty() {
        let document = json!({"ready": true, "checked_seconds_ago": age_s, "dependencies": dependencies});
        return Ok(json_response(document.to_string()));
    } else {
        let names = down.join(", ");
        let detail =
            format!("not to be reached: {names}. See what became of it, and its address in the settings");
        unready("dependency-down", "Not ready", detail)
    };
    Err(problem
        .with("ready", json!(false))
        .with("checked_seconds_ago", json!(age_s))
        .with("dependencies", Value::Object(dependencies)))
}

fn unready(kind: &'static str, title: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, kind, title, detail)
}

/// All metrics in the Prometheus text format.
pub(super) async fn metrics(State(endpoints): State<Endpoints>) -> impl IntoResponse {
    endpoints.throttle_ops(METRICS_COST).await;
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], endpoints.0.dependencies.metrics.render())
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn a_stale_result_is_not_ready() {
        let checked = Checked { at: Instant::now(), dependencies: vec![("postgres", Ok(()))] };
        let kind = |age| answer(&checked, age).map_or_else(|it| it.kind().to_owned(), |_| "ready".to_owned());
        assert_eq!(kind(Duration::from_secs(30)), "ready");
        assert_eq!(kind(Duration::from_secs(31)), "dependency-unchecked");
    }

    #[test]
    fn one_dependency_down_is_named() {
        let down = ("rabbitmq", Err("refused".into()));
        let checked = Checked { at: Instant::now(), dependencies: vec![down, ("postgres", Ok(()))] };
        let problem = answer(&checked, Duration::ZERO).unwrap_err();
        assert_eq!(problem.kind(), "dependency-down");
        assert!(problem.detail().contains("rabbitmq") && !problem.detail().contains("postgres"));
    }
}
