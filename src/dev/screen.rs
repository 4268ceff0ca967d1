//! The output of a local run: the members, and the URLs.

use std::path::Path;

use anyhow::Result;
use secrecy::ExposeSecret as _;
use sqlx::PgPool;

use super::Local;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::console_roles::ConsoleRole;
use crate::console::session::Session;
use crate::console::signing_in::links;
use crate::ops::members::{self, MAX_LIMIT, PageRequest};
use crate::ops::replay::url_of;

/// Printed if the database has an older demo.
pub const OUTDATED_DEMO: &str =
    "the demo members are those of an earlier day: drop this database and run again to have them as of today";

/// The actor in the audit log for a sign-in by the link of a local run.
pub const BY_LINK: &str = "console (local run)";

/// Prints the members and the URLs.
///
/// # Errors
/// If the members cannot be read.
pub async fn print(pool: &PgPool, config: &Config, local: &Local) -> Result<()> {
    let request = PageRequest { limit: MAX_LIMIT, ..PageRequest::default() };
    let page = members::list(pool, &request, local.clock.now()).await?;
    let sign_in = sign_in_link(pool, config, &local.clock).await?;
    anstream::println!(
        "{}\n\n{}",
        (local.table)(&page.members),
        addresses(config, &local.settings, &sign_in)
    );
    Ok(())
}

/// The console's address, with a code that signs in once.
async fn sign_in_link(pool: &PgPool, config: &Config, clock: &Clock) -> Result<String> {
    let Some(token) = &config.admin_token else { return Ok("off".to_owned()) };
    let session = Session { actor: BY_LINK.to_owned(), role: ConsoleRole::Admin };
    let code = links::make(pool, token, &session, clock.now()).await?;
    Ok(format!("{}{} (once, within 15 minutes)", ops_url(config), links::path(&code)))
}

fn ops_url(config: &Config) -> String {
    url_of(config.separate_ops_bind().unwrap_or(config.bind))
}

fn addresses(config: &Config, settings: &Path, sign_in: &str) -> String {
    let url = url_of(config.bind);
    let ops = ops_url(config);
    let token = config.admin_token.as_ref().map_or("", |token| token.expose_secret());
    let queue = config.amqp_url.as_ref().map_or("in Postgres", |url| url.expose_secret());
    let program = std::env::args().next().unwrap_or_else(|| "memberflow".to_owned());
    format!(
        "\
console    {sign_in}
members    curl -H 'authorization: Bearer {token}' {ops}/api/members
health     {url}/healthz  {ops}/readyz  {ops}/metrics
database   {database}
queue      {queue}
Stripe     stripe listen --forward-to {url}/webhooks/stripe
           (and start again with STRIPE_WEBHOOK_SECRETS set to the whsec_… that it prints)
more       {program} --config {settings} --help",
        database = config.database_url.expose_secret(),
        settings = settings.display(),
    )
}
