//! The person's own addresses: confirmed by Supabase, or named by the operator. An address typed by a payer
//! at Stripe proves nothing and is not followed.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ForgetError, body};
use crate::project::identity::folded_email;

/// What happens to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressHandling {
    /// It is the person's: what has it and belongs to nobody else is removed.
    Followed,
    /// It is on the person's own rows, and is removed only from those.
    OwnRows,
    /// Somebody else has it too: it is not followed.
    LeftAlone,
}

/// An address that the person's rows have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ListedAddress {
    /// Normalised for comparison.
    pub address: String,
    /// What happens to it.
    #[serde(rename = "use")]
    pub handling: AddressHandling,
    /// Why.
    pub because: String,
}

/// Who is meant: the account, and the addresses known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PersonIdentity {
    pub user_id: Option<Uuid>,
    /// Whether the account still exists.
    pub account_is_there: bool,
    /// Addresses that are the person's.
    pub own: BTreeSet<String>,
    /// Unconfirmed addresses of the account.
    pub unconfirmed: BTreeSet<String>,
}

/// An address that an event gives a user.
struct ReportedAddress {
    user_id: Uuid,
    email: String,
    is_confirmed: bool,
}

impl PersonIdentity {
    /// The person with this user id or address; `None` if it is neither.
    pub async fn find(tx: &mut PgConnection, who: &str, with_sso: bool) -> Result<Option<Self>, ForgetError> {
        let mut identity = Self { user_id: Uuid::parse_str(who.trim()).ok(), ..Self::default() };
        if identity.user_id.is_none() {
            let Some(named) = folded_email(who) else { return Ok(None) };
            identity.user_id = identity.user_of(tx, &named, with_sso).await?;
            identity.own.insert(named);
        }
        if let Some(user) = identity.user_id {
            identity.add_present(tx, user, with_sso).await?;
            identity.add_reported(tx, user, with_sso).await?;
        }
        identity.unconfirmed = &identity.unconfirmed - &identity.own;
        Ok(Some(identity))
    }

    /// The user whose address it is, or was if nobody has it now.
    async fn user_of(
        &self,
        tx: &mut PgConnection,
        named: &str,
        with_sso: bool,
    ) -> Result<Option<Uuid>, ForgetError> {
        let mut users: BTreeSet<Uuid> = holders(tx, named).await?.into_iter().collect();
        if users.is_empty() {
            users.extend(matched(tx, None, Some(named)).await?.into_iter().map(|(user, _)| user));
            let reported = reported(tx, named, with_sso).await?.into_iter();
            users.extend(reported.filter(|it| it.is_confirmed && it.email == named).map(|it| it.user_id));
        }
        if users.len() > 1 {
            let users: Vec<String> = users.iter().map(Uuid::to_string).collect();
            return Err(ForgetError::Ambiguous(users.join(", ")));
        }
        Ok(users.pop_first())
    }

    fn add(&mut self, email: String, is_confirmed: bool) {
        if is_confirmed { &mut self.own } else { &mut self.unconfirmed }.insert(email);
    }

    async fn add_present(
        &mut self,
        tx: &mut PgConnection,
        user: Uuid,
        with_sso: bool,
    ) -> Result<(), sqlx::Error> {
        let account: Option<(Option<String>, bool)> = sqlx::query_as(
            "select email, email_confirmed_at is not null and ($2 or is_sso_user is not true)
             from auth.users where id = $1",
        )
        .bind(user)
        .bind(with_sso)
        .fetch_optional(tx)
        .await?;
        self.account_is_there = account.is_some();
        if let Some((Some(email), is_confirmed)) = account
            && let Some(email) = folded_email(&email)
        {
            self.add(email, is_confirmed);
        }
        Ok(())
    }

    /// Addresses from events about the account, and those by which a customer was matched, which were
    /// confirmed then.
    async fn add_reported(
        &mut self,
        tx: &mut PgConnection,
        user: Uuid,
        with_sso: bool,
    ) -> Result<(), sqlx::Error> {
        for (_, email) in matched(tx, Some(user), None).await? {
            self.add(email, true);
        }
        for it in reported(tx, &user.to_string(), with_sso).await? {
            if it.user_id == user {
                self.add(it.email, it.is_confirmed);
            }
        }
        Ok(())
    }
}

async fn holders(tx: &mut PgConnection, email: &str) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "select id from auth.users where lower(email) = lower($1) and ingest.folded_email(email) = $1",
    )
    .bind(email)
    .fetch_all(tx)
    .await
}

/// Users whom a customer was matched to by address, with the address.
async fn matched(
    tx: &mut PgConnection,
    user: Option<Uuid>,
    email: Option<&str>,
) -> Result<Vec<(Uuid, String)>, sqlx::Error> {
    sqlx::query_as(
        "select distinct user_id, email from ingest.customer_emails
         where role = 'matched' and user_id is not null and email <> '' and (user_id = $1 or email = $2)",
    )
    .bind(user)
    .bind(email)
    .fetch_all(tx)
    .await
}

/// The users' addresses in applied events that name this id or address.
async fn reported(
    tx: &mut PgConnection,
    name: &str,
    with_sso: bool,
) -> Result<Vec<ReportedAddress>, sqlx::Error> {
    let statement = format!(
        "select source, body from ingest.events
         where state = 'applied' and pruned_at is null
           and (source = 'supabase.auth' or source = 'supabase.database' and event_type like 'auth.users.%')
           and {}",
        body::CANDIDATES
    );
    let rows: Vec<(String, Vec<u8>)> =
        sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(body::pattern([name])).fetch_all(tx).await?;
    Ok(rows.iter().flat_map(|(source, body)| reported_addresses_in(source, body, with_sso)).collect())
}

fn reported_addresses_in(source: &str, body: &[u8], with_sso: bool) -> Vec<ReportedAddress> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    // The hooks run before anybody has confirmed the address.
    let is_row = source == "supabase.database";
    let rows = if is_row { vec![&body["record"], &body["old_record"]] } else { vec![&body["user"]] };
    let report = |row: &Value| {
        let is_confirmed = row.get("email_confirmed_at").is_none_or(|at| !at.is_null());
        let may_count = with_sso || row["is_sso_user"] != Value::Bool(true);
        Some(ReportedAddress {
            user_id: Uuid::parse_str(row["id"].as_str()?).ok()?,
            email: folded_email(row["email"].as_str()?)?,
            is_confirmed: is_row && is_confirmed && may_count,
        })
    };
    rows.into_iter().filter_map(report).collect()
}
