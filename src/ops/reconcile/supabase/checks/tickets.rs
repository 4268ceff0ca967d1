//! Compares the derived columns of tickets with what follows from their replies and statuses.

use super::{About, Check};
use crate::ops::reconcile::supabase::FixedBy;

/// The derived columns, of the ticket or of its history.
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
pub(in crate::ops::reconcile::supabase) fn check() -> Check {
    Check::new(
        FixedBy::Reconcile,
        concat!("select t.id, ", derived!("t"), " as value from public.support_tickets t"),
        concat!(
            "select t.id, ",
            derived!("s"),
            " as value from public.support_tickets t cross join lateral ingest.ticket_story(t.id) s"
        ),
    )
    .about(About::Tickets, "public.support_tickets")
    .field("public.support_tickets (what follows from replies and statuses)", "null")
}
