//! Rows of the application's tables: the initial import, and later ones.

mod among_triggers;
mod command;
mod first_start;
mod healing;
mod logins;
mod payments;
mod same_counts;
mod traffic;

use memberflow::ops::backfill::tables::{self, Report};
use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild;
use memberflow::store::backfill::ImportScope;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::TestApp;

const MEMBER: Uuid = Uuid::from_u128(0xaaaa_aaaa_aaaa_4aaa_8aaa_aaaa_aaaa_aaaa);
const OTHER: Uuid = Uuid::from_u128(0xbbbb_bbbb_bbbb_4bbb_8bbb_bbbb_bbbb_bbbb);

/// Members who have signed up.
async fn populated() -> TestApp {
    let app = TestApp::begin().await;
    app.sign_up(MEMBER, "ada@example.com").await;
    app.sign_up(OTHER, "eve@example.com").await;
    app
}

async fn backfill(app: &TestApp) -> Report {
    tables::run(&app.store, &ImportScope::ALL, &mut Progress::Silent).await.unwrap()
}

/// A member's activity row.
async fn activity(app: &TestApp, member: Uuid) -> Value {
    let columns =
        "vision_count, journal_entry_count, s3_file_count, total_storage_mb, profile_completion_percent,
                   total_logins";
    let query = format!("select {columns} from public.user_activity_metrics where user_id = '{member}'");
    app.rows(&query).await.pop().unwrap_or_default()
}

/// The rows are what a count of the tables themselves says.
async fn assert_counted(app: &TestApp, when: &str) {
    let drift = app.rows(DIRECT_COUNT).await;
    assert_eq!(drift, [json!(null); 0], "{when}");
}

const DIRECT_COUNT: &str = "
    select u.id, m.vision_count, m.journal_entry_count, m.s3_file_count, m.total_storage_mb, c.*
    from auth.users u
    left join public.user_activity_metrics m on m.user_id = u.id
    cross join lateral (select
        (select count(*) from public.vision_versions v where v.user_id = u.id and not v.is_draft) as visions,
        (select count(*) from public.journal_entries j where j.user_id = u.id) as entries,
        (select count(*) from storage.objects o where o.owner_id = u.id::text) as files,
        (select round(coalesce(sum((o.metadata ->> 'size')::bigint), 0) / 1048576.0, 2)
         from storage.objects o where o.owner_id = u.id::text) as megabytes
    ) c
    where (m.vision_count, m.journal_entry_count, m.s3_file_count, m.total_storage_mb)
        is distinct from (c.visions, c.entries, c.files, c.megabytes)";

/// A rebuild from the events alone finds no difference.
async fn assert_sound(app: &TestApp, when: &str) {
    let mut differences = Vec::new();
    let show = |difference| {
        differences.push(difference);
        true
    };
    rebuild::run(&app.store, true, &mut Progress::Silent, show).await.unwrap();
    assert_eq!(differences, [], "{when}");
}
