//! What stands in tickets against what follows from their replies and statuses.

use std::borrow::Cow;

use super::{About, Check};
use crate::ops::reconcile::supabase::Mend;

/// The derived columns of the ticket or of its story.
macro_rules! derived {
    ($of:literal) => {
        concat!(
            "jsonb_build_array(",
            $of,
            ".status, ",
            $of,
            ".waiting_for, ",
            $of,
            ".waiting_since, ",
            $of,
            ".first_response_at, ",
            $of,
            ".last_member_reply_at, ",
            $of,
            ".last_staff_reply_at, ",
            $of,
            ".reply_count, ",
            $of,
            ".reopened_count, ",
            $of,
            ".resolved_at, ",
            $of,
            ".closed_at, ",
            $of,
            ".resolution_seconds)"
        )
    };
}

/// The check of the tickets.
pub(in crate::ops::reconcile::supabase) const CHECK: Check = Check {
    field: Cow::Borrowed("public.support_tickets (what follows from replies and statuses)"),
    source: Some("public.support_tickets"),
    about: About::Tickets,
    mend: Mend::Fix,
    here: Cow::Borrowed(concat!("select t.id, ", derived!("t"), " from public.support_tickets t")),
    recount: Cow::Borrowed(concat!(
        "select t.id, ",
        derived!("s"),
        " from public.support_tickets t cross join lateral ingest.ticket_story(t.id) s"
    )),
    nothing: "null",
};
