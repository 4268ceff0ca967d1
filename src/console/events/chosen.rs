//! Which events an act is for: those that were selected, or all that match the list's filter.

use sqlx::PgPool;
use time::OffsetDateTime;

use super::list::Params;
use crate::console::html::error::PageError;
use crate::console::html::selection::Selection;
use crate::ops::dead_letters;
use crate::ops::events::{self, Filter, State};
use crate::ops::rebuild::EVENTS_MAX;
use crate::store::rebuild;

/// The form of the list, and that of the preview, which sends the same again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    /// `redrive`, `drop` or `replay`.
    pub act: String,
    /// Which events, each as `stripe/evt_1`.
    pub selection: Selection<Params>,
    /// Whether the preview was confirmed.
    pub is_sure: bool,
    /// How many things it changes, typed.
    pub confirm: String,
}

impl Chosen {
    /// Reads a form's body.
    ///
    /// # Errors
    /// A field is unknown, or nothing is selected.
    pub(super) fn parse(body: &[u8]) -> Result<Self, PageError> {
        let (mut act, mut is_sure, mut confirm) = (String::new(), false, String::new());
        let selection = Selection::parse(body, "event", |name, value| {
            match name {
                "act" => value.clone_into(&mut act),
                "sure" => is_sure = value == "yes",
                "confirm" => value.clone_into(&mut confirm),
                _ => return false,
            }
            true
        })?;
        if selection.rows.is_empty() && !selection.is_all {
            let detail = "Nothing is selected. Go back and select events, or all that match.";
            return Err(PageError::Invalid(detail.to_owned()));
        }
        Ok(Self { act, selection, is_sure, confirm })
    }

    /// The sources and ids of those that were selected.
    pub(super) fn names(&self) -> (Vec<&str>, Vec<&str>) {
        self.selection.rows.iter().filter_map(|name| name.split_once('/')).unzip()
    }

    /// All dead letters that match.
    ///
    /// # Errors
    /// The filter shows others, too, or is none that letters are found by.
    pub(super) fn matching_letters(&self, now: OffsetDateTime) -> Result<dead_letters::Selection, PageError> {
        let filter = self.selection.params.filter(now)?;
        if filter.state != Some(State::Dead) || filter.subject.is_some() || filter.member.is_some() {
            let detail = "All that match can be redriven or dropped where the list shows the state dead, and is \
                          filtered by source, type and time alone: an event has its object and its member once it \
                          is applied.";
            return Err(PageError::Invalid(detail.to_owned()));
        }
        let Filter { source, event_type, since, until, .. } = filter;
        Ok(dead_letters::Selection { source, event_type, since, until, ..dead_letters::Selection::default() })
    }

    /// The applied events to apply again.
    ///
    /// # Errors
    /// The filter shows others, or none, or too many have to be searched.
    pub(super) async fn replayed(
        &self,
        pool: &PgPool,
        now: OffsetDateTime,
    ) -> Result<rebuild::Selection, PageError> {
        let filter = match self.to_replay(now)? {
            ToReplay::Selected(selection) => return Ok(selection),
            ToReplay::Matching(filter) => filter,
        };
        // One more than can be applied again at once: that is refused where they are counted.
        let ids = events::matching(pool, &filter, EVENTS_MAX + 1).await?;
        let refused = |detail: &str| Err(PageError::Invalid(detail.to_owned()));
        match ids {
            None => refused(
                "Few of very many events match. Filter by since and before, too: then fewer are searched.",
            ),
            Some(ids) if ids.is_empty() => refused("No applied event matches."),
            Some(ids) => Ok(rebuild::Selection { ids, ..rebuild::Selection::default() }),
        }
    }

    fn to_replay(&self, now: OffsetDateTime) -> Result<ToReplay, PageError> {
        if !self.selection.is_all {
            let ids = self.names().1.into_iter().map(str::to_owned).collect();
            return Ok(ToReplay::Selected(rebuild::Selection { ids, ..rebuild::Selection::default() }));
        }
        let filter = self.selection.params.filter(now)?;
        if filter.state.is_some_and(|state| state != State::Applied) {
            let detail = "Only applied events can be applied again: show the state applied, or any.";
            return Err(PageError::Invalid(detail.to_owned()));
        }
        let is_starred = filter.event_type.as_ref().is_some_and(|name| name.contains('*'));
        if filter.source.is_some() || filter.subject.is_some() || filter.member.is_some() || is_starred {
            return Ok(ToReplay::Matching(Filter { state: Some(State::Applied), ..filter }));
        }
        let Filter { event_type, since, until, .. } = filter;
        let selection = rebuild::Selection { event_type, since, until, ..rebuild::Selection::default() };
        Ok(ToReplay::Selected(selection))
    }
}

/// Which events are applied again.
#[derive(Debug)]
enum ToReplay {
    /// A replay finds them by itself.
    Selected(rebuild::Selection),
    /// They are searched as the list does it.
    Matching(Filter),
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-20 12:00 UTC);

    #[test]
    fn a_form_chooses_some_or_all_that_match() {
        let some = Chosen::parse(b"act=drop&event=stripe%2Fevt_1&event=twilio%2FSM%2F1&state=dead").unwrap();
        assert_eq!(some.names(), (vec!["stripe", "twilio"], vec!["evt_1", "SM/1"]));
        let all = Chosen::parse(b"act=drop&all=yes&state=dead&source=stripe").unwrap();
        assert_eq!(all.matching_letters(NOW).unwrap().source.as_deref(), Some("stripe"));
        assert!(Chosen::parse(b"act=drop&state=dead").is_err(), "nothing is selected");
        assert!(Chosen::parse(b"act=drop&all=yes&colour=red").is_err());
    }

    #[test]
    fn filters_that_show_other_states_are_refused() {
        for wrong in ["state=applied", "state=", "state=dead&object=sub_1", "state=dead&member=a@b.c"] {
            let choice = Chosen::parse(format!("all=yes&{wrong}").as_bytes()).unwrap();
            assert!(choice.matching_letters(NOW).is_err(), "{wrong}");
        }
        for wrong in ["state=dead", "state=waiting", "q=state:applied"] {
            let choice = Chosen::parse(format!("all=yes&{wrong}").as_bytes()).unwrap();
            assert!(choice.to_replay(NOW).is_err(), "{wrong}");
        }
    }

    #[test]
    fn all_that_match_are_searched_where_a_replay_does_not_find_them_itself() {
        let to_replay = |filter: &str| {
            Chosen::parse(format!("all=yes&{filter}").as_bytes()).unwrap().to_replay(NOW).unwrap()
        };
        for filter in
            ["source=stripe", "type=invoice.*", "object=sub_1&related=true", "member=ada@example.com"]
        {
            let ToReplay::Matching(matching) = to_replay(filter) else { panic!("{filter}") };
            assert_eq!(matching.state, Some(State::Applied), "{filter}");
        }
        let ToReplay::Selected(selection) = to_replay("type=invoice.paid&since=2026-01-01") else { panic!() };
        assert_eq!(selection.event_type.as_deref(), Some("invoice.paid"));
    }
}
