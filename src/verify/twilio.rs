//! Twilio's scheme: `X-Twilio-Signature: <base64>`, HMAC-SHA1 with the account's auth token over the address
//! as it was given to Twilio, followed by the parameters of a form. The address is the configured one: the
//! host in a request proves nothing, and behind a proxy it differs.
//!
//! A shared key signs by HMAC-SHA256 instead; the length of the signature shows which it was.
//!
//! Twilio signs the address sometimes with and sometimes without its port, and its own libraries accept both; so do we.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::Mac as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use super::secrets::TwilioKey;
use super::{SignatureError, TwilioTokens};

/// The header that carries the signature.
pub const HEADER: &str = "x-twilio-signature";
/// The query parameter with the hash of a body that is not a form.
pub const BODY_HASH: &str = "bodySHA256";
const FORM: &str = "the base64 of 20 bytes, or of the 32 of a shared key";

/// What is signed besides the URL.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// Nothing: the parameters are in the URL.
    None,
    /// The parameters of a form, in any order.
    Form(&'a [(String, String)]),
    /// A body whose hash is in the URL.
    Body(&'a [u8]),
}

/// Checks `header` over a request to `url`.
///
/// # Errors
/// The reason why the request cannot be trusted.
pub fn verify(
    tokens: &TwilioTokens,
    header: Option<&str>,
    url: &str,
    content: Content<'_>,
) -> Result<(), SignatureError> {
    let header = header.filter(|text| !text.is_empty()).ok_or(SignatureError::HeaderMissing(HEADER))?;
    let mac = BASE64_STANDARD.decode(header).ok().filter(|mac| matches!(mac.len(), 20 | 32));
    let mac = mac.ok_or(SignatureError::HeaderMalformed { header: HEADER, form: FORM })?;
    let parameters = signed_parameters(content);
    let urls = spellings(url);
    let matches = |key: &TwilioKey, url: &str| match mac.len() {
        20 => mac_of(&key.sha1, url, &parameters).verify_slice(&mac).is_ok(),
        _ => mac_of(&key.sha256, url, &parameters).verify_slice(&mac).is_ok(),
    };
    if !tokens.keys.iter().any(|key| urls.iter().any(|url| matches(key, url))) {
        return Err(SignatureError::Mismatch);
    }
    match content {
        Content::Body(body) => check_body(url, body),
        Content::None | Content::Form(_) => Ok(()),
    }
}

/// The header that Twilio would send: it signs with the first token.
#[must_use]
pub fn sign(tokens: &TwilioTokens, url: &str, content: Content<'_>) -> String {
    let parameters = signed_parameters(content);
    let mac = tokens.keys.first().map(|key| mac_of(&key.sha1, url, &parameters).finalize().into_bytes());
    mac.map_or_else(String::new, |mac| BASE64_STANDARD.encode(mac))
}

/// The value of [`BODY_HASH`] for `body`.
#[must_use]
pub fn body_hash(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

/// The hash in the URL must be that of the body. The URL is signed, so the comparison need not be in constant
/// time.
fn check_body(url: &str, body: &[u8]) -> Result<(), SignatureError> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let hash = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == BODY_HASH);
    let (_, hash) = hash.ok_or(SignatureError::BodyNotSigned)?;
    if hash.eq_ignore_ascii_case(&body_hash(body)) { Ok(()) } else { Err(SignatureError::BodyMismatch) }
}

/// The parameters as they are signed: sorted by name, then value, without duplicates and separators.
fn signed_parameters(content: Content<'_>) -> String {
    let Content::Form(parameters) = content else { return String::new() };
    let mut sorted: Vec<(&str, &str)> =
        parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.into_iter().flat_map(|(name, value)| [name, value]).collect()
}

fn mac_of<M: hmac::Mac + Clone>(key: &M, url: &str, parameters: &str) -> M {
    let mut mac = key.clone();
    mac.update(url.as_bytes());
    mac.update(parameters.as_bytes());
    mac
}

/// The URL as given, without its port, and with the standard one if it has none; each also with the query
/// encoded as older Twilio systems do.
fn spellings(url: &str) -> Vec<String> {
    let mut spellings = with_and_without_port(url);
    let rewritten: Vec<String> = spellings.iter().filter_map(|url| with_rewritten_query(url)).collect();
    spellings.extend(rewritten);
    spellings
}

/// What older Twilio systems leave as it is in a query.
const PLAIN: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Escapes every byte of the query that is not plain, a space as `%20`.
fn with_rewritten_query(url: &str) -> Option<String> {
    let escaped = |text: &str| utf8_percent_encode(text, &PLAIN).to_string();
    let (path, query) = url.split_once('?')?;
    let pairs = form_urlencoded::parse(query.as_bytes());
    let pairs: Vec<String> =
        pairs.map(|(name, value)| format!("{}={}", escaped(&name), escaped(&value))).collect();
    let rewritten = format!("{path}?{}", pairs.join("&"));
    (rewritten != url).then_some(rewritten)
}

fn with_and_without_port(url: &str) -> Vec<String> {
    let mut spellings = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else { return spellings };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match authority.rsplit_once(':').filter(|(_, port)| is_port(port)) {
        Some((host, _)) => spellings.push(format!("{scheme}://{host}{path}")),
        None => {
            let port = if scheme.eq_ignore_ascii_case("http") { 80 } else { 443 };
            spellings.push(format!("{scheme}://{authority}:{port}{path}"));
        }
    }
    spellings
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
    const CALL: [(&str, &str); 5] = [
        ("CallSid", "CA1234567890ABCDE"),
        ("Caller", "+14158675309"),
        ("Digits", "1234"),
        ("From", "+14158675309"),
        ("To", "+18005551212"),
    ];
    const BODY: &[u8] = br#"{"property": "value", "boolean": true}"#;
    const BODY_HASH: &str = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
    const EMPTY_HASH: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    fn tokens(texts: &[&str]) -> TwilioTokens {
        TwilioTokens::of(texts).unwrap().unwrap()
    }

    fn form(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn check(url: &str, header: &str, content: Content<'_>) -> Result<(), SignatureError> {
        verify(&tokens(&["12345"]), Some(header), url, content)
    }

    /// The test vectors of Twilio's own libraries.
    #[test]
    fn twilio_test_vectors_verify_with_any_port() {
        let call = form(&CALL);
        let call = Content::Form(&call);
        let at = |address: &str| format!("{address}/myapp.php?foo=1&bar=2");
        for (url, signature) in [
            (at("https://mycompany.com"), "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
            (at("https://mycompany.com"), "kvajT1Ptam85bY51eRf/AJRuM3w="),
            (at("https://mycompany.com:443"), "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
            (at("https://mycompany.com:443"), "kvajT1Ptam85bY51eRf/AJRuM3w="),
            (at("http://mycompany.com"), "0ZXoZLH/DfblKGATFgpif+LLRf4="),
            (at("http://mycompany.com:1234"), "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
        ] {
            assert_eq!(check(&url, signature, call), Ok(()), "{url} {signature}");
        }
        for (url, body, signature) in [
            (format!("{URL}&bodySHA256={BODY_HASH}"), BODY, "a9nBmqA0ju/hNViExpshrM61xv4="),
            (format!("{URL}&bodySHA256={EMPTY_HASH}"), b"{}", "Ldidvp12m26NI7eqEvxnEpkd9Hc="),
            (
                format!("https://mycompany.com/myapp.php?bodySHA256={BODY_HASH}"),
                BODY,
                "y77kIzt2vzLz71DgmJGsen2scGs=",
            ),
        ] {
            assert_eq!(check(&url, signature, Content::Body(body)), Ok(()), "{url}");
            let other = check(&url, signature, Content::Body(b"{} "));
            assert_eq!(other, Err(SignatureError::BodyMismatch));
        }
    }

    #[test]
    fn body_without_signed_hash_is_rejected() {
        let signature = sign(&tokens(&["12345"]), URL, Content::None);
        assert_eq!(check(URL, &signature, Content::Body(BODY)), Err(SignatureError::BodyNotSigned));
    }

    #[test]
    fn only_configured_tokens_verify() {
        let call = form(&CALL);
        let ours = tokens(&["12345", "67890"]);
        for token in ["12345", "67890"] {
            let signature = sign(&tokens(&[token]), URL, Content::Form(&call));
            assert_eq!(verify(&ours, Some(&signature), URL, Content::Form(&call)), Ok(()));
        }
        let signature = sign(&tokens(&["another"]), URL, Content::Form(&call));
        assert_eq!(verify(&ours, Some(&signature), URL, Content::Form(&call)), Err(SignatureError::Mismatch));
    }

    /// Made by Twilio's own library for Python.
    #[test]
    fn signature_by_a_shared_key_verifies() {
        let call = form(&CALL);
        let signature = "033hgUJA9M/hXIZsYjwkerEP/DBm35nEri5FhCYjA5s=";
        assert_eq!(check(URL, signature, Content::Form(&call)), Ok(()));
        assert_eq!(check(&URL[1..], signature, Content::Form(&call)), Err(SignatureError::Mismatch));
    }

    #[test]
    fn repeated_parameter_signs_distinct_values() {
        let once = form(&[("MediaUrl", "a"), ("MediaUrl", "b"), ("To", "+1")]);
        let again = form(&[("To", "+1"), ("MediaUrl", "b"), ("MediaUrl", "a"), ("MediaUrl", "b")]);
        let signed = |pairs| sign(&tokens(&["12345"]), URL, Content::Form(pairs));
        assert_eq!(signed(&once), signed(&again));
    }

    #[test]
    fn query_in_another_spelling_verifies() {
        let sent = "https://mycompany.com/a?Body=two+words%2c&To=%2b1";
        let signed = "https://mycompany.com/a?Body=two%20words%2C&To=%2B1";
        let signature = sign(&tokens(&["12345"]), signed, Content::None);
        assert_eq!(check(sent, &signature, Content::None), Ok(()));
    }

    #[test]
    fn invalid_signature_headers_are_rejected() {
        let call = form(&CALL);
        for (header, kind) in [
            (None, "signature-header-missing"),
            (Some(""), "signature-header-missing"),
            (Some("not base64!"), "signature-header-malformed"),
            (Some("AAAA"), "signature-header-malformed"),
            (Some("AAAAAAAAAAAAAAAAAAAAAAAAAAA="), "signature-mismatch"),
        ] {
            let refused = verify(&tokens(&["12345"]), header, URL, Content::Form(&call)).unwrap_err();
            assert_eq!(refused.kind(), kind);
        }
    }

    proptest! {
        #[test]
        fn twilio_signature_verifies_change_fails(
            path in "[a-z]{0,9}", name in "[A-Za-z]{1,9}", value in ".{0,20}", other in ".{0,20}",
        ) {
            let (url, ours) = (format!("https://example.com/{path}"), tokens(&["12345"]));
            let (sent, changed) = (form(&[(&name, &value)]), form(&[(&name, &other)]));
            let signature = sign(&ours, &url, Content::Form(&sent));
            prop_assert_eq!(verify(&ours, Some(&signature), &url, Content::Form(&sent)), Ok(()));
            let verdict = verify(&ours, Some(&signature), &url, Content::Form(&changed));
            prop_assert_eq!(verdict.is_ok(), value == other);
            let elsewhere = format!("{url}x");
            prop_assert!(verify(&ours, Some(&signature), &elsewhere, Content::Form(&sent)).is_err());
        }
    }
}
