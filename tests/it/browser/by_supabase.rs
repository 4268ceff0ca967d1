//! Signing in by Supabase: by password, and by the link of an e-mail in the browser that asked for it.

use serde_json::json;

use super::app::full_app;
use super::chromium::Chromium;
use super::{Console, axe};
use crate::support::auth_server::{AuthServer, PASSWORD};

/// An operator.
const ADA: &str = "ada@example.org";
/// A viewer.
const VERA: &str = "vera@example.org";

const BY_PASSWORD: &str = "form[action$='/password']";
const BY_EMAIL: &str = "form[action$='/email']";

/// A console whose project both belong to.
async fn project() -> (Console, AuthServer) {
    let app = full_app().await;
    let auth = AuthServer::open(&app.database.pool).await;
    auth.sign_up(ADA, json!({"role": "operator"})).await;
    auth.sign_up(VERA, json!({"role": "viewer"})).await;
    let config = auth.config(crate::support::config(app.database.url()));
    (Console::with(app, config).await, auth)
}

async fn sign_in(chromium: &Chromium, email: &str, password: &str) {
    chromium.wait_for("h1", "Sign in to memberflow").await;
    chromium.fill(&format!("{BY_PASSWORD} [name=email]"), email).await;
    chromium.fill(&format!("{BY_PASSWORD} [name=password]"), password).await;
    chromium.click_on(BY_PASSWORD, "Sign in").await;
}

/// Checks that a request was refused, and that nothing else was logged.
async fn assert_refused(chromium: &Chromium) {
    let log = chromium.log().await;
    assert!(log.len() == 1 && log[0].contains("a status of 401"), "{log:?}");
}

#[tokio::test]
async fn password_signs_in_with_the_users_role_at_the_page_asked_for() {
    let (console, _auth) = project().await;
    let chromium = &console.chromium;
    console.go("/console/attention").await;
    chromium.wait_for("h1", "Sign in to memberflow").await;
    axe::assert_clean(chromium, "signing in").await;
    sign_in(chromium, ADA, "a guess").await;
    chromium.wait_for("[role=alert]", "That is not right").await;
    assert_refused(chromium).await;
    sign_in(chromium, ADA, PASSWORD).await;

    chromium.wait_for_path("/console/attention").await;
    chromium.wait_for("header", &format!("{ADA} (")).await;
    chromium.wait_for("header", "(operator)").await;
    assert_ne!(chromium.count("main form[method=post]").await, 0, "an operator may act");
    assert_eq!(chromium.count("header a[href='/console/audit']").await, 0, "that is for admins");

    chromium.click_on("header", "Sign out").await;
    chromium.wait_for_path("/console/sign-in").await;
    sign_in(chromium, VERA, PASSWORD).await;
    chromium.wait_for("header", "(viewer)").await;
    console.go("/console/attention").await;
    chromium.wait_for("main", "unreadable").await;
    assert_eq!(chromium.count("main form[method=post]").await, 0, "a viewer may not");
    console.close().await;
}

#[tokio::test]
async fn link_of_an_e_mail_signs_in_and_signing_out_everywhere_ends_the_other_browsers_session() {
    let (console, auth) = project().await;
    let (chromium, other) = (&console.chromium, Chromium::open().await);
    console.go("/console/sign-in").await;
    chromium.fill(&format!("{BY_EMAIL} [name=email]"), ADA).await;
    chromium.click_on(BY_EMAIL, "Send me a link").await;
    chromium.wait_for("h1", "Look into your mail").await;
    axe::assert_clean(chromium, "an e-mail is on its way").await;
    let mail = auth.mail().pop().unwrap();

    // Whoever gets somebody else's link is not signed in by it.
    other.go(&mail.opened()).await;
    other.click_on("main", "Sign in").await;
    other.wait_for("[role=alert]", "only in the browser in which you asked").await;
    assert_refused(&other).await;

    chromium.go(&mail.opened()).await;
    chromium.wait_for("main", "The link works once.").await;
    axe::assert_clean(chromium, "the link").await;
    chromium.click_on("main", "Sign in").await;
    chromium.wait_for("h1", "Overview").await;
    chromium.wait_for("header", "(operator)").await;

    other.go(&console.url("/console")).await;
    sign_in(&other, ADA, PASSWORD).await;
    other.wait_for("h1", "Overview").await;
    other.click_on("header", "Sign out everywhere").await;
    other.wait_for_path("/console/sign-in").await;
    console.go("/console/members").await;
    chromium.wait_for("h1", "Sign in to memberflow").await;
    other.assert_quiet("at the end").await;
    other.close().await;
    console.close().await;
}
