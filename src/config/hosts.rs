//! Which hosts are this machine, and which connections cross a network.

use std::net::IpAddr;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// Whether a host is this machine: `localhost`, a loopback address, or a socket path.
#[must_use]
pub fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback || host.starts_with('/') || host.eq_ignore_ascii_case("localhost")
}

/// Whether the connection to Postgres leaves this machine and may go unencrypted: `sslmode=prefer`, the
/// default, falls back to plaintext if the server, or a man in the middle, says that it has no TLS.
#[must_use]
pub fn may_be_plaintext(options: &PgConnectOptions) -> bool {
    let is_optional =
        matches!(options.get_ssl_mode(), PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer);
    is_optional && options.get_socket().is_none() && !is_this_machine(options.get_host())
}

/// The host in a web address.
#[must_use]
pub fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.find(']') {
        Some(end) => host.get(..=end).unwrap_or(host),
        None => host.split(':').next().unwrap_or(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        for local in ["localhost", "127.0.0.1", "127.0.0.2", "::1", "[::1]", "/var/run/postgresql"] {
            assert!(is_this_machine(local), "{local}");
        }
        for other in ["db.example.com", "localhost.example.com", "10.0.0.1", "0.0.0.0", ""] {
            assert!(!is_this_machine(other), "{other}");
        }
    }

    #[test]
    fn the_host_of_a_url_is_found() {
        for (url, host) in [
            ("http://api.example.com/v1", "api.example.com"),
            ("http://user:pass@127.0.0.1:12111", "127.0.0.1"),
            ("http://[::1]:80/x", "[::1]"),
            ("https://localhost?x=@y", "localhost"),
        ] {
            assert_eq!(host_of(url), host);
        }
    }

    #[test]
    fn plaintext_is_possible_unless_the_mode_enforces_tls() {
        let plain = |url: &str| may_be_plaintext(&url.parse().unwrap());
        for mode in ["", "?sslmode=prefer", "?sslmode=allow", "?sslmode=disable"] {
            assert!(plain(&format!("postgres://u@db.example.com/x{mode}")), "{mode}");
            assert!(!plain(&format!("postgres://u@127.0.0.1/x{mode}")), "{mode}");
        }
        for mode in ["require", "verify-ca", "verify-full"] {
            assert!(!plain(&format!("postgres://u@db.example.com/x?sslmode={mode}")), "{mode}");
        }
    }
}
