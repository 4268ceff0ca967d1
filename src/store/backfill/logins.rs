//! Imports logins from Supabase Auth's tables: sessions, audit log, the users' last sign-in.
//!
//! Sessions are deleted at logout, so the weaker evidence can be the only trace of a login. Within a second
//! of stronger evidence it is the same login (`resolve::activity` decides that again when evidence changes)
//! and is not reported.

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::pages::{self, Page};
use super::progress::PageTask;
use super::tables::{Table, uuid};
use crate::project::internal::LoginEvidence;
use crate::store::resolve::activity;

/// A page of `auth.sessions`, without those of OAuth clients.
pub(in crate::store) async fn sessions(
    tx: &mut PgConnection,
    task: &PageTask,
    now: OffsetDateTime,
) -> Result<Page, sqlx::Error> {
    let Some(table) = Table::find(tx, "auth.sessions").await? else { return Ok(Page::unreadable()) };
    let is_login = if table.has("oauth_client_id") { "t.oauth_client_id is null" } else { "true" };
    let source = format!(
        "select t.id as key, t.id::text as session_id, t.user_id, t.created_at as at, {is_login} as is_login
         from auth.sessions t where {} order by t.id limit {}",
        pages::after(task, "t.id", "uuid"),
        task.page_rows,
    );
    let is_new = "not exists (select from ingest.logins l where l.session_id = p.session_id and l.logged_in_at <= p.at)";
    let logins = read(tx, task, &source, is_new, LoginEvidence::Session, now).await?;
    // A page is only split where no weaker evidence is known.
    if let (false, Some(users), Some(moments)) = (task.is_half, logins.users, logins.moments) {
        activity::recheck_weak(tx, &users, &moments).await?;
    }
    Ok(logins.page)
}

/// A page of `auth.audit_log_entries`: the logins of users who exist.
pub(in crate::store) async fn audit_log(
    tx: &mut PgConnection,
    task: &PageTask,
    now: OffsetDateTime,
) -> Result<Page, sqlx::Error> {
    if Table::find(tx, "auth.audit_log_entries").await?.is_none() {
        return Ok(Page::unreadable());
    }
    let source = format!(
        "select t.id as key, 'audit/' || t.id as session_id, {} as user_id, t.created_at as at,
                coalesce(t.payload ->> 'action' = 'login', false) as is_login
         from auth.audit_log_entries t where {} order by t.id limit {}",
        uuid("(t.payload ->> 'actor_id')"),
        pages::after(task, "t.id", "uuid"),
        task.page_rows,
    );
    let is_new = format!(
        "{} and exists (select from auth.users u where u.id = p.user_id)",
        unreported(LoginEvidence::AuditLog)
    );
    Ok(read(tx, task, &source, &is_new, LoginEvidence::AuditLog, now).await?.page)
}

/// A page of `auth.users`: the last sign-in of each, reported whenever it changed.
pub(in crate::store) async fn sign_ins(
    tx: &mut PgConnection,
    task: &PageTask,
    now: OffsetDateTime,
) -> Result<Page, sqlx::Error> {
    let table = Table::find(tx, "auth.users").await?;
    if !table.is_some_and(|table| table.has("last_sign_in_at")) {
        return Ok(Page::unreadable());
    }
    let source = format!(
        "select t.id as key, 'sign-in/' || t.id || '/' || {} as session_id, t.id as user_id,
                t.last_sign_in_at as at, true as is_login
         from auth.users t where {} order by t.id limit {}",
        pages::micros("t.last_sign_in_at"),
        pages::after(task, "t.id", "uuid"),
        task.page_rows,
    );
    Ok(read(tx, task, &source, &unreported(LoginEvidence::SignIn), LoginEvidence::SignIn, now).await?.page)
}

/// Neither known itself nor by stronger evidence.
fn unreported(evidence: LoginEvidence) -> String {
    format!(
        "not exists (select from ingest.logins l where l.session_id = p.session_id)
         and not exists (
             select from ingest.logins l where l.user_id = p.user_id and l.evidence < {}
               and l.logged_in_at between p.at - interval '1 second' and p.at + interval '1 second')",
        evidence as i16
    )
}

/// A page with the users and times of its new logins, if weaker evidence has to be checked again.
#[derive(FromRow)]
struct Logins {
    #[sqlx(flatten)]
    page: Page,
    users: Option<Vec<Uuid>>,
    moments: Option<Vec<OffsetDateTime>>,
}

async fn read(
    tx: &mut PgConnection,
    task: &PageTask,
    source: &str,
    is_new: &str,
    evidence: LoginEvidence,
    now: OffsetDateTime,
) -> Result<Logins, sqlx::Error> {
    pages::run(tx, task, statement(task, source, is_new, evidence), now).await
}

fn statement(task: &PageTask, source: &str, is_new: &str, evidence: LoginEvidence) -> String {
    let (name, strength) = (evidence.as_str(), evidence as i16);
    let new_rows = pages::new_rows(&format!(
        "select p.*, p.session_id as name from page p
         where p.is_login and p.user_id is not null and isfinite(p.at) and {is_new}"
    ));
    let recorded = pages::recorded(
        "found_logins",
        &format!(
            "'evidence', '{name}', 'logins', json_agg(json_build_array(session_id, user_id, {}) order by n)",
            pages::micros("at")
        ),
    );
    let (outcome, moved) = (pages::outcome(task), if task.counts_later { "" } else { MOVED });
    let rechecked =
        if evidence == LoginEvidence::Session && !task.is_half { "new_rows" } else { "new_rows where false" };
    format!(
        "with page as materialized (select s.*, row_number() over (order by key) as n from ({source}) s),
         {new_rows}, {recorded}, inserted as (
             insert into ingest.logins as l (session_id, user_id, logged_in_at, evidence)
             select session_id, user_id, at, {strength} from new_rows
             on conflict (session_id) do update set logged_in_at = excluded.logged_in_at
             where excluded.logged_in_at < l.logged_in_at
             returning user_id, xmax = 0 as is_new
         ){moved}
         select {outcome}, (select array_agg(user_id order by n) from {rechecked}) as users,
                (select array_agg(at order by n) from {rechecked}) as moments"
    )
}

/// Adds the new logins to their users' counts.
const MOVED: &str = ", moved as (
             insert into ingest.activity as a (user_id, logins)
             select user_id, count(*) from inserted where is_new group by user_id order by user_id
             on conflict (user_id) do update set logins = a.logins + excluded.logins
         )";
