//! What is compared with what, in SQL: each check says what stands there and what a recount gives, by member,
//! campaign, ticket or text message.

pub(super) mod campaigns;
pub(super) mod mapped;
pub(super) mod messages;
pub(super) mod tickets;

use std::borrow::Cow;

use super::Mend;

/// Whom a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Members,
    Campaigns,
    Tickets,
    Messages,
}

/// One comparison.
pub(super) struct Check {
    /// What is looked at.
    pub field: Cow<'static, str>,
    /// A table of the application's that it reads.
    pub source: Option<&'static str>,
    pub about: About,
    pub mend: Mend,
    /// `(id, value)` as it stands.
    here: Cow<'static, str>,
    /// `(id, value)` as counted again.
    recount: Cow<'static, str>,
    /// What no row at all amounts to.
    nothing: &'static str,
}

impl Check {
    /// The statement that gives `(id, here, recount)` where they differ.
    pub fn sql(&self) -> String {
        let Self { here, recount, nothing, .. } = self;
        format!(
            "select id, h.value::text, r.value::text
             from ({here}) h (id, value) full join ({recount}) r (id, value) using (id)
             where coalesce(h.value, {nothing}) is distinct from coalesce(r.value, {nothing})
             order by id"
        )
    }
}

/// A column of `user_activity_metrics` and what is counted of it. Users who are gone have no row.
macro_rules! shown {
    ($column:literal, $count:literal) => {
        Check {
            field: Cow::Borrowed(concat!("public.user_activity_metrics.", $column)),
            source: None,
            about: About::Members,
            mend: Mend::Fix,
            here: Cow::Borrowed(concat!("select user_id, ", $column, " from public.user_activity_metrics")),
            recount: Cow::Borrowed(concat!(
                "select a.user_id, ",
                $count,
                " from ingest.activity a join auth.users u on u.id = a.user_id"
            )),
            nothing: "0",
        }
    };
}

/// A column of `user_revenue_by_currency` and the sum that it is, each currency by itself.
macro_rules! by_currency {
    ($column:literal, $sum:literal) => {
        Check {
            field: Cow::Borrowed(concat!("public.user_revenue_by_currency.", $column)),
            source: None,
            about: About::Members,
            mend: Mend::Fix,
            here: Cow::Borrowed(concat!(
                "select user_id, jsonb_object_agg(currency, ",
                $column,
                ") from public.user_revenue_by_currency where ",
                $column,
                " <> 0 group by user_id"
            )),
            recount: Cow::Borrowed(concat!(
                "select user_id, jsonb_object_agg(currency, value)
                 from (select c.user_id, r.currency, sum(",
                $sum,
                ") as value
                       from ingest.customers c join auth.users u on u.id = c.user_id
                       join ingest.customer_revenue r on r.customer_id = c.id
                       group by c.user_id, r.currency) s
                 where value <> 0 group by user_id"
            )),
            nothing: "'{}'",
        }
    };
}

/// A column of `user_revenue_metrics` and the sum that it is, in the row's currency.
macro_rules! in_main_currency {
    ($column:literal, $sum:literal) => {
        Check {
            field: Cow::Borrowed(concat!("public.user_revenue_metrics.", $column)),
            source: None,
            about: About::Members,
            mend: Mend::Fix,
            here: Cow::Borrowed(concat!("select user_id, ", $column, " from public.user_revenue_metrics")),
            recount: Cow::Borrowed(concat!(
                "select m.user_id, coalesce(sum(",
                $sum,
                "), 0)::bigint from public.user_revenue_metrics m
                 left join ingest.customers c on c.user_id = m.user_id
                 left join ingest.customer_revenue r on r.customer_id = c.id and r.currency = m.currency
                 group by m.user_id"
            )),
            nothing: "0",
        }
    };
}

/// A count that is kept, and the facts that it is the count of.
macro_rules! kept {
    ($column:literal, $relation:literal, $amount:literal) => {
        Check {
            field: Cow::Borrowed(concat!("ingest.activity.", $column)),
            source: None,
            about: About::Members,
            mend: Mend::Rebuild,
            here: Cow::Borrowed(concat!("select user_id, ", $column, " from ingest.activity")),
            recount: Cow::Borrowed(concat!(
                "select user_id, sum(",
                $amount,
                ")::bigint from ingest.row_facts
                 where relation = '",
                $relation,
                "' and counted and user_id is not null
                 group by user_id"
            )),
            nothing: "0",
        }
    };
}

/// The checks that are the same everywhere.
pub(super) const CHECKS: [Check; 17] = [
    shown!("total_logins", "a.logins"),
    shown!("s3_file_count", "a.files"),
    shown!("total_storage_mb", "least(round(a.file_bytes / 1048576.0, 2), 99999999.99)"),
    Check {
        field: Cow::Borrowed("public.user_activity_metrics.last_login_at"),
        source: None,
        about: About::Members,
        mend: Mend::Fix,
        here: Cow::Borrowed("select user_id, last_login_at from public.user_activity_metrics"),
        recount: Cow::Borrowed("select l.user_id, max(l.logged_in_at) from ingest.logins l join auth.users u on u.id = l.user_id
                  where l.counted group by l.user_id"),
        nothing: "'epoch'",
    },
    by_currency!("mrr", "r.mrr"),
    by_currency!("total_spent", "r.collected"),
    by_currency!("ltv", "r.collected - r.refunded - r.disputed"),
    in_main_currency!("mrr", "r.mrr"),
    in_main_currency!("total_spent", "r.collected"),
    in_main_currency!("ltv", "r.collected - r.refunded - r.disputed"),
    Check {
        field: Cow::Borrowed("ingest.activity.logins"),
        source: None,
        about: About::Members,
        mend: Mend::Rebuild,
        here: Cow::Borrowed("select user_id, logins from ingest.activity"),
        recount: Cow::Borrowed("select user_id, count(*) from ingest.logins where counted group by user_id"),
        nothing: "0",
    },
    kept!("files", "storage.objects", "1"),
    kept!("file_bytes", "storage.objects", "amount"),
    Check {
        field: Cow::Borrowed("public.leads.converted_to_user_id (leads to convert)"),
        source: Some("public.leads"),
        about: About::Members,
        mend: Mend::Fix,
        here: Cow::Borrowed("select null::uuid, 0::bigint where false"),
        recount: Cow::Borrowed("select u.id, count(*) from public.leads l join auth.users u on lower(u.email) = lower(l.email)
                  where l.converted_to_user_id is null and ingest.member_with_address(u.email) = u.id
                    and ingest.lead_came_first(l.created_at, u.id)
                  group by u.id"),
        nothing: "0",
    },
    Check {
        field: Cow::Borrowed("public.leads.converted_to_user_id (leads of members already)"),
        source: Some("public.leads"),
        about: About::Members,
        mend: Mend::Fix,
        here: Cow::Borrowed("select c.user_id, count(*) from ingest.lead_conversions c
                  join public.leads l on l.id = c.lead_id and l.converted_to_user_id = c.user_id
                  where not ingest.lead_came_first(l.created_at, c.user_id) group by c.user_id"),
        recount: Cow::Borrowed("select null::uuid, 0::bigint where false"),
        nothing: "0",
    },
    Check {
        field: Cow::Borrowed("public.leads.conversion_value"),
        source: Some("public.leads"),
        about: About::Members,
        mend: Mend::Fix,
        here: Cow::Borrowed("select converted_to_user_id, jsonb_object_agg(id, conversion_value) from public.leads
               where converted_to_user_id is not null group by 1"),
        recount: Cow::Borrowed("select l.converted_to_user_id,
                         jsonb_object_agg(l.id, trim_scale(ingest.lead_value(
                             l.converted_to_user_id, c.currency, pg_typeof(l.conversion_value), l.created_at)))
                  from public.leads l
                  cross join lateral ingest.lead_currency(
                      ingest.campaign_of(l.campaign_id, l.utm_campaign, l.utm_source, l.utm_medium),
                      l.converted_to_user_id, l.currency) as c (currency)
                  where l.converted_to_user_id is not null group by 1"),
        nothing: "'{}'",
    },
    // Sessions go at logout, so only those that are there and that nobody has reported are a difference.
    Check {
        field: Cow::Borrowed("auth.sessions (logins)"),
        source: Some("auth.sessions"),
        about: About::Members,
        mend: Mend::Backfill,
        here: Cow::Borrowed("select null::uuid, 0::bigint where false"),
        recount: Cow::Borrowed("select s.user_id, count(*) from auth.sessions s
                  where s.oauth_client_id is null
                    and s.created_at >= coalesce((select at from ingest.switched_on), '-infinity')
                    and not exists (select from ingest.logins l where l.session_id = s.id::text)
                  group by s.user_id"),
        nothing: "0",
    },
];
