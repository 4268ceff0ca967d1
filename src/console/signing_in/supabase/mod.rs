//! Signing in by Supabase: its Auth API says who somebody is, the database says what they may do.
//!
//! Nothing of what the Auth API gives is kept: its token is verified once, and from then on each request looks up what the
//! user may do (`roles`). `docs/decisions/console/console-sign-in-by-supabase.md` says why.

mod access_token;
pub(in crate::console) mod by_email;
pub(in crate::console) mod by_password;
mod keys;
mod ring_verifier;
pub(in crate::console) mod roles;

use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use time::OffsetDateTime;

use self::access_token::{Claims, TokenError};
use self::keys::Keys;
use self::roles::Account;
use crate::config::Config;
use crate::config::console_roles::RoleSource;
use crate::console::session::Session;
use crate::http::log_limit::LogLimit;
use crate::http::rate_limit::RateLimiter;
use crate::ops::supabase_auth_api::{AuthApi, AuthError, Granted, SecondFactor};

/// Attempts at one address in each [`ATTEMPTS_PERIOD`], right ones included.
const ATTEMPTS: u32 = 10;
const ATTEMPTS_PERIOD: Duration = Duration::from_secs(15 * 60);
/// The longest e-mail address, in bytes (RFC 5321).
const EMAIL_MAX_BYTES: usize = 254;

/// The project whose users sign in.
pub(in crate::console) struct Supabase {
    api: AuthApi,
    keys: Keys,
    roles: RoleSource,
    attempts: RateLimiter<String>,
    /// Where links in e-mails lead, where that is known.
    link_address: Option<String>,
    log: LogLimit,
}

/// What somebody types to be signed in.
struct Password<'a> {
    email: &'a str,
    password: &'a str,
    /// Of the second factor; empty where there is none.
    code: &'a str,
}

/// Who was signed in.
type SignedIn = Result<(Session, Account), SignInError>;

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub(in crate::console) enum SignInError {
    /// Not the right password, link or code, or nobody who may use the console. Which of them is nobody's business; the
    /// text is for the metric.
    #[error("{0}")]
    Refused(&'static str),
    /// The account has a second factor, and its code is missing.
    #[error("the code of the second factor is missing")]
    CodeNeeded,
    /// Supabase takes no more attempts for now.
    #[error("too many attempts")]
    TooMany,
    /// The Auth API does not answer, or takes nothing from us.
    #[error("the Auth API is out of reach")]
    Away,
    /// Links would lead to an address that is not known.
    #[error("the console's address is not known")]
    NoLinks,
    /// The database does not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Supabase {
    /// The project that the settings name; none where they name none.
    pub(in crate::console) fn new(config: &Config) -> Option<Self> {
        let api = match AuthApi::new(config) {
            Ok(api) => api?,
            Err(error) => {
                tracing::error!(%error, "nobody can sign in by Supabase");
                return None;
            }
        };
        Some(Self {
            api,
            keys: Keys::default(),
            roles: config.console_roles.clone(),
            attempts: RateLimiter::new(ATTEMPTS, ATTEMPTS_PERIOD),
            link_address: config.console_address().map(|address| format!("{address}/console/sign-in/email")),
            log: LogLimit::default(),
        })
    }

    /// What says what somebody may do.
    pub(in crate::console) fn roles(&self) -> &RoleSource {
        &self.roles
    }

    /// Whether people can sign in by a link in an e-mail.
    pub(in crate::console) fn sends_links(&self) -> bool {
        self.link_address.is_some()
    }

    /// Notes an attempt to be the user with this address, which comes back as Supabase writes it. Where nobody of that
    /// address may use the console, the Auth API is not even called: no way to try members' passwords, or to send them mail.
    async fn attempt(&self, pool: &PgPool, email: &str, now: OffsetDateTime) -> Result<String, SignInError> {
        let email = email.trim().to_lowercase();
        let is_address = (3..=EMAIL_MAX_BYTES).contains(&email.len())
            && email.contains('@')
            && !email.contains(|c: char| c.is_control() || c.is_whitespace());
        if !is_address {
            return Err(SignInError::Refused("console-email-malformed"));
        }
        if !roles::knows(pool, &self.roles, &email, now).await? {
            return Err(SignInError::Refused("console-role-missing"));
        }
        if self.attempts.check(email.clone(), Instant::now()).is_exceeded {
            // Of an address without a role nobody counts: an answer would reveal who has one.
            return Err(SignInError::Refused("console-attempts"));
        }
        Ok(email)
    }

    /// Signs in who has this password.
    async fn by_password(&self, pool: &PgPool, attempt: &Password<'_>, now: OffsetDateTime) -> SignedIn {
        let email = self.attempt(pool, attempt.email, now).await?;
        let granted = self.api.by_password(&email, attempt.password).await;
        let granted = granted.map_err(|error| self.refused(error, "console-password-wrong"))?;
        self.admit(pool, granted, attempt.code, now).await
    }

    /// Sends an e-mail whose link works together with `verifier`, if somebody of this address may use the console. Whether
    /// it did is not said: that would reveal who may.
    async fn send_link(
        &self,
        pool: &PgPool,
        email: &str,
        verifier: &str,
        now: OffsetDateTime,
    ) -> Result<(), SignInError> {
        let Some(address) = &self.link_address else { return Err(SignInError::NoLinks) };
        let email = self.attempt(pool, email, now).await?;
        let sent = self.api.send_link(&email, address, verifier).await;
        sent.map_err(|error| self.refused(error, "console-email-refused"))
    }

    /// Signs in who opened a link.
    async fn by_link(
        &self,
        pool: &PgPool,
        link: &str,
        verifier: &str,
        code: &str,
        now: OffsetDateTime,
    ) -> SignedIn {
        let granted = self.api.by_link(link, verifier).await;
        let granted = granted.map_err(|error| self.refused(error, "console-email-link-wrong"))?;
        self.admit(pool, granted, code, now).await
    }

    /// Signs in who has the code of an e-mail, in the place of a password.
    async fn by_code(&self, pool: &PgPool, attempt: &Password<'_>, now: OffsetDateTime) -> SignedIn {
        let email = self.attempt(pool, attempt.email, now).await?;
        let granted = self.api.by_code(&email, attempt.password.trim()).await;
        let granted = granted.map_err(|error| self.refused(error, "console-email-code-wrong"))?;
        self.admit(pool, granted, attempt.code, now).await
    }

    /// Whose session `granted` is, if its token holds and the user may use the console. `code` is of the second factor.
    async fn admit(&self, pool: &PgPool, granted: Granted, code: &str, now: OffsetDateTime) -> SignedIn {
        let granted = self.with_second_factor(granted, code).await?;
        let claims = self.verify(&granted, now).await?;
        let account = Account { user_id: claims.sub, auth_session_id: claims.session_id };
        let person = roles::present(pool, &self.roles, account, now).await?;
        let Some(person) = person else {
            tracing::info!(user = %account.user_id, "sign-in refused: this user has no role in the console");
            return Err(SignInError::Refused("console-role-missing"));
        };
        let actor = roles::actor(&person, account.user_id);
        Ok((Session { actor, role: person.role }, account))
    }

    /// Who has set up a second factor uses it here, too.
    async fn with_second_factor(&self, granted: Granted, code: &str) -> Result<Granted, SignInError> {
        match granted.second_factor() {
            SecondFactor::None => Ok(granted),
            SecondFactor::Other => {
                tracing::info!("sign-in refused: the user's second factor is no authenticator app");
                Err(SignInError::Refused("console-factor-unknown"))
            }
            SecondFactor::App(_) if code.trim().is_empty() => Err(SignInError::CodeNeeded),
            SecondFactor::App(factor) => {
                let granted = self.api.answer_factor(&granted, factor, code.trim()).await;
                granted.map_err(|error| self.refused(error, "console-factor-wrong"))
            }
        }
    }

    /// What the token says, if it holds.
    async fn verify(&self, granted: &Granted, now: OffsetDateTime) -> Result<Claims, SignInError> {
        let token = granted.access_token.expose_secret();
        let kid = access_token::kid(token).map_err(distrusted)?;
        let key = self.keys.find(&self.api, &kid, Instant::now()).await.map_err(|error| self.away(&error))?;
        let key = key.ok_or_else(|| distrusted(TokenError::UnknownKey))?;
        let has_second_factor = granted.second_factor() != SecondFactor::None;
        access_token::verify(token, &key, self.api.issuer(), has_second_factor, now).map_err(distrusted)
    }

    /// What a refusal of the Auth API means to whoever tries to sign in.
    fn refused(&self, error: AuthError, reason: &'static str) -> SignInError {
        // Strangers can make Supabase refuse: not for the log of every day.
        tracing::debug!(%error, reason, "sign-in refused");
        match error {
            AuthError::Refused { .. } => SignInError::Refused(reason),
            AuthError::TooMany => SignInError::TooMany,
            error => self.away(&error),
        }
    }

    fn away(&self, error: &AuthError) -> SignInError {
        if let Some(suppressed) = self.log.admit(Instant::now()) {
            tracing::error!(%error, suppressed, "cannot sign anybody in by Supabase");
        }
        SignInError::Away
    }
}

fn distrusted(error: TokenError) -> SignInError {
    tracing::warn!(%error, "sign-in refused: the token that the Auth API gave does not hold");
    SignInError::Refused("console-jwt-refused")
}
