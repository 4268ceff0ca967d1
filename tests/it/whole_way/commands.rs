//! The commands as a person types them, on the real binary.

use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use super::deployment::{Deployment, Kind, fixtures_folder, ids};
use crate::support::database::TestDatabase;
use crate::support::process::{Serving, Settings, memberflow};
use crate::support::receiver::{STRIPE_SECRETS, SUPABASE_SECRETS};

async fn run(settings: &Settings, arguments: &[&str]) -> Output {
    let mut command = memberflow(settings);
    command.args(arguments);
    Command::from(command).kill_on_drop(true).output().await.unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|fault| panic!("{fault}: {output:?}"))
}

#[tokio::test]
async fn empty_database_to_listed_member() {
    let database = TestDatabase::empty().await;
    let settings = vec![("DATABASE_URL", database.url())];
    let unmigrated = run(&settings, &["doctor"]).await;
    assert_eq!(unmigrated.status.code(), Some(1), "{unmigrated:?}");
    for _ in 0..2 {
        let migrated = run(&settings, &["migrate", "--supabase-stub"]).await;
        assert!(migrated.status.success(), "{migrated:?}");
    }

    let deployment = Deployment::new(Kind::Postgres).await;
    let serving = Serving::all(&deployment.settings());
    let folder = fixtures_folder();
    let url = serving.url();
    let replay = ["replay", folder.to_str().unwrap(), "--url", url.as_str(), "--json"];
    let replayed = json(&run(&deployment.settings(), &replay).await);
    assert_eq!(replayed["accepted"], deployment.events().len());
    deployment.applied(&ids(&deployment.events())).await;

    let listed = run(&deployment.settings(), &["members", "list", "--json"]).await;
    assert!(listed.status.success(), "{listed:?}");
    let member = &deployment.scenarios[0].members[0];
    let shown = run(&deployment.settings(), &["members", "show", &member.id.to_string(), "--json"]).await;
    assert_eq!(json(&shown)["user_id"], member.id.to_string());
    let nobody = run(&deployment.settings(), &["members", "show", &uuid::Uuid::new_v4().to_string()]).await;
    assert_eq!(nobody.status.code(), Some(5), "{nobody:?}");
}

#[tokio::test]
async fn body_signed_by_the_command_is_accepted() {
    let deployment = Deployment::new(Kind::Postgres).await;
    let serving = Serving::roles("receive", &deployment.settings());
    let event = deployment.events().into_iter().find(|event| event.event_type == "customer.created").unwrap();
    let file = std::env::temp_dir().join(format!("mf-sign-{}.json", uuid::Uuid::new_v4().simple()));
    std::fs::write(&file, &event.body).unwrap();
    let secrets = vec![
        ("STRIPE_WEBHOOK_SECRETS", STRIPE_SECRETS.to_owned()),
        ("SUPABASE_WEBHOOK_SECRETS", SUPABASE_SECRETS.to_owned()),
    ];
    let signed = run(&secrets, &["sign", "stripe", "--file", file.to_str().unwrap()]).await;
    std::fs::remove_file(&file).unwrap();
    assert!(signed.status.success(), "{signed:?}");

    let mut request = reqwest::Client::new().post(format!("{}/webhooks/stripe", serving.url()));
    for line in String::from_utf8(signed.stdout).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    let request = request.header("content-type", "application/json").body(event.body);
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn exit_codes_show_the_kind_of_failure() {
    let away = vec![("DATABASE_URL", "postgres://postgres@127.0.0.1:1/nothing".to_owned())];
    for (settings, arguments, code) in [
        (&away, &["members", "list"][..], 7),
        (&away, &["migrate"], 7),
        (&away, &["doctor"], 7),
        (&vec![], &["serve"], 2),
        (&vec![], &["members", "list"], 2),
        (&vec![("MEMBERFLOW_NONSENSE", "1".to_owned())], &["serve"], 2),
        (&vec![], &["sign", "stripe", "--file", "/dev/null"], 2),
        (&vec![], &["sign", "stripe", "--file", "/nowhere"], 1),
    ] {
        let output = run(settings, arguments).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty() || arguments == ["doctor"], "data on stdout: {output:?}");
    }
}
