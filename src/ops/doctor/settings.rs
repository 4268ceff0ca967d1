//! Checks the settings, without connecting.

use secrecy::ExposeSecret as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::{Finding, Level, counted};
use crate::config::Config;
use crate::config::hosts::{is_this_machine, may_be_plaintext};

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![counted::settings(config), matching(config)];
    match config.database_url.expose_secret().parse::<PgConnectOptions>() {
        Ok(options) => {
            findings.extend(pooler(&options));
            findings.push(encryption(&options));
        }
        Err(_) => findings.push(Finding::wrong(
            "database",
            Level::Failed,
            "DATABASE_URL is not a Postgres URL",
            "set it to postgres://user:password@host:5432/database",
        )),
    }
    findings
}

/// Which evidence matches customers to users, and the Supabase settings that it requires.
fn matching(config: &Config) -> Finding {
    let matching = config.matching;
    let kinds = [
        (matching.metadata, "metadata"),
        (matching.reference, "reference"),
        (matching.email, "email"),
        (matching.email && matching.sso_email, "email of single sign-on"),
    ];
    let kinds: Vec<&str> = kinds.iter().filter(|(on, _)| *on).map(|(_, kind)| *kind).collect();
    let by = if kinds.is_empty() {
        "none: only customers known before memberflow".to_owned()
    } else {
        kinds.join(", ")
    };
    let note = if matching.email { "; e-mail needs \"Confirm email\" switched on in Supabase" } else { "" };
    Finding::fine("matching", format!("customers are matched by {by}{note}"))
}

/// Behind a transaction pooler each transaction may run in another session.
fn pooler(options: &PgConnectOptions) -> Option<Finding> {
    (options.get_port() == 6543).then(|| {
        Finding::wrong(
            "database",
            Level::Failed,
            "port 6543 is Supabase's transaction pooler: prepared statements, LISTEN and session locks break there",
            "use the session pooler or the direct connection: the same URL with port 5432",
        )
    })
}

fn encryption(options: &PgConnectOptions) -> Finding {
    let local = options.get_socket().is_some() || is_this_machine(options.get_host());
    let fix = "add ?sslmode=verify-full&sslrootcert=prod-ca-2021.crt to DATABASE_URL (the certificate is in the dashboard under Database -> Settings)";
    match options.get_ssl_mode() {
        _ if local => Finding::fine("database", "the connection stays on this machine"),
        _ if may_be_plaintext(options) => {
            Finding::wrong("database", Level::Warning, "the connection may go unencrypted", fix)
        }
        PgSslMode::VerifyFull => {
            Finding::fine("database", "the connection is encrypted, the server verified")
        }
        PgSslMode::VerifyCa => Finding::wrong(
            "database",
            Level::Warning,
            "the server's certificate is verified, its name is not",
            fix,
        ),
        _ => Finding::wrong(
            "database",
            Level::Warning,
            "the connection is encrypted, but any server is trusted",
            fix,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(config: &Config) -> (Level, String) {
        let findings = examine(config);
        let worst = findings.iter().max_by_key(|finding| finding.level).unwrap();
        (worst.level, worst.message.clone())
    }

    #[test]
    fn connection_settings_are_checked() {
        for (url, level, says) in [
            ("postgres://postgres@127.0.0.1/postgres", Level::Fine, ""),
            ("postgres://u:p@db.example.com/postgres?sslmode=verify-full", Level::Fine, ""),
            ("postgres://u:p@db.example.com/postgres?sslmode=require", Level::Warning, "any server"),
            ("postgres://u:p@db.example.com/postgres", Level::Warning, "unencrypted"),
            ("postgres://u:p@127.0.0.1:6543/postgres", Level::Failed, "transaction pooler"),
            ("127.0.0.1", Level::Failed, "not a Postgres URL"),
        ] {
            let (found, message) = worst(&Config::new(url));
            assert_eq!(found, level, "{url}: {message}");
            assert!(message.contains(says), "{url}: {message}");
        }
    }

    #[test]
    fn kinds_of_evidence_are_shown() {
        let mut config = Config::new("postgres://postgres@127.0.0.1/postgres");
        assert!(matching(&config).message.contains("metadata, reference, email; e-mail needs"));
        config.matching = config.matching.by([""]).unwrap();
        assert!(matching(&config).message.ends_with("none: only customers known before memberflow"));
    }
}
