//! By a link or a code in an e-mail.

use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use serde_json::json;

use super::{ADA, Browser, EVE, Project};
use crate::support::auth_server::{APP_CODE, CONSOLE, Mail};

/// Asks for an e-mail and gives the last one that was sent.
async fn ask(project: &Project, browser: &mut Browser, email: &str) -> Mail {
    let page = browser.post("/console/sign-in/email", &[("email", email)]).await;
    page.assert_shows(&["an e-mail is on its way"]);
    project.auth.mail().last().unwrap().clone()
}

/// Where the link leads, as a path of the console.
fn path(mail: &Mail) -> String {
    mail.opened().strip_prefix(CONSOLE).unwrap().to_owned()
}

async fn press(browser: &mut Browser, mail: &Mail) -> super::Page {
    browser.post("/console/sign-in/email/link", &[("link", mail.auth_code())]).await
}

#[tokio::test]
async fn a_link_signs_in_once_in_the_browser_that_asked_for_it() {
    let project = Project::open().await;
    let mut browser = project.browser();
    let page = browser.post("/console/sign-in/email", &[("email", ADA)]).await;
    let cookie = page.header(SET_COOKIE);
    assert!(cookie.starts_with("memberflow_console_link="), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/console/sign-in; HttpOnly; SameSite=Strict; Max-Age=3600; Secure"),
        "{cookie}"
    );
    let mail = project.auth.mail().pop().unwrap();
    for _ in 0..3 {
        browser.get(&path(&mail)).await.assert_shows(&["The link works once.", mail.auth_code()]);
    }
    project.assert_nobody_is_in(&mut browser, "opening a link").await;
    let page = press(&mut browser, &mail).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/console"), "{}", page.body);
    browser.get("/console").await.assert_shows(&[ADA, "(operator)"]);
    assert_eq!(browser.link_cookie, None, "used up");

    let mut again = project.browser();
    ask(&project, &mut again, ADA).await;
    press(&mut again, &mail).await.assert_is(StatusCode::UNAUTHORIZED, "That is not right");
}

#[tokio::test]
async fn a_link_that_somebody_else_asked_for_signs_nobody_in() {
    let project = Project::open().await;
    project.auth.sign_up("omar@example.com", json!({"role": "viewer"})).await;
    let theirs = ask(&project, &mut project.browser(), "omar@example.com").await;
    let mut victim = project.browser();
    press(&mut victim, &theirs)
        .await
        .assert_is(StatusCode::UNAUTHORIZED, "only in the browser in which you asked");
    project.assert_nobody_is_in(&mut victim, "a link of another browser").await;
    ask(&project, &mut victim, ADA).await;
    press(&mut victim, &theirs).await.assert_is(StatusCode::UNAUTHORIZED, "That is not right");
    project.assert_nobody_is_in(&mut victim, "another's link, with a verifier of one's own").await;
}

#[tokio::test]
async fn the_code_of_an_e_mail_signs_in_once() {
    let project = Project::open().await;
    let mut browser = project.browser();
    let mail = ask(&project, &mut browser, ADA).await;
    let path = "/console/sign-in/email/code";
    let wrong = browser.post(path, &[("email", ADA), ("email_code", "000000")]).await;
    wrong.assert_is(StatusCode::UNAUTHORIZED, "That is not right");
    let right = browser.post(path, &[("email", ADA), ("email_code", &mail.code)]).await;
    assert_eq!(right.status, StatusCode::SEE_OTHER, "{}", right.body);
    let again = project.browser().post(path, &[("email", ADA), ("email_code", &mail.code)]).await;
    again.assert_is(StatusCode::UNAUTHORIZED, "That is not right");
}

#[tokio::test]
async fn e_mail_goes_to_console_users_without_revealing_them() {
    let project = Project::open().await;
    let shown = |body: String, email: &str| body.replace(email, "…");
    let mut browser = project.browser();
    let known = browser.post("/console/sign-in/email", &[("email", ADA)]).await;
    for email in [EVE, "nobody@example.com", "nonsense"] {
        let page = browser.post("/console/sign-in/email", &[("email", email)]).await;
        assert_eq!((page.status, shown(page.body, email)), (known.status, shown(known.body.clone(), ADA)));
        assert_ne!(page.headers.get(SET_COOKIE), None);
    }
    assert_eq!((project.auth.mail().len(), project.auth.asked("/otp")), (1, 1));

    let refusal = json!({"code": 429, "error_code": "over_email_send_rate_limit", "msg": "after 42 seconds"});
    project.auth.answers(429, refusal);
    let page = browser.post("/console/sign-in/email", &[("email", ADA)]).await;
    assert_eq!(shown(page.body, ADA), shown(known.body, ADA), "that there was one says who may");
}

#[tokio::test]
async fn a_link_is_no_way_around_the_second_factor() {
    let project = Project::open().await;
    project.auth.has_factor(ADA, "totp", "verified");
    let mut browser = project.browser();
    let mail = ask(&project, &mut browser, ADA).await;
    press(&mut browser, &mail).await.assert_is(StatusCode::UNAUTHORIZED, "code of your authenticator app");
    project.assert_nobody_is_in(&mut browser, "without the code").await;
    let mail = ask(&project, &mut browser, ADA).await;
    let fields = [("link", mail.auth_code()), ("code", APP_CODE)];
    let page = browser.post("/console/sign-in/email/link", &fields).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
}

#[tokio::test]
async fn a_link_that_no_longer_works_says_so_and_what_it_brings_is_text() {
    let project = Project::open().await;
    let mut browser = project.browser();
    let expired = "/console/sign-in/email?error=access_denied&error_code=otp_expired&error_description=Email+link+is+invalid";
    browser.get(expired).await.assert_is(StatusCode::UNAUTHORIZED, "used already, or has expired");
    // What is in the address must be in no cache and in no other site's log.
    for path in [expired, "/console/sign-in/email?code=x"] {
        let page = browser.get(path).await;
        assert_eq!(
            (page.header("cache-control"), page.header("referrer-policy")),
            ("no-store", "no-referrer")
        );
        assert!(page.header("content-security-policy").contains("form-action 'self'"), "{path}");
    }
    let page = browser.get("/console/sign-in/email?code=%22%3E%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert!(page.status == StatusCode::OK && !page.body.contains("<script>alert"), "{}", page.body);
}
