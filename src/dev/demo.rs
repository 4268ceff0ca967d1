//! Demo data: the tiers, members, campaigns and tickets of `fixtures/`, in the local Supabase stub.

use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database;
use crate::ops::fixture::{Member, TableRows, Tier};
use crate::store::events::EventKey;

const INSERT_TIERS: &str = "
    insert into public.membership_tiers (
        id, name, description, tier_type, is_active, price_monthly, price_yearly, stripe_product_id,
        stripe_price_id, billing_interval, plan_category, is_household_plan, included_seats,
        max_household_members, display_order
    )
    select * from jsonb_to_recordset($1) as tier (
        id uuid, name text, description text, tier_type public.membership_tier_type, is_active boolean,
        price_monthly int, price_yearly int, stripe_product_id text, stripe_price_id text,
        billing_interval text, plan_category text, is_household_plan boolean, included_seats int,
        max_household_members int, display_order int
    )
    on conflict do nothing";

const INSERT_USER: &str = "
    insert into auth.users (instance_id, id, aud, role, email, email_confirmed_at, created_at, updated_at)
    values ('00000000-0000-0000-0000-000000000000', $1, 'authenticated', 'authenticated', $2, $3, $4, $4)
    on conflict do nothing";

const INSERT_PROFILE: &str = "
    insert into public.user_profiles (user_id, first_name, last_name, phone, email, is_active, is_draft)
    select $1, $2, $3, $4, $5, true, false
    where not exists (select from public.user_profiles where user_id = $1)";

const INSERT_TICKETS: &str = "
    with given as (
        select t.*, $2 - make_interval(mins => t.minutes_ago) as at
        from jsonb_to_recordset($1) as t (
            id uuid, user_id uuid, subject text, description text, priority text, category text, minutes_ago int)
    )
    insert into public.support_tickets
        (id, user_id, subject, description, priority, category, created_at, updated_at)
    select id, user_id, subject, description, priority, category, at, at from given
    on conflict do nothing returning id";

const INSERT_REPLIES: &str = "
    insert into public.support_ticket_replies (id, ticket_id, user_id, message, is_staff, is_internal, created_at)
    select r.id, t.id, case when not r.is_staff then t.user_id end, r.message, r.is_staff, r.is_internal,
           $2 - make_interval(mins => r.minutes_ago)
    from jsonb_to_recordset($1) as t (id uuid, user_id uuid, said jsonb)
    cross join lateral jsonb_to_recordset(t.said) as r (
        id uuid, message text, is_staff boolean, is_internal boolean, minutes_ago int)
    where t.id = any ($3)";

const SET_STATUSES: &str = "
    update public.support_tickets s
    set status = t.status, updated_at = $2 - make_interval(mins => t.status_minutes_ago)
    from jsonb_to_recordset($1) as t (id uuid, status text, status_minutes_ago int)
    where s.id = t.id and t.status is not null and t.id = any ($3)";

const INSERT_CAMPAIGNS: &str = "
    insert into public.marketing_campaigns
        (id, name, slug, status, campaign_type, utm_source, utm_medium, utm_campaign, total_spent)
    select * from jsonb_to_recordset($1) as c (
        id uuid, name text, slug text, status text, campaign_type text, utm_source text, utm_medium text,
        utm_campaign text, total_spent bigint)
    on conflict do nothing";

const INSERT_LEADS: &str = "
    insert into public.leads (
        id, email, first_name, last_name, status, campaign_id, utm_source, utm_medium, utm_campaign, created_at, updated_at
    )
    select l.id, l.email, l.first_name, l.last_name, l.status, case l.by when 'campaign' then c.id end,
           case l.by when 'utm' then c.utm_source end, case l.by when 'utm' then c.utm_medium end,
           case l.by when 'utm' then c.utm_campaign end, $2 - make_interval(days => l.days_ago),
           $2 - make_interval(days => l.days_ago)
    from jsonb_to_recordset($1) as c (id uuid, utm_source text, utm_medium text, utm_campaign text, leads jsonb)
    cross join lateral jsonb_to_recordset(c.leads) as l (
        id uuid, email text, first_name text, last_name text, status text, days_ago int, by text)
    on conflict do nothing";

/// Inserts `campaigns` and their leads, each so long before `now`, as the application would. Twice is a no-op.
pub async fn insert_campaigns(
    pool: &PgPool,
    campaigns: &[serde_json::Value],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let mut tx = database::begin(pool).await?;
    sqlx::query(INSERT_CAMPAIGNS).bind(Json(campaigns)).execute(&mut *tx).await?;
    sqlx::query(INSERT_LEADS).bind(Json(campaigns)).bind(now).execute(&mut *tx).await?;
    tx.commit().await
}

/// Opens `tickets` of members who have signed up, as the application would, so long before `now`. Twice is a no-op.
pub async fn open_tickets(
    pool: &PgPool,
    tickets: &[serde_json::Value],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let mut tx = database::begin(pool).await?;
    let opened: Vec<Uuid> =
        sqlx::query_scalar(INSERT_TICKETS).bind(Json(tickets)).bind(now).fetch_all(&mut *tx).await?;
    for statement in [INSERT_REPLIES, SET_STATUSES] {
        sqlx::query(statement).bind(Json(tickets)).bind(now).bind(&opened).execute(&mut *tx).await?;
    }
    tx.commit().await
}

/// Writes `rows` into the tables of `public`, as the application would. Twice is a no-op.
pub async fn write_rows(pool: &PgPool, rows: &TableRows) -> Result<(), sqlx::Error> {
    for (table, rows) in rows {
        for row in rows {
            let columns = row.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let insert = format!(
                "insert into public.{table} ({columns})
                 select {columns} from jsonb_populate_record(null::public.{table}, $1) on conflict do nothing"
            );
            sqlx::query(AssertSqlSafe(insert)).bind(Json(row)).execute(pool).await?;
        }
    }
    Ok(())
}

/// Writes `tiers` into `membership_tiers`. Twice is a no-op.
pub async fn insert_tiers(pool: &PgPool, tiers: &[Tier]) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT_TIERS).bind(Json(tiers)).execute(pool).await?;
    Ok(())
}

/// Signs `members` up: a row in `auth.users` and an active profile each. Twice is a no-op. Returns the keys of
/// the trigger events that this caused.
pub async fn sign_up(pool: &PgPool, members: &[&Member]) -> Result<Vec<EventKey>, sqlx::Error> {
    let mut tx = database::begin(pool).await?;
    let last = "select last_value from ingest.event_ids";
    let last: i64 = sqlx::query_scalar(last).fetch_one(&mut *tx).await?;
    for member in members {
        insert(&mut tx, member).await?;
    }
    // Until the commit nobody else sees these rows, so all are still pending.
    let recorded =
        "select source, event_id from ingest.events where state = 'pending' and id > $1 order by id";
    let recorded = sqlx::query_as(recorded).bind(last).fetch_all(&mut *tx).await?;
    tx.commit().await?;
    Ok(recorded)
}

async fn insert(connection: &mut PgConnection, member: &Member) -> Result<(), sqlx::Error> {
    let Member { id, email, created_at, profile, .. } = member;
    let confirmed_at = member.email_confirmed.then_some(created_at);
    let user = sqlx::query(INSERT_USER).bind(id).bind(email).bind(confirmed_at).bind(created_at);
    user.execute(&mut *connection).await?;
    let row = sqlx::query(INSERT_PROFILE).bind(id).bind(&profile.first_name).bind(&profile.last_name);
    row.bind(&profile.phone).bind(email).execute(connection).await?;
    Ok(())
}
