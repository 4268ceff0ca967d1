//! Supabase Auth as an HTTP server on the test's own database: passwords, e-mails with a link and a code, second factors,
//! and the keys that its tokens are signed with. It answers as supabase/auth does.

mod answers;
pub mod keys;
pub mod token;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use memberflow::config::Config;
use serde_json::{Value, json};
use sqlx::PgPool;
use time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::keys::SigningKey;
use self::token::{Draft, Signer};
use super::app::NOW;

/// The key that every caller sends.
pub const KEY: &str = "sb_publishable_for-tests";
/// Every user's password.
pub const PASSWORD: &str = "correct horse battery staple";
/// What every authenticator app shows.
pub const APP_CODE: &str = "314159";
/// Where people reach the console.
pub const CONSOLE: &str = "https://crm.example";

/// What a test does to each token before it is signed.
type Forging = Box<dyn Fn(&mut Draft) + Send>;

struct Inner {
    keys: Vec<Arc<SigningKey>>,
    /// By address.
    users: BTreeMap<String, User>,
    mail: Vec<Mail>,
    requests: Vec<String>,
    forging: Option<Forging>,
    /// The status that everything gets instead of an answer.
    outage: Option<(u16, Value)>,
}

#[derive(Clone)]
struct User {
    id: Uuid,
    factors: Vec<Value>,
}

/// An e-mail that was sent.
#[derive(Clone)]
pub struct Mail {
    pub to: String,
    pub code: String,
    redirect_to: String,
    challenge: String,
    auth_code: String,
}

impl Mail {
    /// Where the reader's browser is after it opened the link.
    pub fn opened(&self) -> String {
        format!("{}?code={}", self.redirect_to, self.auth_code)
    }

    pub fn auth_code(&self) -> &str {
        &self.auth_code
    }
}

#[derive(Clone)]
struct Project {
    base: String,
    pool: PgPool,
    inner: Arc<Mutex<Inner>>,
}

/// The server, gone with this value.
pub struct AuthServer {
    project: Project,
    _stop: DropGuard,
}

impl AuthServer {
    /// A project that signs with a new ES256 key.
    pub async fn open(pool: &PgPool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inner = Inner {
            keys: vec![Arc::new(SigningKey::es256("key-1"))],
            users: BTreeMap::new(),
            mail: Vec::new(),
            requests: Vec::new(),
            forging: None,
            outage: None,
        };
        let base = format!("http://{}", listener.local_addr().unwrap());
        let project = Project { base, pool: pool.clone(), inner: Arc::new(Mutex::new(inner)) };
        let app = answers::routes(project.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        TaskTracker::new().spawn(async move {
            let served = axum::serve(listener, app);
            served.with_graceful_shutdown(stopped.cancelled_owned()).await.unwrap();
        });
        Self { project, _stop: stop.drop_guard() }
    }

    /// `config` with the settings that lead here.
    pub fn config(&self, config: Config) -> Config {
        Config {
            supabase_url: Some(self.project.base.clone()),
            supabase_publishable_key: Some(KEY.into()),
            console_url: Some(CONSOLE.to_owned()),
            ..config
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.project.inner()
    }

    /// Signs a user up, with the password of all.
    pub async fn sign_up(&self, email: &str, app_metadata: Value) -> Uuid {
        let id = Uuid::new_v4();
        sqlx::query(
            "insert into auth.users (instance_id, id, email, email_confirmed_at, created_at, updated_at, raw_app_meta_data,
                                     raw_user_meta_data)
             values ('00000000-0000-0000-0000-000000000000', $1, $2, now(), now(), now(), $3,
                     '{\"role\": \"admin\", \"roles\": [\"admin\"], \"is_admin\": true}')",
        )
        .bind(id)
        .bind(email)
        .bind(app_metadata)
        .execute(&self.project.pool)
        .await
        .unwrap();
        self.inner().users.insert(email.to_owned(), User { id, factors: Vec::new() });
        id
    }

    /// Gives a user a second factor.
    pub fn has_factor(&self, email: &str, kind: &str, status: &str) {
        let factor =
            json!({"id": Uuid::new_v4(), "factor_type": kind, "status": status, "friendly_name": "phone"});
        self.inner().users.get_mut(email).unwrap().factors.push(factor);
    }

    /// Changes every token from now on.
    pub fn forges(&self, forging: impl Fn(&mut Draft) + Send + 'static) {
        self.inner().forging = Some(Box::new(forging));
    }

    /// Signs with another key from now on; the former ones stay known if `is_kept`.
    pub fn rotates(&self, key: SigningKey, is_kept: bool) {
        let mut inner = self.inner();
        if !is_kept {
            inner.keys.clear();
        }
        inner.keys.insert(0, Arc::new(key));
    }

    /// The key that signs now.
    pub fn key(&self) -> Arc<SigningKey> {
        Arc::clone(&self.inner().keys[0])
    }

    /// Shows no key any more, as a project that signs with a shared secret.
    pub fn has_no_keys(&self) {
        self.inner().keys.clear();
    }

    /// Answers everything with this from now on.
    pub fn answers(&self, status: u16, body: Value) {
        self.inner().outage = Some((status, body));
    }

    /// The e-mails sent so far.
    pub fn mail(&self) -> Vec<Mail> {
        self.inner().mail.clone()
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.inner().requests.iter().filter(|asked| asked.as_str() == path).count()
    }
}

impl Project {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Begins a session of `user` and answers as the Auth API does.
    async fn grant(&self, email: &str, user: &User, aal: &str) -> Value {
        let session = Uuid::new_v4();
        sqlx::query(
            "insert into auth.sessions (id, user_id, created_at, updated_at, aal)
             values ($1, $2, now(), now(), $3::auth.aal_level)",
        )
        .bind(session)
        .bind(user.id)
        .bind(aal)
        .execute(&self.pool)
        .await
        .unwrap();
        let (app_metadata, user_metadata): (Value, Value) =
            sqlx::query_as("select raw_app_meta_data, raw_user_meta_data from auth.users where id = $1")
                .bind(user.id)
                .fetch_one(&self.pool)
                .await
                .unwrap();
        let claims = json!({
            "iss": format!("{}/auth/v1", self.base), "aud": "authenticated", "role": "authenticated",
            "sub": user.id, "session_id": session, "email": email, "phone": "", "aal": aal,
            "iat": NOW.unix_timestamp(), "exp": (NOW + Duration::hours(1)).unix_timestamp(),
            "amr": [{"method": "password", "timestamp": NOW.unix_timestamp()}],
            "app_metadata": app_metadata, "user_metadata": user_metadata, "is_anonymous": false
        });
        json!({
            "access_token": self.mint(claims), "token_type": "bearer", "expires_in": 3600,
            "expires_at": (NOW + Duration::hours(1)).unix_timestamp(), "refresh_token": "v1-refresh",
            "user": {
                "id": user.id, "aud": "authenticated", "role": "authenticated", "email": email, "phone": "",
                "app_metadata": app_metadata, "user_metadata": user_metadata, "identities": null,
                "factors": user.factors, "is_anonymous": false
            }
        })
    }

    fn mint(&self, claims: Value) -> String {
        let inner = self.inner();
        let Some(key) = inner.keys.first() else { return "no.key.left".to_owned() };
        let header = json!({"alg": key.algorithm(), "kid": key.kid, "typ": "JWT"});
        let mut draft = Draft { header, claims, signed_by: Signer::Key(Arc::clone(key)) };
        if let Some(forging) = &inner.forging {
            forging(&mut draft);
        }
        draft.write()
    }
}
