//! Jobs over HTTP: requested, followed, cancelled.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{ask, get, pages, read};
use crate::support::api::assert_problem;
use crate::support::app::TestApp;

#[tokio::test]
async fn job_is_requested_once_listed_and_cancelled() {
    let app = TestApp::begin().await;
    let request = async |order: Value| ask(&app, Method::POST, "/api/jobs", &order).await;
    let made = request(json!({"operation": "rebuild", "is_fix": true})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let fields = ["operation", "is_fix", "state", "requested_by", "attempts", "result"];
    assert_eq!(
        fields.map(|field| made.body[field].clone()),
        [json!("rebuild"), json!(true), json!("waiting"), json!("api"), json!(0), Value::Null]
    );
    let again = request(json!({"operation": "rebuild"})).await;
    assert_eq!((again.status, &again.body), (StatusCode::OK, &made.body), "the one that is there");
    assert_eq!(request(json!({"operation": "reconcile twilio"})).await.status, StatusCode::CREATED);
    let fix = request(json!({"operation": "reconcile twilio", "is_fix": true})).await;
    assert_problem(&fix, StatusCode::CONFLICT, "is waiting and only compares");
    assert_eq!(fix.body["type"], "urn:memberflow:problem:job-only-compares");

    let of_object = json!({"operation": "reconcile stripe", "object": "sub_1"});
    let made_of_object = request(of_object).await;
    let (status, object) = (made_of_object.status, &made_of_object.body["object"]);
    assert_eq!((status, object), (StatusCode::CREATED, &json!("sub_1")));
    let all = request(json!({"operation": "reconcile stripe"})).await;
    assert_problem(&all, StatusCode::CONFLICT, "is waiting and only about sub_1");
    assert_eq!(all.body["type"], "urn:memberflow:problem:job-of-another-object");

    let listed = pages(&app, "/api/jobs", 1, "jobs", "operation").await;
    assert_eq!(listed, [["reconcile stripe"], ["reconcile twilio"], ["rebuild"]]);
    let waiting = read(&app, "/api/jobs?operation=rebuild&state=waiting&count=true").await;
    assert_eq!(waiting["jobs"], json!([made.body]));
    assert_eq!(waiting["count"], json!({"rows": 1, "is_capped": false}));
    let job = format!("/api/jobs/{}", made.body["id"]);
    assert_eq!(read(&app, &job).await, made.body);

    let cancel = format!("{job}/cancel");
    let cancelled = ask(&app, Method::POST, &cancel, &Value::Null).await;
    assert_eq!((cancelled.status, &cancelled.body["state"]), (StatusCode::OK, &json!("cancelled")));
    assert_eq!(read(&app, &job).await, cancelled.body);
    let ended = ask(&app, Method::POST, &cancel, &Value::Null).await;
    assert_problem(&ended, StatusCode::CONFLICT, "is cancelled: only one that waits or runs");
    let acts = app.rows("select actor, act from ingest.audit_log order by id").await;
    let expected = ["jobs request", "jobs request", "jobs request", "jobs cancel"]
        .map(|act| json!({"actor": "api", "act": act}));
    assert_eq!(acts, expected);
}

#[tokio::test]
async fn wrong_requests_for_jobs_are_refused_with_what_to_do() {
    let app = TestApp::begin().await;
    let post = async |path: &str, body: Value| ask(&app, Method::POST, path, &body).await;
    for (operation, object) in [("rebuild", "sub_1"), ("reconcile stripe", "pi_1")] {
        let wrong = post("/api/jobs", json!({"operation": operation, "object": object})).await;
        assert_problem(&wrong, StatusCode::BAD_REQUEST, &format!("invalid object \"{object}\""));
    }
    let unknown = post("/api/jobs", json!({"operation": "backfill"})).await;
    assert_problem(&unknown, StatusCode::BAD_REQUEST, "expected one of `reconcile stripe`");
    let misspelt = post("/api/jobs", json!({"operation": "rebuild", "fix": true})).await;
    assert_problem(&misspelt, StatusCode::BAD_REQUEST, "unknown field `fix`");
    for path in ["/api/jobs/99", "/api/jobs/x", "/api/jobs/99999999999999999999"] {
        assert_problem(&get(&app, path).await, StatusCode::NOT_FOUND, "GET /api/jobs lists them");
        let cancelled = post(&format!("{path}/cancel"), Value::Null).await;
        assert_problem(&cancelled, StatusCode::NOT_FOUND, "there is no job");
    }
    let wrong = get(&app, "/api/jobs?state=gone").await;
    assert_problem(&wrong, StatusCode::BAD_REQUEST, "expected one of waiting");
    let wrong = get(&app, "/api/jobs?operation=prune").await;
    assert_problem(&wrong, StatusCode::BAD_REQUEST, "expected one of reconcile stripe");
    assert_problem(&get(&app, "/api/jobs?cursor=x").await, StatusCode::BAD_REQUEST, "invalid cursor");
    assert_eq!(app.rows("select from ingest.jobs").await, [] as [Value; 0]);
}
