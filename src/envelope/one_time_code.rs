//! Recognises texts with a one-time code. A best effort: it prefers withholding a text too many over storing a code.

/// The most words between a code and the word that announces it.
const NEAR: usize = 12;
/// The same where the number may well be something else.
const NEXT: usize = 4;

/// Words that announce a code, besides those that end in "code". Lower case.
const WORDS: [&str; 41] = [
    "otp",
    "totp",
    "pin",
    "2fa",
    "mfa",
    "mtan",
    "sms-tan",
    "one-time",
    "einmalpasswort",
    "einmalkennwort",
    "verification",
    "verifizierung",
    "verifikation",
    "verificatie",
    "vérification",
    "verificación",
    "verificacion",
    "verificação",
    "verificacao",
    "verifica",
    "authentication",
    "authentifizierung",
    "código",
    "codigo",
    "códigos",
    "codice",
    "kod",
    "kód",
    "kode",
    "koden",
    "kodu",
    "koodi",
    "код",
    "codes",
    "验证码",
    "驗證碼",
    "認証コード",
    "確認コード",
    "認証番号",
    "인증번호",
    "인증코드",
];
/// Words that end in "code" and announce none.
const OTHER_WORDS: [&str; 10] = [
    "zipcode",
    "postcode",
    "barcode",
    "unicode",
    "decode",
    "encode",
    "promocode",
    "rabattcode",
    "gutscheincode",
    "qr-code",
];
/// Before "code": another kind of code.
const OTHER_CODES: [&str; 19] = [
    "zip",
    "post",
    "postal",
    "area",
    "country",
    "dress",
    "bar",
    "qr",
    "promo",
    "promotional",
    "discount",
    "coupon",
    "voucher",
    "gift",
    "referral",
    "error",
    "source",
    "building",
    "tax",
];
/// In advertisements: words and numbers in a text like "code SAVE20" are for everybody.
const ADVERTISING: [&str; 9] =
    ["%", "discount", "coupon", "promo", "voucher", "checkout", "rabatt", "gutschein", "descuento"];
/// Before a code that no word announces: "Use 123456 to sign in".
const USE: [&str; 9] =
    ["use", "enter", "type", "nutze", "verwende", "utilisez", "saisissez", "usa", "introduce"];
/// What such a code is for.
const PURPOSES: [&str; 14] = [
    "sign",
    "signin",
    "sign-in",
    "log",
    "login",
    "log-in",
    "verify",
    "authenticate",
    "confirm",
    "anmelden",
    "einloggen",
    "connecter",
    "connexion",
    "sesión",
];

/// Whether a text holds a one-time code: `@domain #code` as browsers read it (WebOTP), four to eight digits or
/// capitals with digits near a word like "code" or "OTP", or "use 123456 to sign in".
#[must_use]
pub fn is_one_time_code(text: &str) -> bool {
    let original = words(text);
    let lower: Vec<String> = original.iter().map(|word| word.to_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    if lower.windows(2).any(|pair| is_bound(pair[0], pair[1])) {
        return true;
    }
    let announcing: Vec<usize> = (0..lower.len()).filter(|at| announces(&original, &lower, *at)).collect();
    let is_advertising = ADVERTISING.iter().any(|word| text.to_lowercase().contains(word));
    (0..original.len()).any(|at| {
        let Some(within) = reach(&original, at, is_advertising) else { return false };
        announcing.iter().any(|word| *word != at && word.abs_diff(at) <= within) || is_to_be_used(&lower, at)
    })
}

/// The words and numbers of a text. Numbers keep what is between their digits, so that times, amounts and dates are
/// no codes; scripts without spaces end at a digit.
fn words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut words = vec![String::new()];
    for (at, c) in chars.iter().copied().enumerate() {
        let (before, after) = (at.checked_sub(1).map(|at| chars[at]), chars.get(at + 1).copied());
        let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        let is_foreign = |c: Option<char>| c.is_some_and(|c| c.is_alphabetic() && !c.is_ascii());
        if is_digit(Some(c)) && is_foreign(before) || is_foreign(Some(c)) && is_digit(before) {
            words.push(String::new());
        }
        let is_inside = match c {
            ':' | ',' | '.' | '/' => is_digit(before) && is_digit(after) || c == '.' && is_in_domain(&words),
            _ => c.is_alphanumeric() || "-@#$€£¥%+".contains(c),
        };
        match words.last_mut().filter(|_| is_inside) {
            Some(word) => word.push(c),
            None => words.push(String::new()),
        }
    }
    let bare = |word: String| word.trim_matches('-').to_owned();
    words.into_iter().map(bare).filter(|word| !word.is_empty()).collect()
}

/// Whether the last word is the beginning of `@domain`.
fn is_in_domain(words: &[String]) -> bool {
    words.last().is_some_and(|word| word.starts_with('@'))
}

/// `@domain #code`.
fn is_bound(domain: &str, code: &str) -> bool {
    let code = code.strip_prefix('#').unwrap_or_default();
    domain.starts_with('@')
        && domain.contains('.')
        && code.len() >= 4
        && code.chars().all(char::is_alphanumeric)
}

fn announces(original: &[String], lower: &[&str], at: usize) -> bool {
    let word = lower[at];
    let before = at.checked_sub(1).map_or("", |at| lower[at]);
    let is_code = word.ends_with("code") && !OTHER_WORDS.contains(&word);
    let is_conduct = lower.get(at + 1) == Some(&"of") && lower.get(at + 2) == Some(&"conduct");
    if is_code || word == "codes" {
        return !is_conduct && !OTHER_CODES.contains(&before);
    }
    WORDS.contains(&word) || original[at] == "TAN" || before == "time" && word.starts_with("pass")
}

/// How far the word that announces it may be, if this word can be a code.
fn reach(words: &[String], at: usize, is_advertising: bool) -> Option<usize> {
    let word = words[at].trim_start_matches('#');
    let groups: Vec<&str> = word.split('-').collect();
    // As in "G-123456".
    let is_prefix = |group: &str| group.len() <= 3 && group.bytes().all(|byte| byte.is_ascii_alphabetic());
    let groups = if groups.len() > 1 && is_prefix(groups[0]) { &groups[1..] } else { &groups[..] };
    let is_number = |group: &str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit());
    // Dates and telephone numbers have groups of different lengths.
    if groups.iter().all(|group| is_number(group) && group.len() == groups[0].len()) {
        let digits = groups.concat();
        let is_year = digits.len() == 4 && (digits.starts_with("19") || digits.starts_with("20"));
        let is_half = digits.len() == 3
            && words.get(at + 1).is_some_and(|next| next.len() == 3 && is_number(next))
            && words.get(at + 2).is_none_or(|next| !is_number(next));
        return match digits.len() {
            4..=8 => Some(if is_year { NEXT } else { NEAR }),
            3 if is_half => Some(NEAR),
            _ => None,
        };
    }
    let is_mixed = word.bytes().any(|byte| byte.is_ascii_digit())
        && word.bytes().any(|byte| byte.is_ascii_uppercase())
        && word.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    (is_mixed && !is_advertising && (4..=8).contains(&word.len())).then_some(NEXT)
}

fn is_to_be_used(lower: &[&str], at: usize) -> bool {
    let is_instructed = at.checked_sub(1).is_some_and(|before| USE.contains(&lower[before]));
    is_instructed && lower.iter().skip(at + 1).take(NEAR).any(|word| PURPOSES.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_with_codes_are_recognised() {
        for text in [
            "Your verification code is 123456",
            "OTP: 4821",
            "Your code is 482-193.",
            "Passcode 12345678",
            "Your Acme code is 123456",
            "123456 is your Acme code",
            "123456 is your Acme verification code. Do not share it.",
            "G-482193 is your Google verification code.",
            "Your one time password is 482193",
            "<#> 4821 is your PIN aBcDeF12345",
            "Use 123456 to sign in",
            "Enter 123456 to verify your account",
            "Your code: 2034",
            "code:482193",
            "Acme: 482 193 is your login code",
            "Your security code is A1B2C3",
            "Your code for signing in to the members' area of Acme is 482193",
            "@example.com #123456",
            "Acme\n\n@login.example.com #A1b2C3",
            "Ihr Bestätigungscode lautet 482193",
            "Verifizierung: 482193",
            "TAN 482193 für Ihre Überweisung",
            "Verwende 482193 zum Anmelden",
            "Tu código de verificación es 482193",
            "482193 es tu codigo",
            "Votre code de vérification : 482193",
            "Il tuo codice è 482193",
            "O seu código é 4821",
            "Ваш код: 482193",
            "【Acme】验证码482193，请勿泄露",
            "認証コード：482193",
            "인증번호 482193",
        ] {
            assert!(is_one_time_code(text), "{text}");
        }
    }

    #[test]
    fn other_texts_are_not() {
        for text in [
            "",
            "I never got my verification code",
            "Call me at 2025550112",
            "My code did not come, call me at 202-555-0112",
            "The dress code is 1920s",
            "The dress code of 2024 applies",
            "See you at 1430",
            "123456",
            "Order 123456 has been sent",
            "I hotpot 4821",
            "My zip code is 90210",
            "Postcode 12345",
            "What is the area code, 2025 or 2026?",
            "Use promo code SAVE2024",
            "Use code SAVE20 at checkout for 20% off",
            "The code is on the card; we meet at 12:30 on 28/11/2026",
            "Our code of conduct was revised, see page 1234",
            "The code review took 3 hours and cost $1200",
            "Invoice 2026-11-28: 1,200.50 due, no code needed",
            "Use 1234 bricks for the wall",
            "Is the call on Thursday? 🙂",
            "Write to @anna #welcome",
            "STOP",
            "I wrote the code in May. It is on a page far down in the third of the folders, the one of 48213",
        ] {
            assert!(!is_one_time_code(text), "{text}");
        }
    }
}
