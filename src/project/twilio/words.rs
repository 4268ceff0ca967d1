//! Twilio's vocabulary: statuses and their ranks, error codes, and keywords.

/// The rank of final statuses. Of two reports the higher rank is the later one; two different final ones
/// conflict.
pub const FINAL: i16 = 6;

/// A status in the table's enum, and its rank. `None` if unknown.
#[must_use]
pub fn status(word: &str) -> Option<(&'static str, i16)> {
    Some(match word {
        "accepted" | "scheduled" => ("queued", 1),
        "queued" => ("queued", 2),
        "sending" => ("queued", 3),
        "sent" => ("sent", 4),
        // To a group: some deliveries may still be pending.
        "partially_delivered" => ("delivered", 5),
        "delivered" => ("delivered", FINAL),
        "undelivered" | "failed" | "canceled" => ("failed", FINAL),
        "read" => ("delivered", 7),
        "receiving" => ("received", 1),
        "received" => ("received", FINAL),
        _ => return None,
    })
}

/// The error code for a number that has opted out.
pub const UNSUBSCRIBED: i32 = 21610;

/// The description of an error code; `None` for rare ones.
#[must_use]
pub const fn error(code: i32) -> Option<&'static str> {
    Some(match code {
        21211 | 21614 => "Not a number that can be texted",
        21408 => "Not allowed to text this region",
        UNSUBSCRIBED => "The recipient has opted out",
        30001 => "Queue overflow",
        30002 => "Account suspended",
        30003 => "Unreachable destination handset",
        30004 => "Message blocked",
        30005 => "Unknown destination handset",
        30006 => "Landline or unreachable carrier",
        30007 => "Filtered by the carrier",
        30008 => "Unknown error",
        30034 => "The sending number is not registered",
        _ => return None,
    })
}

/// The texts by which somebody opts out.
pub const OPT_OUT: [&str; 8] =
    ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"];
/// The texts by which somebody opts in.
pub const OPT_IN: [&str; 3] = ["START", "YES", "UNSTOP"];
/// The keyword with other everyday uses: it ends an opt-out, but is not a consent by itself.
pub const AMBIGUOUS: &str = "YES";

/// The keyword if the whole text is one, in any case, and whether it opts in. Punctuation around an opt-out
/// is ignored: "Stop." counts.
#[must_use]
pub fn keyword(text: &str) -> Option<(&'static str, bool)> {
    let whole = text.trim();
    let bare = whole.trim_matches(|c: char| !c.is_alphanumeric());
    let find = |words: &[&'static str], text: &str| {
        words.iter().copied().find(|word| word.eq_ignore_ascii_case(text))
    };
    let opt_out = find(&OPT_OUT, bare).map(|word| (word, false));
    opt_out.or_else(|| find(&OPT_IN, whole).map(|word| (word, true)))
}
