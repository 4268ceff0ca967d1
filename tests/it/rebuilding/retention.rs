//! `MEMBERFLOW_RETENTION_DAYS`: a consumer removes the bodies that are older as soon as it starts, and of several
//! consumers one does.

use super::PopulatedApp;
use crate::support::process::{Serving, Settings};
use crate::support::receiver::eventually;

/// Makes one event in two older than they are kept here.
const AGE: &str = "update ingest.inbox set applied_at = now() - make_interval(days => 35 + 2 * (abs(hashtext(event_id)) % 2))";
/// Events from outside that are old, and those that are not.
const OLD: &str = "select source, event_id from ingest.inbox
    where source <> 'internal' and applied_at < now() - interval '36 days'";
const YOUNG: &str = "select source, event_id, md5(body) from ingest.inbox
    where source <> 'internal' and applied_at > now() - interval '36 days'";
const PRUNED: &str = "select source, event_id from ingest.inbox
    where source <> 'internal' and pruned_at is not null and body = ''";
const ACTS: &str = "select count(*) from ingest.audit_log where act = 'prune'";

/// Holds whoever prunes for as long as the test holds its lock.
const TRAP: &str = "
    create function ingest.trap() returns trigger language plpgsql as $$
    begin perform pg_advisory_xact_lock(77); return new; end $$;
    create trigger trap before update on ingest.inbox for each row execute function ingest.trap()";

#[tokio::test(flavor = "multi_thread")]
async fn starting_consumer_prunes_old_bodies() {
    let populated = PopulatedApp::lived(1).await;
    populated.execute(AGE).await;
    let (old, young) = (populated.text(OLD).await, populated.text(YOUNG).await);
    assert!(!old.is_empty() && !young.is_empty());

    let _consumer = start(&populated);
    eventually("the act of pruning", async || (populated.text(ACTS).await == "(1)").then_some(())).await;
    assert_eq!(populated.text(PRUNED).await, old);
    assert_eq!(populated.text(YOUNG).await, young, "what is younger stays as it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_of_two_consumers_prunes() {
    let populated = PopulatedApp::lived(1).await;
    populated.execute(AGE).await;
    populated.execute(TRAP).await;
    let old = populated.text(OLD).await;
    let mut hold = memberflow::database::begin(&populated.database.pool).await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(77)").execute(&mut *hold).await.unwrap();

    let _one = start(&populated);
    let held =
        "select 1 from pg_stat_activity where datname = current_database() and wait_event = 'advisory'";
    eventually("one that prunes", async || (!populated.text(held).await.is_empty()).then_some(())).await;
    let other = start(&populated);
    eventually("one that waits", async || other.log().contains("another process is running").then_some(()))
        .await;
    assert_eq!(populated.text(PRUNED).await, "");

    hold.rollback().await.unwrap();
    eventually("the act of pruning", async || (populated.text(ACTS).await == "(1)").then_some(())).await;
    assert_eq!(populated.text(PRUNED).await, old);
}

fn start(populated: &PopulatedApp) -> Serving {
    let settings: Settings =
        vec![("DATABASE_URL", populated.database.url()), ("MEMBERFLOW_RETENTION_DAYS", "36".to_owned())];
    Serving::roles("consume", &settings)
}
