//! Table entries as written in the settings.

use serde_json::json;

use super::{ActivityTable, ActivityTables, Metric};

fn entry(text: &str) -> Option<ActivityTable> {
    text.parse().ok()
}

#[test]
fn entry_parses_with_optional_condition() {
    let plain = entry("public.tracks:author_id:audio_generated_count").expect("an entry");
    assert_eq!((plain.relation.as_str(), plain.owner.as_str()), ("public.tracks", "author_id"));
    assert_eq!((plain.metric, plain.condition.is_none()), (Metric::AudioTracks, true));
    let some = entry(" crm.images:user_id:vision_board_image_count:status!=a:b ").expect("an entry");
    let condition = some.condition.expect("a condition");
    assert_eq!((condition.column.as_str(), condition.value.as_str(), condition.is), ("status", "a:b", false));
}

#[test]
fn invalid_entry_is_rejected() {
    for text in [
        "",
        "tracks:user_id:vision_count",
        "public.tracks:user_id",
        "public.tracks:user_id:total_logins",
        "public.tracks:user.id:vision_count",
        "public.a.b:user_id:vision_count",
        "public.tracks:user id:vision_count",
        "public.tracks:user_id:vision_count:is_draft",
        "public.tracks:user_id:vision_count:is draft=true",
        "auth.identities:user_id:vision_count",
        "storage.objects:owner_id:vision_board_image_count",
        "public.user_profiles:user_id:vision_count",
    ] {
        assert_eq!(entry(text), None, "{text}");
    }
}

#[test]
fn condition_compares_values_as_text() {
    let counts = |condition: &str, row| {
        entry(&format!("public.t:user_id:vision_count:{condition}")).expect("an entry").counts(&row)
    };
    assert!(counts("status=ready", json!({"status": "ready"})));
    assert!(!counts("status=ready", json!({"status": null})));
    assert!(!counts("status=ready", json!({})));
    assert!(counts("status!=ready", json!({})));
    assert!(counts("done=true", json!({"done": true})));
    assert!(counts("kind=7", json!({"kind": 7})));
    assert!(!counts("is_draft!=true", json!({"is_draft": true})));
    assert!(counts("is_draft!=true", json!({"is_draft": null})));
}

#[test]
fn entry_replaces_that_of_the_same_table() {
    let tables = ActivityTables::default();
    assert!(tables.feed(Metric::Visions) && !tables.feed(Metric::BoardImages));
    let other = entry("public.journal_entries:author_id:journal_entry_count").expect("an entry");
    let more = entry("public.images:user_id:vision_board_image_count").expect("an entry");
    let tables = tables.with(other.clone()).with(more);
    assert_eq!(tables.of("public.journal_entries"), Some(&other));
    assert!(tables.feed(Metric::BoardImages));
    assert_eq!(tables.iter().count(), 3);
}
