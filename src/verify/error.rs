//! Why a delivery's signature was not accepted.

/// A delivery that failed verification. The text says what its sender should do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A header that carries the signature is absent or empty.
    #[error("the header {0} is missing: send the provider's signature headers with the body they sign")]
    HeaderMissing(&'static str),
    /// The header is there but cannot be read.
    #[error("the header {header} cannot be read: its form is {form}")]
    HeaderMalformed {
        /// Its name.
        header: &'static str,
        /// What it should look like.
        form: &'static str,
    },
    /// The signed timestamp is not a number of seconds.
    #[error("the signed timestamp is not a whole number of Unix seconds: send digits alone")]
    TimestampInvalid,
    /// No signature of the scheme `v1` is offered.
    #[error("no v1 signature is offered: only the scheme v1 (HMAC-SHA256) is accepted here")]
    NoSignature,
    /// The body is not part of what was signed.
    #[error(
        "the signature does not cover the body: a body other than a form needs its SHA-256 as bodySHA256 in the address"
    )]
    BodyNotSigned,
    /// The address was signed with the hash of another body.
    #[error("the body is not the one whose SHA-256 was signed: send it as it was signed")]
    BodyMismatch,
    /// Signatures are offered, and none of our secrets made any of them.
    #[error(
        "no signature matches: check that the endpoint's signing secret is among those configured here, and that nothing on the way changes the body"
    )]
    Mismatch,
    /// Signed correctly, but too long ago.
    #[error(
        "signed {age_s} s ago, more than the {tolerance_s} s allowed: send it again with a new signature, and check the clocks"
    )]
    TooOld {
        /// Seconds since it was signed.
        age_s: i64,
        /// Seconds allowed.
        tolerance_s: i64,
    },
    /// Signed correctly, but in the future.
    #[error("signed {ahead_s} s in the future, more than the {tolerance_s} s allowed: check the clocks")]
    TooNew {
        /// Seconds until the moment it claims to have been signed.
        ahead_s: i64,
        /// Seconds allowed.
        tolerance_s: i64,
    },
}

impl SignatureError {
    /// The machine-readable name of the reason: the last part of a problem's `type`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::HeaderMissing(_) => "signature-header-missing",
            Self::HeaderMalformed { .. } => "signature-header-malformed",
            Self::TimestampInvalid => "signature-timestamp-invalid",
            Self::NoSignature => "signature-absent",
            Self::BodyNotSigned => "signature-without-body",
            Self::BodyMismatch => "signature-of-another-body",
            Self::Mismatch => "signature-mismatch",
            Self::TooOld { .. } => "signature-too-old",
            Self::TooNew { .. } => "signature-too-new",
        }
    }
}
