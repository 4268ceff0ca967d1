//! A member with an overdue urgent ticket needs attention until it is answered.

use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild;
use time::{Duration, OffsetDateTime};

use super::{ADA, open, reply, set_status};
use crate::support::app::{BEGIN, TestApp};

async fn health(app: &TestApp) -> String {
    let rows = app.rows("select health_status as h from public.user_activity_metrics").await;
    rows.first().map_or_else(|| "none".to_owned(), |row| row["h"].as_str().unwrap().to_owned())
}

fn hours(count: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(BEGIN).unwrap() + Duration::hours(count)
}

async fn differing(app: &TestApp, at: OffsetDateTime) -> i64 {
    let report = rebuild::run(&app.store_at(at), true, &mut Progress::Silent, |_| true).await.unwrap();
    report.differing_rows()
}

#[tokio::test]
async fn overdue_urgent_ticket_needs_attention() {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    let ticket = open(&app, 1).await;
    let due = async |count| app.store_at(hours(count)).recompute_due().await.unwrap();
    assert_eq!(due(48).await, 0, "not urgent");
    app.execute("update public.support_tickets set priority = 'urgent'").await;
    assert_eq!((due(23).await, due(25).await), (0, 1));
    assert_eq!(health(&app).await, "needs_attention");
    assert_eq!(
        (due(26).await, differing(&app, hours(26)).await),
        (0, 0),
        "noticed once, and rebuilt the same"
    );

    reply(&app, ticket, 27 * 3600, true).await;
    assert_eq!(due(28).await, 1);
    assert_eq!(health(&app).await, "healthy");
    reply(&app, ticket, 29 * 3600, false).await;
    assert_eq!((due(40).await, due(54).await), (0, 1), "waits again since the member's reply");
    set_status(&app, ticket, 55 * 3600, "closed").await;
    assert_eq!((due(56).await, health(&app).await.as_str()), (1, "healthy"));
    assert_eq!(differing(&app, hours(56)).await, 0);
}

#[tokio::test]
async fn manual_health_stays_despite_urgent_ticket() {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.execute(&format!(
        "insert into public.user_activity_metrics (user_id, health_status, health_status_is_manual)
         values ('{ADA}', 'healthy', true)"
    ))
    .await;
    open(&app, 1).await;
    app.execute("update public.support_tickets set priority = 'urgent'").await;
    assert_eq!(app.store.recompute_due().await.unwrap(), 1);
    assert_eq!(health(&app).await, "healthy");
}
