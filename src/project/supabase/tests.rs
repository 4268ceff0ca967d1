//! Arbitrary input is decoded or rejected, without a panic.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ActivityTables, auth_hook, row};

const ID: &str = "00000000-0000-4000-8000-0000000000aa";

/// Any small JSON with the field names that the readers use.
fn anything() -> impl Strategy<Value = Value> {
    let words = [
        "type",
        "schema",
        "table",
        "record",
        "old_record",
        "metadata",
        "name",
        "time",
        "claims",
        "session_id",
        "user_id",
        "user",
        "id",
        "owner_id",
        "size",
        "updated_at",
        "created_at",
        "email",
    ];
    let texts = vec![
        "INSERT",
        "UPDATE",
        "DELETE",
        "auth",
        "users",
        "sessions",
        "storage",
        "objects",
        "public",
        "user_profiles",
        "customize-access-token",
        "after-user-created",
        ID,
        "2026-01-02T03:04:05",
        "é-2+",
        "",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(texts).prop_map(Value::from),
        "\\PC{0,24}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        let key = proptest::sample::select(words.to_vec()).prop_map(str::to_owned);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..8).prop_map(|it| it.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_body_makes_a_reader_panic(body in anything()) {
        let body = body.to_string();
        let _ = auth_hook::decode(body.as_bytes());
        let _ = row::decode(body.as_bytes(), None, &ActivityTables::default());
    }

    #[test]
    fn no_row_of_a_known_table_makes_a_reader_panic(
        record in anything(), old_record in anything(), verb in 0..3_usize, table in 0..6_usize,
    ) {
        let verb = ["INSERT", "UPDATE", "DELETE"][verb];
        let (schema, table) = [
            ("auth", "users"), ("auth", "sessions"), ("storage", "objects"), ("public", "vision_versions"),
            ("public", "journal_entries"), ("public", "user_profiles"),
        ][table];
        let body = json!({"type": verb, "schema": schema, "table": table, "record": record, "old_record": old_record});
        let _ = row::decode(body.to_string().as_bytes(), None, &ActivityTables::default());
    }

    #[test]
    fn no_token_or_user_makes_a_reader_panic(claims in anything(), user in anything(), name in 0..2_usize) {
        let name = ["customize-access-token", "after-user-created"][name];
        let body = json!({"metadata": {"name": name, "time": user}, "user_id": ID, "claims": claims, "user": user});
        let _ = auth_hook::decode(body.to_string().as_bytes());
    }
}
