//! The cookie that names a session, and where signing in leads.

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

/// Where the console is.
pub(in crate::console) const HOME: &str = "/console";
/// The cookie's name.
pub(in crate::console) const COOKIE_NAME: &str = "memberflow_console";

/// The session's id in the request's cookies.
pub(in crate::console) fn id_of(headers: &HeaderMap) -> Option<&str> {
    cookie_named(headers, COOKIE_NAME)
}

/// The value of the cookie of this name.
pub(in crate::console) fn cookie_named<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|line| line.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix(name)?.strip_prefix('='))
}

/// The header that gives the browser `id`, or takes it away where it is empty.
pub(in crate::console) fn cookie(id: &str, is_secure: bool) -> String {
    let secure = if is_secure { "; Secure" } else { "" };
    let end = if id.is_empty() { "; Max-Age=0" } else { "" };
    format!("{COOKIE_NAME}={id}; Path=/console; HttpOnly; SameSite=Strict{secure}{end}")
}

/// Where to go after signing in: a page of the console, whatever was requested.
pub(in crate::console) fn own_page(next: Option<&str>) -> &str {
    let is_own = |next: &&str| {
        let rest = next.strip_prefix(HOME);
        let ends_there = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        ends_there
            && !next.contains("..")
            && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    next.filter(is_own).unwrap_or(HOME)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn signing_in_leads_to_own_pages_alone() {
        for own in ["/console", "/console/members?status=active&text=a%20b", "/console?x=1"] {
            assert_eq!(own_page(Some(own)), own);
        }
        for other in [
            "",
            "/",
            "//evil.example",
            "https://evil.example/console",
            "/console.evil.example",
            "/consoles",
            "/console/../api/members",
            "/console/\\evil.example",
            "/console/a\r\nSet-Cookie: a=b",
            "javascript:alert(1)",
        ] {
            assert_eq!(own_page(Some(other)), HOME, "{other}");
        }
        assert_eq!(own_page(None), HOME);
    }

    #[test]
    fn the_cookie_is_found_among_others_and_by_its_whole_name() {
        let headers = |lines: &[&'static str]| -> HeaderMap {
            lines.iter().map(|line| (COOKIE, HeaderValue::from_static(line))).collect()
        };
        assert_eq!(id_of(&headers(&["a=b; memberflow_console=x"])), Some("x"));
        assert_eq!(id_of(&headers(&["a=b", "memberflow_console=y"])), Some("y"));
        assert_eq!(id_of(&headers(&["memberflow_console_2=x; xmemberflow_console=y"])), None);
    }
}
