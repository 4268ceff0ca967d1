//! Repeated imports: what events missed is found, and what they reported stays.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{MEMBER, OTHER, activity, assert_counted, assert_sound, backfill, populated};
use crate::support::app::{TestApp, row};
use crate::support::dump;

const ENTRY: Uuid = Uuid::from_u128(2);

/// Started on empty tables.
async fn switched_on() -> TestApp {
    let app = populated().await;
    app.store.initial_import().await.unwrap();
    app
}

fn entry(owner: Uuid) -> Value {
    json!({"id": ENTRY, "user_id": owner})
}

async fn entries(app: &TestApp) -> [Value; 2] {
    [activity(app, MEMBER).await, activity(app, OTHER).await].map(|row| row["journal_entry_count"].clone())
}

#[tokio::test]
async fn unreported_rows_and_deletions_are_imported() {
    let app = switched_on().await;
    for count in 1..=3 {
        app.execute(&format!(
            "insert into public.vision_versions (user_id, updated_at) values ('{MEMBER}', '2026-11-0{count}')"
        ))
        .await;
        app.execute(&format!(
            "insert into storage.objects (owner_id, metadata) values ('{OTHER}', '{{\"size\": 1048576}}')"
        ))
        .await;
    }
    let report = backfill(&app).await;
    assert_eq!((report.imported["visions"], report.imported["files"], report.imported["members"]), (3, 3, 2));
    assert_counted(&app, "found").await;
    assert_sound(&app, "found").await;

    app.execute("update public.vision_versions set is_draft = true, updated_at = '2026-11-09' where updated_at = '2026-11-01'").await;
    app.execute("delete from public.vision_versions where updated_at = '2026-11-02'").await;
    app.execute("delete from storage.objects").await;
    let report = backfill(&app).await;
    assert_eq!(
        (report.imported["visions"], report.imported["visions gone"], report.imported["files gone"]),
        (1, 1, 3)
    );
    assert_eq!(activity(&app, MEMBER).await["vision_count"], 1);
    assert_counted(&app, "deleted").await;
    assert_sound(&app, "deleted").await;
}

#[tokio::test]
async fn second_backfill_changes_nothing() {
    let app = switched_on().await;
    app.execute(&format!("insert into public.journal_entries (user_id) values ('{MEMBER}')")).await;
    app.execute(&format!("update auth.users set last_sign_in_at = '2026-11-01' where id = '{MEMBER}'")).await;
    backfill(&app).await;
    let before = dump::everything(&app.database.pool).await;
    let events = app.rows("select count(*) from ingest.inbox").await;
    let report = backfill(&app).await;
    assert!(report.imported.values().all(|found| *found == 0), "{report:?}");
    assert_eq!(app.rows("select count(*) from ingest.inbox").await, events);
    dump::assert_same(&before, &dump::everything(&app.database.pool).await, "read again");
}

/// The table has no timestamps: only the chain of changes shows which is the last.
#[tokio::test]
async fn lost_change_is_corrected_before_later_ones() {
    let app = switched_on().await;
    app.execute("alter table public.journal_entries drop column updated_at").await;
    app.execute(&format!("insert into public.journal_entries (id, user_id) values ('{ENTRY}', '{OTHER}')"))
        .await;
    app.apply([row("msg_1", "INSERT", "public.journal_entries", entry(MEMBER), json!(null))]).await;
    assert_eq!(entries(&app).await, [json!(1), json!(0)], "the change of owner was lost");

    let report = backfill(&app).await;
    assert_eq!(report.imported["journal entries"], 1);
    assert_eq!(entries(&app).await, [json!(0), json!(1)]);
    assert_eq!(backfill(&app).await.imported["journal entries"], 0);
    assert_sound(&app, "corrected").await;

    app.apply([row("msg_2", "UPDATE", "public.journal_entries", entry(OTHER), entry(MEMBER))]).await;
    assert_eq!(entries(&app).await, [json!(0), json!(1)], "it was only late");
    app.apply([row("msg_3", "UPDATE", "public.journal_entries", entry(MEMBER), entry(OTHER))]).await;
    assert_eq!(entries(&app).await, [json!(1), json!(0)], "reported after that");
    assert_sound(&app, "reported after that").await;
}

/// The events were only late, and there were two: what was corrected meanwhile is not a third change.
#[tokio::test]
async fn correction_is_dropped_when_its_events_arrive() {
    let app = switched_on().await;
    app.execute("alter table public.journal_entries drop column updated_at").await;
    app.execute(&format!("insert into public.journal_entries (id, user_id) values ('{ENTRY}', '{OTHER}')"))
        .await;
    let unread = |owner: Uuid, title: &str| json!({"id": ENTRY, "user_id": owner, "title": title});
    let step = |id: &str, from: Value, to: Value| row(id, "UPDATE", "public.journal_entries", to, from);
    let (first, second, third) = (unread(MEMBER, "a"), unread(MEMBER, "b"), unread(OTHER, "b"));
    app.execute("update public.journal_entries set title = 'b'").await;
    app.apply([row("msg_1", "INSERT", "public.journal_entries", first.clone(), json!(null))]).await;
    assert_eq!(backfill(&app).await.imported["journal entries"], 1);
    assert_eq!(entries(&app).await, [json!(0), json!(1)], "corrected");
    app.apply([step("msg_3", second.clone(), third.clone())]).await;
    app.apply([step("msg_2", first.clone(), second)]).await;
    assert_eq!(entries(&app).await, [json!(0), json!(1)], "reported late");
    app.apply([step("msg_4", third, first)]).await;
    assert_eq!(entries(&app).await, [json!(1), json!(0)], "and back again");
    assert_sound(&app, "and back again").await;
}

#[tokio::test]
async fn event_of_same_moment_supersedes_import() {
    let app = populated().await;
    app.execute("alter table public.journal_entries drop column updated_at").await;
    app.execute(&format!("insert into public.journal_entries (id, user_id) values ('{ENTRY}', '{MEMBER}')"))
        .await;
    app.store.initial_import().await.unwrap();
    app.execute(&format!("update public.journal_entries set user_id = '{OTHER}'")).await;
    assert_eq!(backfill(&app).await.imported["journal entries"], 1, "otherwise than it was found");
    assert_eq!(entries(&app).await, [json!(0), json!(1)]);
    app.execute(&format!("update public.journal_entries set user_id = '{MEMBER}'")).await;
    app.apply([row("msg_1", "UPDATE", "public.journal_entries", entry(MEMBER), entry(OTHER))]).await;
    assert_eq!(entries(&app).await, [json!(1), json!(0)]);
    assert_eq!(backfill(&app).await.imported["journal entries"], 0);
    app.apply([row("msg_2", "DELETE", "public.journal_entries", json!(null), entry(MEMBER))]).await;
    assert_eq!(entries(&app).await, [json!(0), json!(0)]);
    let report = backfill(&app).await;
    assert_eq!(entries(&app).await, [json!(0), json!(0)]);
    let limitation = &report.limitations[0];
    assert_eq!(limitation.count, Some(1));
    assert_eq!(
        limitation.what,
        "rows of public.journal_entries exist although events reported their deletion: they do not count"
    );
    assert_sound(&app, "reported").await;
}

#[tokio::test]
async fn missing_table_is_not_treated_as_empty() {
    let app = populated().await;
    app.execute(&format!("insert into public.journal_entries (user_id) values ('{MEMBER}')")).await;
    app.store.initial_import().await.unwrap();
    app.execute("drop table auth.audit_log_entries").await;
    app.execute("alter table public.journal_entries rename to elsewhere").await;
    let report = backfill(&app).await;
    assert_eq!(activity(&app, MEMBER).await["journal_entry_count"], 1);
    let limitations: Vec<&str> =
        report.limitations.iter().map(|limitation| limitation.what.as_str()).collect();
    assert_eq!(
        limitations,
        [
            "auth.audit_log_entries is not there or may not be read: total_logins is a lower bound, since sessions are deleted at logout",
            "public.journal_entries is not there or may not be read: its journal entries are not counted",
        ]
    );
}

#[tokio::test]
async fn unreported_user_deletions_keep_their_customers() {
    let app = switched_on().await;
    app.name_tier("Pro", "price_pro").await;
    let mut named = crate::support::app::subscription("sub_1", "cus_1", "active");
    named["metadata"]["user_id"] = json!(OTHER);
    app.execute(&format!("delete from auth.users where id = '{OTHER}'")).await;
    let report = backfill(&app).await;
    assert_eq!(report.imported["users gone"], 1);
    app.apply([
        crate::support::app::stripe(
            "evt_1",
            "customer.created",
            0,
            crate::support::app::customer("cus_1", "ada@example.com"),
        ),
        crate::support::app::stripe("evt_2", "customer.subscription.created", 1, named),
    ])
    .await;
    assert_eq!(app.parked().await, ["cus_1 user_gone"]);
    assert_sound(&app, "deleted").await;
}
