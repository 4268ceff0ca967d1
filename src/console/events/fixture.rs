//! An event to take along: `/console/events/{source}/{event_id}/body`, its exact bytes as a file, and `…/fixture`, the same
//! without what people wrote, with the command that posts it. The audit log notes who opened either, as for the page.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};

use super::show::{PRUNED, unknown};
use crate::console::html::error::PageError;
use crate::console::html::page::{Frame, page};
use crate::console::session::Session;
use crate::console::state::Console;
use crate::envelope::Source;
use crate::ops::events::{self, Event};
use crate::ops::fixture::endpoint;

/// The longest name of a file, without its ending.
const NAME_MAX_BYTES: usize = 100;

#[derive(Template)]
#[template(path = "fixture.html")]
struct Fixture {
    frame: Frame,
    event: Event,
    /// What the file is called.
    file: String,
    /// Whether it can be posted: events of memberflow itself come from nowhere.
    is_posted: bool,
    /// `None` unless the body is JSON.
    minimal: Option<String>,
}

/// The exact bytes, as a file.
pub(in crate::console) async fn download(
    State(console): State<Console>,
    session: Session,
    name: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, PageError> {
    let (event, bytes) = opened(&console, &session, name?).await?;
    let file = file_of(&event);
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{file}\"")),
    ];
    Ok((headers, bytes).into_response())
}

/// The event as a fixture.
pub(in crate::console) async fn show(
    State(console): State<Console>,
    session: Session,
    name: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, PageError> {
    let (event, bytes) = opened(&console, &session, name?).await?;
    let source = Source::ALL.into_iter().find(|source| source.as_str() == event.source);
    Ok(page(&Fixture {
        frame: Frame::of(&session, "Events", format!("Fixture of {}", event.event_id)),
        file: file_of(&event),
        is_posted: source.is_some_and(|source| endpoint(source, &event.event_id).is_some()),
        minimal: events::minimal(&bytes),
        event,
    }))
}

/// The event and its body, which the audit log notes.
async fn opened(
    console: &Console,
    session: &Session,
    Path((source, event_id)): Path<(String, String)>,
) -> Result<(Event, Vec<u8>), PageError> {
    let found = events::find_one(console.pool(), &source, &event_id).await?;
    let (event, bytes) = found.ok_or_else(|| unknown(&source, &event_id))?;
    if bytes.is_empty() {
        return Err(PageError::Unknown(PRUNED.to_owned()));
    }
    events::note_opened(console.pool(), &event, &session.actor, console.now()).await?;
    Ok((event, bytes))
}

/// What the event's file is called: one word for a shell, a header and any file system.
fn file_of(event: &Event) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    let plain = event.event_id.chars().map(|character| if is_plain(character) { character } else { '_' });
    let name: String = plain.take(NAME_MAX_BYTES).collect();
    let name = name.trim_start_matches(['-', '.']);
    format!("{}.json", if name.is_empty() { "event" } else { name })
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn a_file_is_named_in_one_word() {
        let of = |id: &str| {
            file_of(&Event {
                source: "stripe".to_owned(),
                event_id: id.to_owned(),
                event_type: "invoice.paid".to_owned(),
                subject: None,
                occurred_at: OffsetDateTime::UNIX_EPOCH,
                received_at: OffsetDateTime::UNIX_EPOCH,
                state: "dead".to_owned(),
                at: None,
                reason: None,
                not_counted: None,
                attempts: 1,
            })
        };
        for (id, file) in [
            ("evt_1", "evt_1.json"),
            ("trigger/public.x/1", "trigger_public.x_1.json"),
            ("SM1|failed|30003|", "SM1_failed_30003_.json"),
            ("-rf \"a\"\r\né", "rf__a____.json"),
            ("../..", "_...json"),
            ("", "event.json"),
        ] {
            assert_eq!(of(id), file, "{id}");
        }
        assert_eq!(of(&"a".repeat(500)).len(), NAME_MAX_BYTES + ".json".len());
    }
}
