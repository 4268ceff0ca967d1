//! What all pages share.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgPool;
use time::OffsetDateTime;

use super::html::error::PageError;
use super::live::Changes;
use super::signing_in::supabase::Supabase;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::auth_failures::AuthFailures;
use crate::lifecycle::Lifecycle;
use crate::ops::doctor::Doctor;
use crate::store::Store;

/// What the pages share. Cheap to clone.
#[derive(Clone)]
pub(super) struct Console(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) clock: Clock,
    /// What signs in an admin, if it is set.
    pub(super) admin_token: Option<SecretString>,
    /// What fingerprints of sessions are made with.
    pub(super) key: SecretString,
    /// The project whose users sign in, if it is set.
    pub(super) supabase: Option<Supabase>,
    /// Whether people reach the console over TLS.
    pub(super) is_secure: bool,
    pub(super) auth_failures: AuthFailures,
    /// Of the tables, for `/console/live`.
    pub(super) changes: Changes,
    pub(super) doctor: Doctor,
}

impl Console {
    /// `None` without an admin token and without Supabase: nobody could sign in.
    pub(super) fn new(store: Store, clock: Clock, config: &Config, lifecycle: &Lifecycle) -> Option<Self> {
        let admin_token = config.admin_token.clone().filter(|token| !token.expose_secret().is_empty());
        let supabase = Supabase::new(config);
        // Ids are too long to be guessed, whoever knows the key. A changed one ends all sessions.
        let by_supabase = config.supabase_publishable_key.clone().filter(|_| supabase.is_some());
        let key = admin_token.clone().or(by_supabase)?;
        Some(Self(Arc::new(Shared {
            store,
            clock,
            admin_token,
            key,
            supabase,
            is_secure: config.console_address().is_some_and(|url| url.starts_with("https://")),
            auth_failures: AuthFailures::default(),
            changes: Changes::new(lifecycle),
            doctor: Doctor::new(config),
        })))
    }

    pub(super) fn pool(&self) -> &PgPool {
        self.0.store.pool()
    }

    pub(super) fn now(&self) -> OffsetDateTime {
        self.0.clock.now()
    }

    pub(super) fn key(&self) -> &SecretString {
        &self.0.key
    }

    /// The project whose users sign in; without one there are no such pages.
    pub(super) fn supabase(&self) -> Result<&Supabase, PageError> {
        self.0.supabase.as_ref().ok_or(PageError::NotFound)
    }
}
