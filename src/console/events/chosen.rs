//! Which events an act is for: those that were selected, or all that match the list's filter.

use super::list::Params;
use crate::console::html::error::PageError;
use crate::console::html::selection::Selection;
use crate::ops::{dead_letters, events};
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
    pub(super) fn matching_letters(&self) -> Result<dead_letters::Selection, PageError> {
        let wanted = self.selection.params.wanted()?;
        if self.selection.params.state != "dead" || wanted.subject.is_some() {
            let detail = "All that match can be redriven or dropped where the list shows the state dead, and is \
                          filtered by source, type and time alone.";
            return Err(PageError::Invalid(detail.to_owned()));
        }
        let events::Wanted { source, event_type, since, until, .. } = wanted;
        Ok(dead_letters::Selection { source, event_type, since, until, ..dead_letters::Selection::default() })
    }

    /// The applied events to project again.
    ///
    /// # Errors
    /// The filter is none that a replay knows.
    pub(super) fn replayed(&self) -> Result<rebuild::Selection, PageError> {
        if !self.selection.is_all {
            let ids = self.names().1.into_iter().map(str::to_owned).collect();
            return Ok(rebuild::Selection { ids, ..rebuild::Selection::default() });
        }
        let wanted = self.selection.params.wanted()?;
        let is_starred = wanted.event_type.as_ref().is_some_and(|name| name.contains('*'));
        let is_applied = ["", "applied"].contains(&self.selection.params.state.as_str());
        if wanted.source.is_some() || wanted.subject.is_some() || is_starred || !is_applied {
            let detail = "All that match can be applied again where the list is filtered by one type and by time \
                          alone, and shows applied events.";
            return Err(PageError::Invalid(detail.to_owned()));
        }
        let (event_type, since, until) = (wanted.event_type, wanted.since, wanted.until);
        Ok(rebuild::Selection { event_type, since, until, ..rebuild::Selection::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_chooses_some_or_all_that_match() {
        let some = Chosen::parse(b"act=drop&event=stripe%2Fevt_1&event=twilio%2FSM%2F1&state=dead").unwrap();
        assert_eq!(some.names(), (vec!["stripe", "twilio"], vec!["evt_1", "SM/1"]));
        let all = Chosen::parse(b"act=drop&all=yes&state=dead&source=stripe").unwrap();
        assert_eq!(all.matching_letters().unwrap().source.as_deref(), Some("stripe"));
        assert!(Chosen::parse(b"act=drop&state=dead").is_err(), "nothing is selected");
        assert!(Chosen::parse(b"act=drop&all=yes&colour=red").is_err());
    }

    #[test]
    fn filters_that_an_act_does_not_know_are_refused() {
        for wrong in ["state=applied", "state=", "state=dead&object=sub_1"] {
            let choice = Chosen::parse(format!("all=yes&{wrong}").as_bytes()).unwrap();
            assert!(choice.matching_letters().is_err(), "{wrong}");
        }
        for wrong in ["state=dead", "source=stripe", "type=invoice.*", "object=sub_1"] {
            let choice = Chosen::parse(format!("all=yes&{wrong}").as_bytes()).unwrap();
            assert!(choice.replayed().is_err(), "{wrong}");
        }
        let choice = Chosen::parse(b"all=yes&type=invoice.paid&since=2026-01-01").unwrap();
        assert_eq!(choice.replayed().unwrap().event_type.as_deref(), Some("invoice.paid"));
    }
}
