//! At a terminal `forget` shows the list and asks for the name.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::{ADDRESS, lives, traces};
use crate::support::app::TestApp;
use crate::support::process::{Settings, memberflow};

#[tokio::test]
async fn wrong_confirmation_removes_nothing() {
    let app = lives().await;
    let before = traces(&app).await;
    let (exit, said) = at_terminal(&app, "joann@example.com\n");
    assert!(exit == 2 && said.contains("not confirmed: nothing was removed"), "{said}");
    assert_eq!(traces(&app).await, before);
}

#[tokio::test]
async fn confirmation_removes_what_was_listed() {
    let app = lives().await;
    let (exit, said) = at_terminal(&app, &format!("{ADDRESS}\n"));
    let asked = said.find("type the user id or the address again").expect(&said);
    let shown = said.find("customers: 1: cus_1").expect(&said);
    let done = said.find("the person is forgotten").expect(&said);
    assert!(exit == 0 && shown < asked && asked < done, "{said}");
    assert_eq!(traces(&app).await, [] as [String; 0]);
}

/// The command at a terminal of its own (`script` makes one), with `typed` at it.
fn at_terminal(app: &TestApp, typed: &str) -> (i32, String) {
    let settings: Settings = vec![("DATABASE_URL", app.database.url())];
    let forget = memberflow(&settings);
    let line = format!("'{}' forget {ADDRESS}", forget.get_program().display());
    let mut terminal = Command::new("/usr/bin/script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env_clear()
        .envs(forget.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`script` is part of every Debian");
    terminal.stdin.take().expect("it was piped").write_all(typed.as_bytes()).expect("it reads");
    let output = terminal.wait_with_output().expect("it ends");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
}
