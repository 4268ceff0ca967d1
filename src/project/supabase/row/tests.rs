//! Database Webhooks as `pg_net` sends them.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::{Uuid, uuid};

use super::{Row, TriggerChange};
use crate::envelope::{Envelope, Source};
use crate::project::internal::LoginEvidence;
use crate::project::order::ChangeKind;
use crate::project::payload::{Login, Report, UserReport};
use crate::project::supabase::{ActivityTables, columns, field, reduced};
use crate::project::{DecodeError, Payload};

const USER: Uuid = uuid!("8ccaa7af-909f-44e7-84cb-67cdccb56be6");
const OTHER: Uuid = uuid!("8ccaa7af-909f-44e7-84cb-67cdccb56be7");
const ID: &str = "00000000-0000-4000-8000-0000000000aa";

fn decode(body: Value) -> Result<Payload, DecodeError> {
    super::decode(body.to_string().as_bytes(), None, &ActivityTables::default())
}

/// The fingerprint of a whole row.
fn state(row: &Value) -> Value {
    columns::fingerprint(&row.to_string(), None).map_or(Value::Null, Value::String)
}

fn change(verb: &str, relation: &str, record: &Value, old_record: &Value) -> Value {
    let (schema, table) = relation.split_once('.').expect("schema.table");
    json!({"type": verb, "table": table, "schema": schema, "record": record, "old_record": old_record})
}

fn report(verb: &str, relation: &str, record: &Value, old_record: &Value) -> Report<Row> {
    match decode(change(verb, relation, record, old_record)).expect("a readable row") {
        Payload::Row(report) => report,
        other => panic!("{other:?}"),
    }
}

fn inserted(relation: &str, record: &Value) -> Row {
    report("INSERT", relation, record, &Value::Null).state
}

fn with(row: &Value, key: &str, value: Value) -> Value {
    let mut row = row.clone();
    row[key] = value;
    row
}

fn vision(is_draft: bool) -> Value {
    json!({"id": ID, "user_id": USER, "title": "A house", "is_draft": is_draft, "is_active": true,
           "created_at": "2026-01-02T03:04:05+00:00", "updated_at": "2026-01-02T03:04:05.123456+00:00"})
}

fn file(size: &Value) -> Value {
    json!({"id": ID, "bucket_id": "boards", "name": "u/house.jpg", "owner": USER, "owner_id": USER,
           "metadata": {"size": size, "mimetype": "image/jpeg"}, "updated_at": "2026-01-02T03:04:05+00:00"})
}

#[test]
fn row_report_has_subject_and_time() {
    let report = report("INSERT", "public.vision_versions", &vision(false), &Value::Null);
    assert_eq!(report.subject, format!("public.vision_versions/{ID}"));
    assert_eq!(report.occurred_at, datetime!(2026-01-02 03:04:05.123456 UTC));
    assert_eq!((report.change_kind, report.is_final, report.previous), (ChangeKind::Created, false, None));
    assert_eq!(report.object, state(&vision(false)));
    let expected = Row {
        relation: "public.vision_versions".to_owned(),
        row_id: ID.to_owned(),
        user_id: Some(USER),
        counted: true,
        amount: 0,
    };
    assert_eq!(report.state, expected);
}

#[test]
fn a_draft_counts_once_it_is_a_version() {
    assert!(!inserted("public.vision_versions", &vision(true)).counted);
    let report = report("UPDATE", "public.vision_versions", &vision(false), &vision(true));
    assert!(report.state.counted);
    assert_eq!((report.change_kind, report.previous), (ChangeKind::Updated, Some(state(&vision(true)))));
}

#[test]
fn new_owner_gets_the_row() {
    let moved = with(&vision(false), "user_id", json!(OTHER));
    let report = report("UPDATE", "public.vision_versions", &moved, &vision(false));
    assert_eq!(report.state.user_id, Some(OTHER));
}

#[test]
fn a_deletion_is_final_and_counts_nothing() {
    let report = report("DELETE", "public.vision_versions", &Value::Null, &vision(false));
    assert_eq!(
        (report.change_kind, report.is_final, report.state.counted),
        (ChangeKind::Deleted, true, false)
    );
    assert_eq!((report.object, report.previous), (Value::Null, Some(state(&vision(false)))));
    assert_eq!((report.state.row_id.as_str(), report.state.user_id), (ID, Some(USER)));
    assert_eq!(report.occurred_at, datetime!(2026-01-02 03:04:05.123456 UTC));
}

#[test]
fn rows_without_updated_at_use_the_epoch() {
    let entry = json!({"id": 77, "user_id": USER, "body": "…", "created_at": "2026-01-02T03:04:05+00:00"});
    for entry in [entry.clone(), with(&entry, "updated_at", Value::Null)] {
        let report = report("INSERT", "public.journal_entries", &entry, &Value::Null);
        assert_eq!(report.occurred_at, OffsetDateTime::UNIX_EPOCH);
        assert_eq!(report.subject, "public.journal_entries/77");
        assert!(report.state.counted);
    }
}

#[test]
fn a_file_counts_its_bytes_for_the_user_who_owns_it() {
    let owned = |owner_id: Value, owner: Value| {
        inserted("storage.objects", &with(&with(&file(&json!(5)), "owner_id", owner_id), "owner", owner))
            .user_id
    };
    assert_eq!(owned(json!(USER), json!(OTHER)), Some(USER));
    assert_eq!(owned(json!("service-key"), json!(OTHER)), Some(OTHER));
    assert_eq!(owned(Value::Null, json!(OTHER)), Some(OTHER));
    assert_eq!(owned(json!("service-key"), Value::Null), None);

    let bytes = |size: Value| inserted("storage.objects", &file(&size)).amount;
    assert_eq!(bytes(json!(1_500_000)), 1_500_000);
    assert_eq!(bytes(json!("1500000")), 1_500_000);
    for nothing in [Value::Null, json!(-4), json!("big"), json!([1])] {
        assert_eq!(bytes(nothing), 0);
    }
    assert_eq!(bytes(json!(u64::MAX)), 1 << 50);
    let bare = with(&file(&json!(5)), "metadata", Value::Null);
    assert_eq!(inserted("storage.objects", &bare).amount, 0);
}

#[test]
fn an_overwritten_file_counts_its_new_size() {
    let report = report("UPDATE", "storage.objects", &file(&json!(900)), &file(&json!(400)));
    assert_eq!((report.state.amount, report.state.counted), (900, true));
    let deleted = decode(change("DELETE", "storage.objects", &Value::Null, &file(&json!(900))));
    assert!(matches!(deleted, Ok(Payload::Row(row)) if !row.state.counted && row.is_final));
}

#[test]
fn a_profile_counts_while_it_is_the_active_one() {
    let profile = json!({"id": ID, "user_id": USER, "is_active": true, "is_draft": false, "first_name": "Ada",
                         "last_name": " ", "email": "a@x.org", "phone": null, "wishes": "many"});
    let state = inserted("public.user_profiles", &profile);
    assert_eq!((state.counted, state.amount), (true, 50));
    let counted =
        |key: &str, value: Value| inserted("public.user_profiles", &with(&profile, key, value)).counted;
    assert!(!counted("is_active", json!(false)));
    assert!(!counted("is_active", Value::Null));
    assert!(!counted("is_draft", json!(true)));
    assert!(counted("is_draft", Value::Null));
}

#[test]
fn profile_completion_counts_existing_columns() {
    let percent = |profile: Value| {
        let row = with(&with(&profile, "id", json!(ID)), "user_id", json!(USER));
        inserted("public.user_profiles", &row).amount
    };
    assert_eq!(percent(json!({})), 0);
    assert_eq!(percent(json!({"first_name": "A"})), 25);
    let full = json!({"first_name": "A", "last_name": "B", "email": "a@x.org", "phone": "1"});
    assert_eq!(percent(full.clone()), 100);
    assert_eq!(percent(with(&full, "city", Value::Null)), 80);
    assert_eq!(percent(with(&full, "favourite_colour", Value::Null)), 100);
    let two_more = with(&with(&full, "city", json!("")), "country", json!([]));
    assert_eq!(percent(two_more.clone()), 67);
    assert_eq!(percent(with(&two_more, "gender", json!({}))), 57);
}

#[test]
fn a_row_without_an_id_is_undecodable() {
    for id in [Value::Null, json!(""), json!([])] {
        let body =
            change("INSERT", "public.journal_entries", &json!({"id": id, "user_id": USER}), &Value::Null);
        let Err(DecodeError::Field { event_type, field }) = decode(body) else { panic!("no error") };
        assert_eq!((event_type.as_str(), field), ("public.journal_entries.insert", "record.id"));
    }
}

fn user(verb: &str, record: &Value, old_record: &Value) -> UserReport {
    match decode(change(verb, "auth.users", record, old_record)).expect("a readable user") {
        Payload::User(user) => user,
        other => panic!("{other:?}"),
    }
}

#[test]
fn user_is_deleted_only_with_its_row() {
    let ada = json!({"id": USER, "email": "Ada@X.org", "deleted_at": null});
    let there = UserReport { user_id: USER, emails: vec!["ada@x.org".to_owned()], is_deleted: false };
    assert_eq!(user("INSERT", &ada, &Value::Null), there);
    let hidden = with(&ada, "deleted_at", json!("2026-01-02T03:04:05+00:00"));
    assert_eq!(user("UPDATE", &hidden, &ada), there);
    assert_eq!(user("DELETE", &Value::Null, &ada), UserReport { is_deleted: true, ..there });
}

#[test]
fn a_session_is_a_login_at_its_creation() {
    let session = json!({"id": ID, "user_id": USER, "created_at": "2026-01-02T03:04:05.5+00:00",
                         "updated_at": "2026-02-02T00:00:00+00:00", "oauth_client_id": null});
    let expected = Login {
        evidence: LoginEvidence::Session,
        session_id: ID.to_owned(),
        user_id: USER,
        logged_in_at: datetime!(2026-01-02 03:04:05.5 UTC),
    };
    for verb in ["INSERT", "UPDATE"] {
        let Ok(Payload::Login(login)) = decode(change(verb, "auth.sessions", &session, &Value::Null)) else {
            panic!("{verb}");
        };
        assert_eq!(login, expected);
    }
    let logout = decode(change("DELETE", "auth.sessions", &Value::Null, &session));
    assert!(matches!(logout, Ok(Payload::Ignored)));
    let client = with(&session, "oauth_client_id", json!(OTHER));
    assert!(matches!(decode(change("INSERT", "auth.sessions", &client, &Value::Null)), Ok(Payload::Ignored)));
    let timeless = with(&session, "created_at", Value::Null);
    let timeless = decode(change("INSERT", "auth.sessions", &timeless, &Value::Null));
    assert!(matches!(timeless, Err(DecodeError::Field { field: "record.created_at", .. })));
}

#[test]
fn uncounted_tables_and_operations_are_ignored() {
    let row = json!({"id": ID, "user_id": USER});
    for (verb, relation) in [
        ("INSERT", "public.posts"),
        ("INSERT", "private.vision_versions"),
        ("TRUNCATE", "public.vision_versions"),
    ] {
        assert!(
            matches!(decode(change(verb, relation, &row, &Value::Null)), Ok(Payload::Ignored)),
            "{relation}"
        );
    }
    for body in
        [json!({}), json!(null), json!([]), json!({"type": "INSERT"}), json!({"type": 1, "table": {}})]
    {
        assert!(matches!(decode(body.clone()), Ok(Payload::Ignored)), "{body}");
    }
}

#[test]
fn timestamps_are_read_in_every_format() {
    let at = datetime!(2026-01-02 03:04:05 UTC);
    let cases = [
        ("2026-01-02T03:04:05.123456+00:00", Some(at + time::Duration::microseconds(123_456))),
        ("2026-01-02T03:04:05", Some(at)),
        ("2026-01-02T03:04:05.5", Some(at + time::Duration::milliseconds(500))),
        ("2026-01-02 03:04:05+00", Some(at)),
        ("2026-01-02 08:34:05+05:30", Some(at)),
        ("2026-01-02 01:04:05-02", Some(at)),
        ("2026-01-02T03:04:05Z", Some(at)),
        ("2026-01-02", None),
        ("infinity", None),
        ("", None),
        ("2026-01-02T03:04:05+00:00:07:11", None),
    ];
    for (text, expected) in cases {
        assert_eq!(field::moment(&json!(text)), expected, "{text}");
    }
    assert_eq!(field::moment(&json!(1_700_000_000)), None);
}

/// A change as a trigger numbers it.
fn numbered(event_id: &str, relation: &str, record: &Value) -> Report<Row> {
    let at = datetime!(2026-03-01 00:00 UTC);
    let body = change("UPDATE", relation, record, &Value::Null);
    let envelope = Envelope {
        source: Source::SupabaseDatabase,
        event_id: event_id.to_owned(),
        event_type: format!("{relation}.update"),
        occurred_at: at,
        received_at: at,
        body: body.to_string().into(),
    };
    match super::decode(&envelope.body, TriggerChange::of(&envelope), &ActivityTables::default())
        .expect("a readable row")
    {
        Payload::Row(report) => report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn trigger_event_id_has_the_number() {
    let entry = json!({"id": 77, "user_id": USER});
    let reported = numbered("trigger/0000000000000000042", "public.journal_entries", &entry);
    assert_eq!((reported.sequence, reported.occurred_at), (Some(42), datetime!(2026-03-01 00:00 UTC)));
    let profile = numbered("trigger/7", "public.vision_versions", &vision(false));
    assert_eq!(profile.occurred_at, datetime!(2026-01-02 03:04:05.123456 UTC), "the row's own moment");
    let dated = numbered("trigger/0000000000000000043/1732579200123456", "public.journal_entries", &entry);
    assert_eq!(dated.sequence, Some(43));
    for other in ["msg_1", "trigger/", "trigger/x", "0000000000000000042"] {
        let reported = numbered(other, "public.journal_entries", &entry);
        assert_eq!((reported.sequence, reported.occurred_at), (None, OffsetDateTime::UNIX_EPOCH), "{other}");
    }
}

#[test]
fn configured_table_counts_for_its_owner() {
    let table = "crm.tracks:author_id:audio_generated_count:status=ready".parse().expect("an entry");
    let tables = ActivityTables::default().with(table);
    let reported = |status: &str| {
        let track = json!({"id": ID, "author_id": USER, "user_id": OTHER, "status": status});
        let body = change("INSERT", "crm.tracks", &track, &Value::Null).to_string();
        match super::decode(body.as_bytes(), None, &tables) {
            Ok(Payload::Row(report)) => (report.state.user_id, report.state.counted),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reported("ready"), (Some(USER), true));
    assert_eq!(reported("failed"), (Some(USER), false));
}

/// Reducing a webhook's body does not change what it reports, and is idempotent.
#[test]
fn reduced_body_keeps_its_meaning() {
    let tables = ActivityTables::default();
    let of = |body: &[u8]| match super::decode(body, None, &tables).expect("a readable row") {
        Payload::Row(it) => (it.subject, it.occurred_at, it.change_kind, it.state, it.object, it.previous),
        other => panic!("{other:?}"),
    };
    let secret = "what I would tell nobody";
    let noted = |row: Value| with(&row, "notes", json!(secret));
    let profile = json!({"id": ID, "user_id": USER, "is_active": true, "first_name": secret, "phone": "", "city": null});
    for (relation, row) in [
        ("public.vision_versions", noted(vision(true))),
        ("public.journal_entries", json!({"id": 7, "user_id": USER, "content": secret})),
        ("storage.objects", noted(file(&json!("12")))),
        ("storage.objects", noted(file(&json!(12)))),
        ("public.user_profiles", profile),
    ] {
        let before = with(&row, "title", json!("before"));
        for (verb, record, old_record) in
            [("INSERT", &row, &Value::Null), ("UPDATE", &row, &before), ("DELETE", &Value::Null, &row)]
        {
            let body = change(verb, relation, record, old_record).to_string();
            let reduced = reduced(body.as_bytes(), &tables).expect("a reduced body");
            assert_eq!(of(&reduced), of(body.as_bytes()), "{verb} {relation}");
            assert!(!String::from_utf8_lossy(&reduced).contains(secret), "{verb} {relation}");
        }
    }
}

#[test]
fn uncounted_row_is_stored_as_its_id() {
    let row = json!({"id": ID, "user_id": USER, "body": "secret", "updated_at": "2026-01-02T03:04:05+00:00"});
    let body = change("UPDATE", "public.letters", &row, &row).to_string();
    let reduced = reduced(body.as_bytes(), &ActivityTables::default()).expect("a reduced body");
    let read: Value = serde_json::from_slice(&reduced).expect("JSON");
    assert_eq!(read["record"], json!({"id": ID, "updated_at": "2026-01-02T03:04:05+00:00"}));
    // Counted later: what was not stored is imported from the table, not guessed from here.
    let later = ActivityTables::default()
        .with("public.letters:user_id:journal_entry_count".parse().expect("an entry"));
    assert!(matches!(super::decode(&reduced, None, &later), Ok(Payload::Ignored)));
    assert!(matches!(super::decode(body.as_bytes(), None, &later), Ok(Payload::Row(_))));
}

/// Depth, huge numbers and lone surrogates in unused columns do not prevent a row from being counted.
#[test]
fn unused_columns_do_not_matter() {
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    for content in [deep.as_str(), "1e400", r#""\ud800""#] {
        let body = format!(
            r#"{{"type": "INSERT", "schema": "public", "table": "journal_entries", "old_record": null,
                "record": {{"id": 7, "user_id": "{USER}", "content": {content}}}}}"#
        );
        let reduced = reduced(body.as_bytes(), &ActivityTables::default()).expect("a reduced body");
        for body in [body.as_bytes(), &reduced] {
            let read = super::decode(body, None, &ActivityTables::default());
            assert!(
                matches!(read, Ok(Payload::Row(row)) if row.state.user_id == Some(USER)),
                "{content:.20}"
            );
        }
    }
}
