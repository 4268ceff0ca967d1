//! Whether a message opts its number in or out.

use super::message::Message;
use super::words;

/// The source of a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentSource {
    /// Twilio's `OptOutType`, by its own keywords.
    OptOutType,
    /// The text was one of the keywords.
    Keyword,
    /// Twilio refused to send: the number had opted out.
    Error,
}

impl ConsentSource {
    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OptOutType => "opt_out_type",
            Self::Keyword => "keyword",
            Self::Error => "error_21610",
        }
    }
}

/// Somebody opted in or out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// Whether they may be texted.
    pub opted_in: bool,
    /// Where it comes from.
    pub source: ConsentSource,
    /// The keyword, if any.
    pub keyword: Option<String>,
    /// It counts by itself, and not only after an opt-out.
    pub is_explicit: bool,
}

impl Message {
    /// Whether this message opts its number in or out. Twilio's `OptOutType` takes precedence over the text.
    #[must_use]
    pub fn consent(&self) -> Option<Consent> {
        if !self.is_incoming {
            let is_refused = self.statuses.values().any(|seen| seen.error == Some(words::UNSUBSCRIBED));
            return is_refused.then_some(Consent {
                opted_in: false,
                source: ConsentSource::Error,
                keyword: None,
                is_explicit: true,
            });
        }
        let text = self.body.as_ref().map_or("", |(_, text)| text.as_str());
        if let Some((_, reported)) = &self.opt_out_type {
            let opted_in = match reported.to_ascii_uppercase().as_str() {
                "STOP" => false,
                "START" => true,
                // HELP is neither.
                _ => return None,
            };
            let keyword = Some(text.trim().chars().take(40).collect());
            return Some(Consent { opted_in, source: ConsentSource::OptOutType, keyword, is_explicit: true });
        }
        words::keyword(text).map(|(word, opted_in)| Consent {
            opted_in,
            source: ConsentSource::Keyword,
            keyword: Some(word.to_owned()),
            is_explicit: word != words::AMBIGUOUS,
        })
    }
}
