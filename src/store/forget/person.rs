//! Who is to be forgotten: the account, the addresses, the customers, and the events that tell of them.

use std::collections::BTreeSet;

use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::store::{Store, StoreError};

/// A person, as far as the database knows of them.
#[derive(Clone, Debug, Default)]
pub struct Person {
    /// The account, there or gone.
    pub user_id: Option<Uuid>,
    /// It is still there.
    pub account_is_there: bool,
    /// Every address known, in lower case.
    pub(super) addresses: BTreeSet<String>,
    /// Stripe's customers.
    pub customers: BTreeSet<String>,
    /// Events whose bodies name any of these: source and name.
    pub(super) events: Vec<(String, String)>,
}

/// The events whose bodies name somebody, in SQL; binds the pattern as $1. Bytes that are no text do no harm.
const NAMED: &str = "lower(encode(body, 'escape')) ~ $1";

impl Store {
    /// Finds the person of this user id or e-mail address. Reads every body in the inbox, twice where that shows
    /// further addresses; keeps nobody waiting meanwhile.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn find_person(&self, who: &str) -> Result<Option<Person>, StoreError> {
        let mut person = Person { user_id: who.parse().ok(), ..Person::default() };
        if person.user_id.is_none() {
            person.addresses.insert(who.trim().to_lowercase());
        }
        loop {
            let known = person.addresses.len() + person.customers.len();
            person.look_up(&self.pool).await?;
            person.read_events(&self.pool).await?;
            if person.addresses.len() + person.customers.len() == known {
                break;
            }
        }
        let known = person.account_is_there || !person.customers.is_empty() || !person.events.is_empty();
        Ok((known || person.is_a_lead(&self.pool).await?).then_some(person))
    }
}

impl Person {
    pub(super) fn emails(&self) -> Vec<&str> {
        self.addresses.iter().map(String::as_str).collect()
    }

    fn customer_ids(&self) -> Vec<&str> {
        self.customers.iter().map(String::as_str).collect()
    }

    /// What the tables know of them.
    async fn look_up(&mut self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let accounts: Vec<(Uuid, Option<String>)> = sqlx::query_as(
            "select id, lower(email) from auth.users where id = $1 or $1 is null and lower(email) = any ($2) limit 1",
        )
        .bind(self.user_id)
        .bind(self.emails())
        .fetch_all(pool)
        .await?;
        for (id, email) in accounts {
            (self.user_id, self.account_is_there) = (Some(id), true);
            self.addresses.extend(email);
        }
        let customers: Vec<String> = sqlx::query_scalar(
            "select id from ingest.customers where user_id = $1
             union
             select c.customer_id from ingest.customer_emails c left join ingest.customers o on o.id = c.customer_id
             where c.email = any ($2) and (o.user_id is null or o.user_id = $1)",
        )
        .bind(self.user_id)
        .bind(self.emails())
        .fetch_all(pool)
        .await?;
        self.customers.extend(customers);
        let emails: Vec<String> = sqlx::query_scalar(
            "select email from ingest.customer_emails where customer_id = any ($1) and email <> ''
             union
             select lower(state ->> 'email') from ingest.stripe_facts
             where (customer_id = any ($1) or id = any ($1)) and state ->> 'email' is not null",
        )
        .bind(self.customer_ids())
        .fetch_all(pool)
        .await?;
        self.addresses.extend(emails);
        Ok(())
    }

    /// The events that name them, and the addresses that the account had by those.
    async fn read_events(&mut self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let Some(pattern) = self.pattern() else { return Ok(()) };
        let found: Vec<(String, String, Vec<u8>)> = sqlx::query_as(
            "select source, event_id, case when source in ('supabase.auth', 'supabase.database') then body else '' end
             from ingest.inbox
             where pruned_at is null and (source <> 'internal' or event_type in ('snapshot', 'corrected'))
               and lower(encode(body, 'escape')) ~ $1",
        )
        .bind(pattern)
        .fetch_all(pool)
        .await?;
        for (.., body) in &found {
            self.addresses.extend(self.addresses_in(body));
        }
        self.events = found.into_iter().map(|(source, event_id, _)| (source, event_id)).collect();
        Ok(())
    }

    /// The addresses of the account in the body of an event of Supabase's.
    fn addresses_in(&self, body: &[u8]) -> Vec<String> {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let own = self.user_id.map(|id| id.to_string());
        let rows = [&body["record"], &body["old_record"], &body["user"]];
        let rows = rows.into_iter().filter(|row| own.is_some() && row["id"].as_str() == own.as_deref());
        let emails = rows.filter_map(|row| row["email"].as_str());
        emails.filter(|email| !email.is_empty()).map(str::to_lowercase).collect()
    }

    /// A regular expression for any of their names as a whole; none where there are none.
    fn pattern(&self) -> Option<String> {
        let user = self.user_id.map(|id| id.to_string());
        let names = user.iter().chain(&self.addresses).chain(&self.customers).map(|name| escaped(name));
        let names: Vec<String> = names.collect();
        let any = names.join("|");
        (!names.is_empty()).then(|| format!("(?<![a-z0-9._%+-])({any})(?![a-z0-9_-])(?!\\.[a-z0-9])"))
    }

    async fn is_a_lead(&self, pool: &PgPool) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("select exists (select from public.leads where lower(email) = any ($1))")
            .bind(self.emails())
            .fetch_one(pool)
            .await
    }

    /// The objects that are theirs.
    pub(super) async fn subjects(&self, tx: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar(
            "with recursive reach (id) as (
                 (select unnest($1::text[])
                  union select id from stripe_facts where customer_id = any ($1)
                  union select object_id from claims where customer_id = any ($1)
                  union select object_id from customer_emails where customer_id = any ($1) or email = any ($2))
                 union
                 select l.other from reach r join stripe_links l on l.id = r.id
             )
             select id from reach",
        )
        .bind(self.customer_ids())
        .bind(self.emails())
        .fetch_all(tx)
        .await
    }

    /// How many events about them are still on their way, as far as the database knows.
    pub(super) async fn waiting(&self, tx: &mut PgConnection) -> Result<i64, sqlx::Error> {
        let count = format!(
            "select (select count(*) from ingest.outbox where {NAMED})
                  + (select count(*) from ingest.failing where {NAMED})"
        );
        sqlx::query_scalar(sqlx::AssertSqlSafe(count)).bind(self.pattern()).fetch_one(tx).await
    }

    /// Drops the dead letters that name them; returns how many.
    pub(super) async fn drop_letters(&self, tx: &mut PgConnection) -> Result<u64, sqlx::Error> {
        let drop = format!("delete from ingest.dead_letters where {NAMED} or lower(reason) ~ $1");
        let dropped = sqlx::query(sqlx::AssertSqlSafe(drop)).bind(self.pattern()).execute(tx).await?;
        Ok(dropped.rows_affected())
    }

    /// Empties the arguments of acts that name an address; returns how many.
    pub(super) async fn empty_acts(&self, tx: &mut PgConnection) -> Result<u64, sqlx::Error> {
        let addresses = Self { addresses: self.addresses.clone(), ..Self::default() };
        let emptied =
            sqlx::query("update ingest.audit_log set arguments = '{}' where lower(arguments::text) ~ $1")
                .bind(addresses.pattern())
                .execute(tx)
                .await?;
        Ok(emptied.rows_affected())
    }
}

/// `name` for a regular expression over text in which every byte that is not ASCII stands as its octal number.
fn escaped(name: &str) -> String {
    let byte = |byte: u8| match byte {
        b'.' | b'+' | b'*' | b'?' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'|' | b'^' | b'$' | b'\\' => {
            format!("\\{}", char::from(byte))
        }
        byte if byte.is_ascii() => char::from(byte.to_ascii_lowercase()).to_string(),
        byte => format!("\\\\{byte:03o}"),
    };
    name.bytes().map(byte).collect()
}
