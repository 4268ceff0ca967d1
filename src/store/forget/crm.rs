//! What people wrote down of a person in the CRM's tables, and what is not applied. Rows that are counted stay,
//! without the person.

use sqlx::{AssertSqlSafe, PgConnection};

use super::Person;

/// What is done, and how; $1 is the user, $2 the addresses. The leads come last: others find the person by them.
const STATEMENTS: [(&str, &str); 6] = [
    (
        "messages deleted",
        "delete from public.sms_messages m
         where m.user_id = $1 or exists (
             select from public.leads l
             where THEIRS and (m.lead_id = l.id or l.phone in (m.from_number, m.to_number)))",
    ),
    (
        "traces of visits deleted",
        "delete from public.lead_tracking_events
         where user_id = $1 or lead_id in (select id from public.leads where THEIRS)",
    ),
    (
        "replies emptied",
        "update public.support_ticket_replies set message = '', attachments = '{}'
         where (message, attachments) <> ('', '{}') and ticket_id in (
             select id from public.support_tickets where user_id = $1 or lower(guest_email) = any ($2))",
    ),
    (
        "tickets emptied",
        "update public.support_tickets set subject = 'forgotten', description = '', guest_email = null
         where (user_id = $1 or lower(guest_email) = any ($2)) and (subject, description) <> ('forgotten', '')",
    ),
    (
        "notes and tags removed",
        "update public.user_activity_metrics set admin_notes = null, custom_tags = '{}'
         where user_id = $1 and (admin_notes is not null or custom_tags <> '{}')",
    ),
    (
        "leads emptied",
        "update public.leads
         set email = 'forgotten-' || id || '@invalid', first_name = null, last_name = null, phone = null,
             company = null, message = null, notes = null, metadata = '{}', session_id = null, referrer = null,
             landing_page = null, video_engagement = null, pages_visited = '{}', sms_opt_in = false
         where THEIRS and email not like 'forgotten-%@invalid'",
    ),
];

/// Which leads are theirs.
const THEIRS: &str = "(converted_to_user_id = $1 or lower(email) = any ($2))";

pub(super) async fn clean(
    tx: &mut PgConnection,
    person: &Person,
) -> Result<Vec<(&'static str, u64)>, sqlx::Error> {
    let mut cleaned = vec![
        ("dead letters dropped", person.drop_letters(tx).await?),
        ("acts emptied", person.empty_acts(tx).await?),
    ];
    for (what, statement) in STATEMENTS {
        let statement = statement.replace("THEIRS", THEIRS);
        let done = sqlx::query(AssertSqlSafe(statement))
            .bind(person.user_id)
            .bind(person.emails())
            .execute(&mut *tx)
            .await?;
        cleaned.push((what, done.rows_affected()));
    }
    Ok(cleaned)
}
