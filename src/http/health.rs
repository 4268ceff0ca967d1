//! `GET /healthz`, `GET /readyz`, `GET /metrics`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Map, Value, json};

use super::problem::Problem;
use super::readiness::{Checked, Readiness};
use super::throttle::{Rate, Throttle};
use crate::lifecycle::Lifecycle;

/// A result older than this is not trusted: the check has stopped, or the process is overloaded.
const STALE_AFTER: Duration = Duration::from_secs(30);
/// The cost of `/metrics`, in `/readyz` requests.
const METRICS_COST: usize = 40;

/// What the endpoints show. Cheap to clone.
#[derive(Clone)]
pub struct Health {
    readiness: Readiness,
    lifecycle: Lifecycle,
    metrics: PrometheusHandle,
    throttle: Arc<Throttle>,
}

impl Health {
    /// The state of one process.
    #[must_use]
    pub fn new(readiness: Readiness, lifecycle: Lifecycle, metrics: PrometheusHandle) -> Self {
        Self { readiness, lifecycle, metrics, throttle: Arc::new(Throttle::new(Rate::OPS)) }
    }

    /// Throttles an answer.
    async fn throttle(&self, cost: usize) {
        self.lifecycle.until_stopping(self.throttle.until_ready(cost)).await;
    }
}

/// `/healthz`, on the public listener.
pub fn alive() -> Router {
    Router::new().route("/healthz", get(show_alive))
}

/// Readiness and metrics, for operators and monitoring.
pub fn routes(health: Health) -> Router {
    Router::new().route("/readyz", get(show_ready)).route("/metrics", get(show_metrics)).with_state(health)
}

/// The process runs. Dependencies are not checked: a restart would not fix them.
async fn show_alive() -> Json<Value> {
    Json(json!({"alive": true}))
}

/// The state of Postgres and, if configured, of the broker.
async fn show_ready(State(health): State<Health>) -> Result<Json<Value>, Problem> {
    health.throttle(1).await;
    if health.lifecycle.stopping.is_cancelled() {
        return Err(unready("stopping", "Stopping", "the process is stopping: send requests to another one"));
    }
    let checked = health.readiness.last().await;
    let unchecked =
        || unready("dependency-unchecked", "Not checked", "no dependency was checked yet: ask again");
    let checked = checked.ok_or_else(unchecked)?;
    answer(&checked, checked.at.elapsed())
}

fn answer(checked: &Checked, age: Duration) -> Result<Json<Value>, Problem> {
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
        return Ok(Json(json!({"ready": true, "checked_seconds_ago": age_s, "dependencies": dependencies})));
    } else {
        let names = down.join(", ");
        let detail =
            format!("unreachable: {names}. Check that it runs and that its address in the settings is right");
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
async fn show_metrics(State(health): State<Health>) -> impl IntoResponse {
    health.throttle(METRICS_COST).await;
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], health.metrics.render())
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
