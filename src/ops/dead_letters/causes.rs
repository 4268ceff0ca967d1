//! Dead letters grouped by cause.

use serde::Serialize;
use sqlx::{FromRow, PgPool, QueryBuilder};
use time::OffsetDateTime;

use super::Selection;
use crate::envelope::Source;

/// The most letters counted, newest first; also the most that one API action processes.
pub const MAX_COUNTED: u32 = 10_000;
/// The most causes listed.
const MAX_CAUSES: i64 = 100;

/// Dead letters with the same source, type and reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = DeadLetterCause)]
pub struct Cause {
    /// The provider's endpoint.
    pub source: String,
    /// The provider's type.
    pub event_type: String,
    /// Why they were dead-lettered.
    pub reason: String,
    /// How many there are.
    pub letters: i64,
    /// When the first was dead-lettered.
    #[serde(with = "time::serde::rfc3339")]
    pub first_dead_at: OffsetDateTime,
    /// When the last was dead-lettered.
    #[serde(with = "time::serde::rfc3339")]
    pub last_dead_at: OffsetDateTime,
    /// The newest of them.
    pub newest_id: i64,
    /// The provider's name of that one.
    pub newest_event_id: String,
}

impl Cause {
    /// The command that applies them once their cause is fixed.
    #[must_use]
    pub fn command(&self) -> String {
        if self.source == Source::Internal.as_str() {
            return "memberflow rebuild".to_owned();
        }
        let Self { source, event_type, reason, .. } = self;
        let [event_type, reason] = [event_type, reason].map(|text| quoted(text));
        format!("memberflow dead-letters redrive --source {source} --type {event_type} --reason {reason}")
    }
}

/// A text as one argument of a shell's command.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The causes of the selected dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = DeadLetterCauses)]
pub struct Causes {
    /// The most frequent first, at most 100.
    pub causes: Vec<Cause>,
    /// How many letters were counted.
    pub letters: i64,
    /// Whether there are more, older ones: the newest 10,000 are counted.
    pub is_capped: bool,
}

/// Counts the selected dead letters by cause, the newest [`MAX_COUNTED`].
pub async fn causes(pool: &PgPool, selection: &Selection) -> Result<Causes, sqlx::Error> {
    let mut query = QueryBuilder::new(
        "select source, event_type, reason, count(*) as letters, min(dead_at) as first_dead_at,
                max(dead_at) as last_dead_at, max(id) as newest_id,
                (array_agg(event_id order by id desc))[1] as newest_event_id,
                (sum(count(*)) over ())::bigint as counted
         from (select source, event_id, event_type, reason, dead_at, id from ingest.events",
    );
    selection.push(&mut query);
    query.push(" order by id desc limit ").push_bind(i64::from(MAX_COUNTED) + 1);
    query.push(") d group by source, event_type, reason order by letters desc, newest_id desc limit ");
    let counted: Vec<Counted> = query.push_bind(MAX_CAUSES).build_query_as().fetch_all(pool).await?;
    let most = i64::from(MAX_COUNTED);
    let letters = counted.first().map_or(0, |first| first.counted);
    let causes = counted.into_iter().map(|counted| counted.cause).collect();
    Ok(Causes { causes, letters: letters.min(most), is_capped: letters > most })
}

#[derive(FromRow)]
struct Counted {
    #[sqlx(flatten)]
    cause: Cause,
    counted: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_the_cause_for_a_shell() {
        let cause = |source: &str, reason: &str| Cause {
            source: source.to_owned(),
            event_type: "invoice.paid".to_owned(),
            reason: reason.to_owned(),
            letters: 1,
            first_dead_at: OffsetDateTime::UNIX_EPOCH,
            last_dead_at: OffsetDateTime::UNIX_EPOCH,
            newest_id: 1,
            newest_event_id: "evt_1".to_owned(),
        };
        let redrive = "memberflow dead-letters redrive --source stripe --type invoice.paid --reason";
        assert_eq!(cause("stripe", "broken").command(), format!("{redrive} broken"));
        assert_eq!(cause("stripe", "it's $HOME").command(), format!(r"{redrive} 'it'\''s $HOME'"));
        assert_eq!(cause("internal", "broken").command(), "memberflow rebuild");
    }
}
