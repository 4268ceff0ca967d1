//! Compares text messages with Twilio's reports of them.

use super::{About, Check};
use crate::ops::reconcile::supabase::FixedBy;

/// The columns in which a message differs from its reports: with the stored values (`to_jsonb(m) -> c.key`), or with the
/// reported ones.
macro_rules! differing {
    ($value:literal) => {
        concat!(
            "select m.id, d.differing as value from public.sms_messages m join ingest.sms_facts f on f.sid = m.twilio_sid
             cross join lateral (
                 select jsonb_object_agg(c.key, ",
            $value,
            ") as differing from jsonb_each(ingest.completed_sms(to_jsonb(m), to_jsonb(f))) c
                 where to_jsonb(m) -> c.key is distinct from c.value
             ) d where d.differing is not null"
        )
    };
}

/// The check of the messages.
pub(in crate::ops::reconcile::supabase) fn check() -> Check {
    Check::new(
        FixedBy::Rebuild,
        differing!("to_jsonb(m) -> c.key"),
        concat!(
            differing!("c.value"),
            " union all
             select md5('memberflow sms ' || f.sid)::uuid, jsonb_build_object('twilio_sid', f.sid) from ingest.sms_facts f
             where not exists (select from public.sms_messages m where m.twilio_sid = f.sid)"
        ),
    )
    .about(About::Messages, "public.sms_messages")
    .field("public.sms_messages (what Twilio has told of them)", "null")
}
