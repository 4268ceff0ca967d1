//! Personal data in the CRM's tables. Rows that are counted stay, without the person.

use serde::Serialize;
use sqlx::{AssertSqlSafe, PgConnection};

use super::person::Person;
use super::plan::Ids;

/// The rows that are the person's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CrmRows {
    /// Leads that are emptied.
    pub leads: Ids,
    /// Visits (`lead_tracking_events`) that are deleted.
    pub visits: Ids,
    /// Tickets that are emptied, with their replies.
    pub tickets: Ids,
    /// Text messages that are deleted.
    pub messages: Ids,
    /// Text messages, by Twilio's id, whose reports are removed although the application has deleted their rows.
    pub reports: Ids,
}

/// The address of a converted lead may belong to somebody else by now.
const LEADS: &str = "
    select id::text from public.leads
    where (converted_to_user_id = $1 or converted_to_user_id is null and ingest.folded_email(email) = any ($2))
      and email not like 'forgotten-%@invalid'";

/// By user or lead; and rows with neither by the session, if nobody else had it.
const VISITS: &str = "
    with theirs as (
        select id, session_id from public.lead_tracking_events
        where user_id = $1 or user_id is null and lead_id = any ($3::text[]::uuid[])
    ), sessions as (
        select session_id from theirs
        union select session_id from public.leads where id = any ($3::text[]::uuid[])
        except select session_id from public.leads where id <> all ($3::text[]::uuid[])
        except select session_id from public.lead_tracking_events
               where user_id is not null and user_id is distinct from $1 or lead_id is not null and lead_id <> all ($3::text[]::uuid[])
    )
    select id::text from theirs
    union
    select e.id::text from public.lead_tracking_events e
    where e.user_id is null and e.lead_id is null and e.session_id in (select session_id from sessions)
      and e.session_id <> ''";

const TICKETS: &str = "
    select id::text from public.support_tickets t
    where (user_id = $1 or user_id is null and ingest.folded_email(guest_email) = any ($2))
      and ((subject, description) <> ('forgotten', '') or guest_email is not null
           or exists (select from public.support_ticket_replies r
                      where r.ticket_id = t.id and (r.message, r.attachments) <> ('', '{}')))";

/// By user, lead or ticket; and rows with none by the number, if no other lead, profile or account has it, however each
/// writes it.
const MESSAGES: &str = "
    with phones (own, phone) as (
        select id = any ($3::text[]::uuid[]), phone from public.leads where phone is not null
        union all
        select user_id is not distinct from $1, phone from public.user_profiles where phone is not null
        {accounts}
    ), unmatched (id, number) as (
        select id, regexp_replace(case direction when 'inbound' then from_number else to_number end, '\\D', '', 'g')
        from public.sms_messages where user_id is null and lead_id is null
    ), theirs as (
        select n.number from (select distinct number from unmatched) n
        join phones p on right(regexp_replace(p.phone, '\\D', '', 'g'), 7) = right(n.number, 7)
            and ingest.is_number(p.phone, n.number, $5)
        group by n.number having bool_and(p.own)
    )
    select id::text from public.sms_messages m
    where user_id = $1 or user_id is null and (
        lead_id = any ($3::text[]::uuid[]) or lead_id is null and (
            ticket_id = any ($4::text[]::uuid[])
            or id in (select u.id from unmatched u join theirs using (number))))";

/// Reported messages without a row, by the number, if no other lead, profile, account or message has it.
const REPORTS: &str = "
    with phones (own, phone) as (
        select id = any ($3::text[]::uuid[]), phone from public.leads where phone is not null
        union all
        select user_id is not distinct from $1, phone from public.user_profiles where phone is not null
        union all
        select m.id = any ($6::text[]::uuid[]), '+' || f.number
        from ingest.sms_facts f join public.sms_messages m on m.twilio_sid = f.sid
        where f.number is not null and (m.user_id is not null or m.lead_id is not null)
        {accounts}
    ), reported (sid, number) as (
        select f.sid, f.number from ingest.sms_facts f
        where f.number is not null and not exists (select from public.sms_messages m where m.twilio_sid = f.sid)
    ), theirs as (
        select n.number from (select distinct number from reported) n
        join phones p on right(regexp_replace(p.phone, '\\D', '', 'g'), 7) = right(n.number, 7)
            and ingest.is_number(p.phone, n.number, $5)
        group by n.number having bool_and(p.own)
    )
    select r.sid from reported r join theirs using (number)";

/// The numbers of `user_accounts`, where the application has such a table; `{key}` names the user's column.
const ACCOUNTS: &str = "union all
        select {key}::text is not distinct from $1::text, phone from public.user_accounts where phone is not null";

/// The column of `user_accounts` that names the user, if the table has phone numbers.
const ACCOUNTS_KEY: &str = "
    select c.column_name::text from information_schema.columns c
    where c.table_schema = 'public' and c.table_name = 'user_accounts' and c.column_name in ('user_id', 'id')
      and exists (select from information_schema.columns p
                  where p.table_schema = 'public' and p.table_name = 'user_accounts' and p.column_name = 'phone')
    order by c.column_name desc limit 1";

impl CrmRows {
    /// `country_code`: that of numbers written without one.
    pub(super) async fn of(
        tx: &mut PgConnection,
        person: &Person,
        country_code: &str,
    ) -> Result<Self, sqlx::Error> {
        let mut rows = Self::default();
        rows.leads = rows.select(tx, person, country_code, LEADS).await?;
        rows.visits = rows.select(tx, person, country_code, VISITS).await?;
        rows.tickets = rows.select(tx, person, country_code, TICKETS).await?;
        let key: Option<String> = sqlx::query_scalar(ACCOUNTS_KEY).fetch_optional(&mut *tx).await?;
        let accounts = key.map_or_else(String::new, |key| ACCOUNTS.replace("{key}", &key));
        let messages = MESSAGES.replace("{accounts}", &accounts);
        rows.messages = rows.select(tx, person, country_code, &messages).await?;
        let reports = REPORTS.replace("{accounts}", &accounts);
        rows.reports = rows.select(tx, person, country_code, &reports).await?;
        Ok(rows)
    }

    async fn select(
        &self,
        tx: &mut PgConnection,
        person: &Person,
        country_code: &str,
        statement: &str,
    ) -> Result<Ids, sqlx::Error> {
        // Postgres must know the type of each parameter, even if a statement does not use it.
        let statement = format!(
            "with given as (select $1::uuid, $2::text[], $3::text[], $4::text[], $5::text, $6::text[]) select id from ({statement}) as rows (id)"
        );
        let ids: Vec<String> = sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(person.user_id)
            .bind(person.followed())
            .bind(self.leads.all())
            .bind(self.tickets.all())
            .bind(country_code)
            .bind(self.messages.all())
            .fetch_all(tx)
            .await?;
        Ok(Ids(ids.into_iter().collect()))
    }

    /// Each kind of rows, with its name.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, &Ids)> {
        [
            ("leads", &self.leads),
            ("visits", &self.visits),
            ("tickets", &self.tickets),
            ("messages", &self.messages),
            ("reports of messages without a row", &self.reports),
        ]
        .into_iter()
    }
}

const EMPTY_LEADS: &str = "
    update public.leads
    set email = 'forgotten-' || id || '@invalid', first_name = null, last_name = null, phone = null,
        company = null, message = null, notes = null, metadata = '{}', session_id = null, referrer = null,
        landing_page = null, video_engagement = null, pages_visited = '{}', sms_opt_in = false
    where id = any ($1::text[]::uuid[])";

/// Cleans these rows, and staff's notes about the user.
pub(super) async fn clean(
    tx: &mut PgConnection,
    person: &Person,
    rows: &CrmRows,
) -> Result<Vec<(&'static str, u64)>, sqlx::Error> {
    let statements = [
        (
            "messages deleted",
            &rows.messages,
            "delete from public.sms_messages where id = any ($1::text[]::uuid[])",
        ),
        (
            "visits deleted",
            &rows.visits,
            "delete from public.lead_tracking_events where id = any ($1::text[]::uuid[])",
        ),
        (
            "replies emptied",
            &rows.tickets,
            "update public.support_ticket_replies set message = '', attachments = '{}'
             where ticket_id = any ($1::text[]::uuid[]) and (message, attachments) <> ('', '{}')",
        ),
        (
            "tickets emptied",
            &rows.tickets,
            "update public.support_tickets set subject = 'forgotten', description = '', guest_email = null
             where id = any ($1::text[]::uuid[])",
        ),
        ("leads emptied", &rows.leads, EMPTY_LEADS),
    ];
    let mut cleaned = Vec::new();
    for (what, ids, statement) in statements {
        let done = sqlx::query(statement).bind(ids.all()).execute(&mut *tx).await?;
        cleaned.push((what, done.rows_affected()));
    }
    let notes = sqlx::query(
        "update public.user_activity_metrics set admin_notes = null, custom_tags = '{}'
         where user_id = $1 and (admin_notes is not null or custom_tags <> '{}')",
    )
    .bind(person.user_id)
    .execute(tx)
    .await?;
    cleaned.push(("notes and tags removed", notes.rows_affected()));
    Ok(cleaned)
}
