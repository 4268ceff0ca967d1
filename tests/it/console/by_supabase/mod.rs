//! Signing in by Supabase: its Auth API next to the test's own database, asked over HTTP.

mod by_email;
mod by_password;
mod ending;
mod forged;
mod without_it;

use axum::http::StatusCode;
use serde_json::json;

use super::{Browser, Page, config};
use crate::support::app::NOW;
use crate::support::auth_server::{AuthServer, PASSWORD};
use crate::support::database::TestDatabase;

/// An operator.
const ADA: &str = "ada@example.com";
/// A member, without a role.
const EVE: &str = "eve@example.com";

/// A project with both of them.
struct Project {
    database: TestDatabase,
    auth: AuthServer,
}

impl Project {
    async fn open() -> Self {
        let database = TestDatabase::migrated().await;
        let auth = AuthServer::open(&database.pool).await;
        auth.sign_up(ADA, json!({"provider": "email", "role": "operator"})).await;
        auth.sign_up(EVE, json!({"provider": "email"})).await;
        Self { database, auth }
    }

    fn browser(&self) -> Browser {
        Browser::at(&self.database.pool, &self.auth.config(config()), NOW)
    }

    async fn execute(&self, statement: &str) {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        sqlx::raw_sql(statement).execute(&self.database.pool).await.unwrap();
    }

    async fn sessions(&self) -> i64 {
        let count = sqlx::query_scalar("select count(*) from ingest.console_sessions");
        count.fetch_one(&self.database.pool).await.unwrap()
    }

    /// Checks that nobody came in.
    async fn assert_nobody_is_in(&self, browser: &mut Browser, case: &str) {
        assert_eq!((&browser.cookie, self.sessions().await), (&None, 0), "{case}");
        assert_eq!(browser.get("/console").await.status, StatusCode::SEE_OTHER, "{case}");
    }
}

impl Browser {
    async fn sign_in_as(&mut self, email: &str, password: &str) -> Page {
        self.post("/console/sign-in/password", &[("email", email), ("password", password)]).await
    }

    /// Signs in with the password of all.
    async fn enter_as(&mut self, email: &str) {
        let page = self.sign_in_as(email, PASSWORD).await;
        assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/console"), "{}", page.body);
    }
}
