//! Cleans derived data: only the person's own objects.

use std::collections::BTreeMap;

use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::person::Person;
use crate::store::resolve::facts::ChangedObject;

/// A user id in any format. Anything else in its place may be personal data.
const IS_ID: &str = r"~* '^[\s{]*(urn:uuid:)?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}[\s}]*$'";

/// Removes the address from recorded matches.
pub(super) async fn matches(tx: &mut PgConnection, person: &Person) -> Result<u64, sqlx::Error> {
    let emptied = sqlx::query(
        "update ingest.events
         set body = convert_to((jsonb_set(convert_from(body, 'UTF8')::jsonb, '{email}', '\"\"') - 'passed')::text, 'UTF8')
         where source = 'internal' and event_type = 'matched'
           and split_part(event_id, '/', 2) = any ($1)
           and (convert_from(body, 'UTF8')::jsonb ->> 'email' <> '' or convert_from(body, 'UTF8')::jsonb ? 'passed')",
    )
    .bind(person.customer_ids())
    .execute(tx)
    .await?;
    Ok(emptied.rows_affected())
}

/// Returns the facts that changed.
pub(super) async fn facts(
    tx: &mut PgConnection,
    person: &Person,
) -> Result<BTreeMap<String, ChangedObject>, sqlx::Error> {
    let statement = format!(
        "with cleaned as (
             select id, state
                 || case when state ->> 'email' is not null then '{{\"email\": null}}' else '{{}}' end::jsonb
                 || case when not state ->> 'client_reference_id' {IS_ID} then '{{\"client_reference_id\": null}}'
                         else '{{}}' end::jsonb
                 || case when kind = 'charge' and state ->> 'description' is not null then '{{\"description\": null}}'
                         else '{{}}' end::jsonb
                 || case when jsonb_typeof(state -> 'user_ids') = 'array' then jsonb_build_object('user_ids', (
                        select coalesce(jsonb_agg(it order by n), '[]')
                        from jsonb_array_elements_text(state -> 'user_ids') with ordinality as u (it, n) where it {IS_ID}))
                         else '{{}}' end as state
             from ingest.stripe_facts where id = any ($1)
         )
         update ingest.stripe_facts f set state = c.state from cleaned c
         where f.id = c.id and f.state <> c.state returning f.id, f.state"
    );
    let rows = sqlx::query(AssertSqlSafe(statement)).bind(person.object_ids()).fetch_all(tx).await?;
    let changed = |row: &sqlx::postgres::PgRow| {
        let Json(after) = row.try_get(1)?;
        Ok((row.try_get(0)?, ChangedObject { before: None, after }))
    };
    rows.iter().map(changed).collect()
}

/// Removes references and metadata that are no user id; returns how many identity claims had any.
pub(super) async fn identity_claims(tx: &mut PgConnection, person: &Person) -> Result<u64, sqlx::Error> {
    let statement = format!(
        "with cleaned as (
             select object_id, strength, array(select it from unnest(claimed_users) with ordinality as u (it, n)
                                               where it {IS_ID} order by n) as claimed_users
             from ingest.claims where object_id = any ($1)
         )
         update ingest.claims k set claimed_users = c.claimed_users, email = null from cleaned c
         where k.object_id = c.object_id and k.strength = c.strength
           and (k.claimed_users <> c.claimed_users or k.email is not null)"
    );
    let cleaned = sqlx::query(AssertSqlSafe(statement)).bind(person.object_ids()).execute(tx).await?;
    Ok(cleaned.rows_affected())
}

/// Removes the addresses; the match itself stays, without the address.
pub(super) async fn emails(tx: &mut PgConnection, person: &Person) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query(
        "delete from ingest.customer_emails e using (
             select object_id, email, row_number() over (partition by object_id, role = 'matched'
                                                         order by reported_at, place, event_id) as position
             from ingest.customer_emails where customer_id = any ($1)
         ) r
         where e.object_id = r.object_id and e.email = r.email and (e.role <> 'matched' or r.position > 1)",
    )
    .bind(person.customer_ids())
    .execute(&mut *tx)
    .await?;
    let emptied = sqlx::query(
        "update ingest.customer_emails set email = ''
         where role = 'matched' and customer_id = any ($1) and email <> ''",
    )
    .bind(person.customer_ids())
    .execute(tx)
    .await?;
    Ok(deleted.rows_affected() + emptied.rows_affected())
}
