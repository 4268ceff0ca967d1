//! Reads single fields of a JSON document without parsing the rest, with an error that names the field.

use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The longest event id or type, in bytes: the limit of AMQP short strings.
const NAME_MAX_BYTES: usize = 255;
/// What a name must be, as shown to the sender.
pub(super) const NAME_FORM: &str = "1 to 255 bytes of text without control characters";

/// What an event id must be, as shown to the sender.
pub(super) const ID_FORM: &str = "a provider's id: ids that begin with trigger/, found/, match/, corrected/, \
     snapshot/ or unreadable/ are reserved for memberflow";
/// The prefix of ids of events that the database triggers write.
pub const TRIGGER: &str = "trigger/";
/// The prefix of ids of dead letters that could not be decoded. Stored ids and types say `unreadable` for undecodable.
pub const UNDECODABLE_PREFIX: &str = "unreadable/";
/// The prefixes of ids that memberflow gives itself: to events of triggers, imports (`found/`), matches of customers to
/// users, corrections of missed row changes, snapshots of API objects, and undecodable dead letters. From outside such an
/// id could be mistaken for its own.
const RESERVED: [&str; 6] = [TRIGGER, "found/", "match/", "corrected/", "snapshot/", UNDECODABLE_PREFIX];

/// Whether only memberflow itself may give an event this id.
pub(super) fn is_reserved(id: &str) -> bool {
    RESERVED.iter().any(|prefix| id.starts_with(prefix))
}

/// Whether queue and key columns can hold `name`.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_MAX_BYTES && !name.contains(char::is_control)
}

/// A body that is not an event. The text says what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// JSON is UTF-8.
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// Not readable as JSON.
    #[error("the body is not valid JSON: {0}")]
    NotJson(String),
    /// JSON, but an array or a bare value.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// A required field is absent.
    #[error("the field {0} is missing or null")]
    Missing(&'static str),
    /// The field has an invalid value.
    #[error("the field {field} is not {form}")]
    Invalid {
        /// Its path in the document.
        field: &'static str,
        /// What it should be.
        form: &'static str,
    },
}

impl Malformed {
    /// The machine-readable name of the error: the last part of a problem's `type`.
    #[must_use]
    pub fn kind(&self) -> String {
        let named = |field: &str, suffix| format!("{}-{suffix}", kebab(field));
        match self {
            Self::NotUtf8 => "body-not-utf8".to_owned(),
            Self::NotJson(_) => "body-not-json".to_owned(),
            Self::NotAnObject => "body-not-an-object".to_owned(),
            Self::Missing(field) => named(field, "missing"),
            Self::Invalid { field, .. } => named(field, "invalid"),
        }
    }
}

/// `metadata.uuid` as `metadata-uuid`, `MessageSid` as `message-sid`.
fn kebab(field: &str) -> String {
    let mut kebab = String::with_capacity(field.len() + 4);
    for (at, letter) in field.char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            kebab.push('-');
        }
        kebab.push(if matches!(letter, '.' | '_') { '-' } else { letter.to_ascii_lowercase() });
    }
    kebab
}

/// One field of a document: its path, and its JSON text if present.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    path: &'static str,
    raw: Option<&'a RawValue>,
}

impl<'a> Field<'a> {
    pub(super) fn new(path: &'static str, raw: Option<&'a RawValue>) -> Self {
        Self { path, raw }
    }

    /// The field's JSON text.
    pub(super) fn raw(self) -> Result<&'a RawValue, Malformed> {
        self.raw.ok_or(Malformed::Missing(self.path))
    }

    /// A name: text that a queue and a key column can hold.
    pub(super) fn name(self) -> Result<String, Malformed> {
        let name: String = self.read(NAME_FORM)?;
        if is_name(&name) { Ok(name) } else { Err(self.invalid(NAME_FORM)) }
    }

    /// A name that the provider gave an event.
    pub(super) fn event_id(self) -> Result<String, Malformed> {
        let id = self.name()?;
        if is_reserved(&id) { Err(self.invalid(ID_FORM)) } else { Ok(id) }
    }

    /// Unix seconds.
    pub(super) fn unix_seconds(self) -> Result<OffsetDateTime, Malformed> {
        const FORM: &str = "a whole number of Unix seconds";
        let seconds = self.read::<u64>(FORM)?;
        let moment = i64::try_from(seconds).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
        moment.ok_or(self.invalid(FORM))
    }

    /// A moment as RFC 3339 writes it.
    pub(super) fn rfc3339(self) -> Result<OffsetDateTime, Malformed> {
        const FORM: &str = "an RFC 3339 timestamp";
        let text: String = self.read(FORM)?;
        let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| self.invalid(FORM))?;
        // The offset may move the year out of range.
        moment.checked_to_offset(time::UtcOffset::UTC).ok_or(self.invalid(FORM))
    }

    /// An object, read into `T`.
    pub(super) fn object<T: Deserialize<'a>>(self) -> Result<T, Malformed> {
        const FORM: &str = "an object";
        let text = self.raw()?.get();
        // Serde would also read an array into a struct, by position.
        if !text.starts_with('{') {
            return Err(self.invalid(FORM));
        }
        serde_json::from_str(text).map_err(|_| self.invalid(FORM))
    }

    pub(super) fn invalid(self, form: &'static str) -> Malformed {
        Malformed::Invalid { field: self.path, form }
    }

    fn read<T: Deserialize<'a>>(self, form: &'static str) -> Result<T, Malformed> {
        serde_json::from_str(self.raw()?.get()).map_err(|_| self.invalid(form))
    }
}

/// Reads a whole body, which must be one JSON object, into `T`.
pub(super) fn document<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed::NotUtf8)?;
    let object = text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{');
    if !object {
        // Distinguishes text that is not JSON from JSON that is not an object.
        let error = serde_json::from_str::<serde::de::IgnoredAny>(text).err();
        return Err(error.map_or(Malformed::NotAnObject, |error| Malformed::NotJson(error.to_string())));
    }
    serde_json::from_str(text).map_err(|error| Malformed::NotJson(error.to_string()))
}
