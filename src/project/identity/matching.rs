//! Which kinds of evidence are used.

use super::Strength;

/// The accepted values, for error messages.
pub const FORM: &str = "metadata, reference and email, joined by commas, each of which can be left out; \
                        nothing (or none) to use only customers known before memberflow";

/// The kinds of evidence that are used, besides pre-existing subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matching {
    /// User ids in metadata.
    pub metadata: bool,
    /// Checkout's `client_reference_id`.
    pub reference: bool,
    /// Confirmed e-mail addresses.
    pub email: bool,
    /// The addresses of users of single sign-on count like others.
    pub sso_email: bool,
}

impl Default for Matching {
    fn default() -> Self {
        Self { metadata: true, reference: true, email: true, sso_email: false }
    }
}

impl Matching {
    /// Enables the kinds that `words` name; `None` if a word names no kind.
    #[must_use]
    pub fn by<'a>(self, words: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut matching = Self { metadata: false, reference: false, email: false, ..self };
        for word in words {
            match word.trim() {
                "metadata" => matching.metadata = true,
                "reference" => matching.reference = true,
                "email" => matching.email = true,
                "" | "none" => {}
                _ => return None,
            }
        }
        Some(matching)
    }

    /// Whether evidence of this strength is used.
    #[must_use]
    pub const fn allows(&self, strength: Strength) -> bool {
        match strength {
            Strength::Metadata => self.metadata,
            Strength::ClientReferenceId => self.reference,
            Strength::KnownCustomer => true,
            Strength::Email => self.email,
        }
    }

    /// The strengths that are used.
    pub fn strengths(&self) -> impl Iterator<Item = Strength> {
        let all = [Strength::Metadata, Strength::ClientReferenceId, Strength::KnownCustomer, Strength::Email];
        all.into_iter().filter(|strength| self.allows(*strength))
    }
}
