//! Imports during changes recorded by triggers: everything counts once, even with events still pending.

use memberflow::ops::triggers;
use memberflow::project::supabase::ActivityTables;

use super::{MEMBER, OTHER, assert_counted, assert_sound, backfill, populated};
use crate::triggers::drained;

const ONE: &str = "11111111-1111-4111-8111-111111111111";
const TWO: &str = "22222222-2222-4222-8222-222222222222";

#[tokio::test]
async fn pending_changes_are_imported_once() {
    let statements = [
        format!(
            "insert into public.vision_versions (id, user_id, is_draft) values ('{ONE}', '{MEMBER}', false)"
        ),
        format!("update public.vision_versions set is_draft = true where id = '{ONE}'"),
        format!(
            "insert into public.vision_versions (id, user_id, is_draft) values ('{TWO}', '{MEMBER}', false)"
        ),
        format!("update public.vision_versions set is_draft = false, user_id = '{OTHER}' where id = '{ONE}'"),
        format!("delete from public.vision_versions where id = '{TWO}'"),
    ];
    for (applied_after, read_after) in [(0, 2), (0, 4), (1, 3), (2, 5)] {
        let when = format!("applied after {applied_after}, read after {read_after}");
        let app = populated().await;
        triggers::install(&app.database.pool, &ActivityTables::default()).await.unwrap();
        for (number, statement) in (1..).zip(&statements) {
            app.execute(statement).await;
            if number == applied_after {
                drained(&app).await;
            }
            if number == read_after {
                backfill(&app).await;
            }
        }
        drained(&app).await;
        assert_counted(&app, &when).await;
        backfill(&app).await;
        assert_counted(&app, &format!("{when}, and again")).await;
        assert_sound(&app, &when).await;
    }
}
