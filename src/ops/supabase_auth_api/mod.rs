//! A client of the project's Auth API: browsers never call it themselves.

mod answer;
mod keys;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, Method};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use uuid::Uuid;

use crate::config::Config;
use crate::config::hosts::{host_of, is_this_machine};

pub(crate) use answer::{Granted, SecondFactor};
pub use keys::Key;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);
/// The most concurrent requests; others wait, so that a flood of sign-ins does not reach Supabase.
const REQUESTS_MAX: usize = 8;

/// The Auth API of one project.
pub struct AuthApi {
    client: Client,
    /// `<project>/auth/v1`, which is also what its tokens name as their issuer.
    base: String,
    key: SecretString,
    turns: Semaphore,
}

/// A request to the Auth API failed.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The settings do not allow a request.
    #[error("SUPABASE_URL can't be used: {0}")]
    Settings(String),
    /// It rejected the request: the password, link or code is wrong.
    #[error("Supabase refused with {status} {code}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its own word for it, such as `invalid_credentials`.
        code: String,
    },
    /// It takes no more for now.
    #[error("Supabase takes no more attempts for now")]
    TooMany,
    /// It does not take our key.
    #[error("Supabase does not know the key in SUPABASE_PUBLISHABLE_KEY")]
    Key,
    /// No answer.
    #[error("Supabase's Auth API can't be reached: {0}")]
    Unreachable(String),
    /// An answer, but not one of the Auth API's.
    #[error("the answer is not one that Supabase's Auth API gives: {0}")]
    InvalidResponse(String),
}

impl AuthApi {
    /// The project of the settings. None without its address or its key.
    ///
    /// # Errors
    /// [`AuthError::Settings`].
    pub fn new(config: &Config) -> Result<Option<Self>, AuthError> {
        let (Some(url), Some(key)) = (&config.supabase_url, &config.supabase_publishable_key) else {
            return Ok(None);
        };
        // Whoever is first decides for the process; a second call changes nothing.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            // Passwords are for this address alone.
            .redirect(reqwest::redirect::Policy::none());
        let client = if is_this_machine(host_of(url)) { client.no_proxy() } else { client };
        let client = client.build().map_err(|error| AuthError::Settings(error.to_string()))?;
        let base = format!("{}/auth/v1", url.trim_end_matches('/'));
        Ok(Some(Self { client, base, key: key.clone(), turns: Semaphore::new(REQUESTS_MAX) }))
    }

    /// What tokens of this project name as their issuer.
    pub(crate) fn issuer(&self) -> &str {
        &self.base
    }

    /// The keys that sign tokens and can be used here. None: the project signs with a shared secret.
    ///
    /// # Errors
    /// The project does not answer.
    pub async fn keys(&self) -> Result<Vec<Key>, AuthError> {
        Ok(keys::read(&self.ask(Method::GET, "/.well-known/jwks.json", None, None).await?))
    }

    /// The session of whoever has this password.
    pub(crate) async fn by_password(&self, email: &str, password: &str) -> Result<Granted, AuthError> {
        let fields = json!({"email": email, "password": password});
        self.granted("/token?grant_type=password", fields, None).await
    }

    /// Sends a link to `address` and a code, if there is such a user. The link works together with `verifier` alone, which
    /// stays with the browser that requested it (PKCE).
    pub(crate) async fn send_link(
        &self,
        email: &str,
        address: &str,
        verifier: &str,
    ) -> Result<(), AuthError> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        let fields = json!({
            "email": email, "create_user": false, "code_challenge": challenge, "code_challenge_method": "s256"
        });
        let query =
            form_urlencoded::Serializer::new(String::new()).append_pair("redirect_to", address).finish();
        self.ask(Method::POST, &format!("/otp?{query}"), Some(fields), None).await.map(drop)
    }

    /// The session of whoever opened a link, with the verifier that was made for it.
    pub(crate) async fn by_link(&self, code: &str, verifier: &str) -> Result<Granted, AuthError> {
        let fields = json!({"auth_code": code, "code_verifier": verifier});
        self.granted("/token?grant_type=pkce", fields, None).await
    }

    /// The session of whoever has the code of an e-mail.
    pub(crate) async fn by_code(&self, email: &str, code: &str) -> Result<Granted, AuthError> {
        self.granted("/verify", json!({"type": "email", "email": email, "token": code}), None).await
    }

    /// The same session, with the second factor.
    pub(crate) async fn answer_factor(
        &self,
        granted: &Granted,
        factor: Uuid,
        code: &str,
    ) -> Result<Granted, AuthError> {
        let (path, token) = (format!("/factors/{factor}"), Some(&granted.access_token));
        let challenge = self.ask(Method::POST, &format!("{path}/challenge"), Some(json!({})), token).await?;
        let fields = json!({"challenge_id": challenge["id"], "code": code});
        self.granted(&format!("{path}/verify"), fields, token).await
    }

    async fn granted(
        &self,
        path: &str,
        fields: Value,
        bearer: Option<&SecretString>,
    ) -> Result<Granted, AuthError> {
        answer::granted(self.ask(Method::POST, path, Some(fields), bearer).await?)
    }

    /// One request, when it is its turn.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        fields: Option<Value>,
        bearer: Option<&SecretString>,
    ) -> Result<Value, AuthError> {
        let turn = timeout(REQUEST_TIMEOUT, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(AuthError::TooMany) };
        let request = self.client.request(method, format!("{}{path}", self.base));
        let request = request.header("apikey", self.key.expose_secret());
        let request = bearer.into_iter().fold(request, |it, token| it.bearer_auth(token.expose_secret()));
        let request = fields.iter().fold(request, |it, fields| it.json(fields));
        answer::read(request.send().await.map_err(|error| answer::unreachable(&error))?).await
    }
}
