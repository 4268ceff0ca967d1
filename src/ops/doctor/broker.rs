//! Checks RabbitMQ, if configured.

use std::time::Duration;

use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties, ErrorKind};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Finding, Level};
use crate::config::Config;

const CHECK: &str = "queue";
const PATIENCE: Duration = Duration::from_secs(10);
/// The broker's greeting has a few hundred bytes; more is not a greeting.
const GREETING_LIMIT_BYTES: u64 = 16 * 1024;

pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let Some(url) = &config.amqp_url else {
        return vec![Finding::fine(CHECK, "the queue is in Postgres (AMQP_URL is not set)")];
    };
    let Ok(uri) = url.expose_secret().parse::<AMQPUri>() else {
        return vec![Finding::wrong(
            CHECK,
            Level::Failed,
            "AMQP_URL is not an AMQP URL",
            "set it to amqp://user:password@host:5672/%2f",
        )];
    };
    let properties = ConnectionProperties::default().with_connection_name("memberflow doctor".into());
    let place = format!("{}:{}", uri.authority.host, uri.authority.port);
    match timeout(PATIENCE, Connection::connect_uri(uri.clone(), properties)).await {
        Ok(Ok(connection)) => {
            let findings = vec![version(&uri).await, permitted(&connection).await];
            connection.close(200, "done".into()).await.ok();
            findings
        }
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::ProtocolError(_)) => {
            vec![refused(&place, &error)]
        }
        Ok(Err(error)) => vec![down(&place, &error.to_string())],
        Err(_) => vec![down(&place, "no answer within 10 s")],
    }
}

/// It answers but refuses: the credentials or the virtual host are wrong.
fn refused(place: &str, error: &lapin::Error) -> Finding {
    Finding::wrong(
        CHECK,
        Level::Failed,
        format!("RabbitMQ at {place} refuses us: {error}"),
        "correct user, password and virtual host in AMQP_URL (the default virtual host is written /%2f)",
    )
}

/// A channel opens only where the virtual host lets this user in.
async fn permitted(connection: &Connection) -> Finding {
    match timeout(PATIENCE, connection.create_channel()).await {
        Ok(Ok(_)) => Finding::fine(CHECK, "RabbitMQ lets us in"),
        Ok(Err(error)) => Finding::wrong(
            CHECK,
            Level::Failed,
            format!("RabbitMQ opens no channel: {error}"),
            "give the user its rights: rabbitmqctl set_permissions -p VHOST USER '.*' '.*' '.*'",
        ),
        Err(_) => down("RabbitMQ", "it answers, but opens no channel within 10 s"),
    }
}

async fn version(uri: &AMQPUri) -> Finding {
    // The greeting can be read directly only without TLS.
    if uri.scheme != AMQPScheme::AMQP {
        return Finding::fine(CHECK, "RabbitMQ answers, encrypted");
    }
    match timeout(PATIENCE, greeting(&uri.authority.host, uri.authority.port)).await {
        Ok(Ok(greeting)) => check_version(text_property(&greeting, "version").as_deref()),
        _ => check_version(None),
    }
}

fn check_version(version: Option<&str>) -> Finding {
    let Some(version) = version else {
        return Finding::note(CHECK, "the broker answers, but does not show its version");
    };
    let major: Option<u32> = version.split('.').next().and_then(|major| major.parse().ok());
    let minor: Option<u32> = version.split('.').nth(1).and_then(|minor| minor.parse().ok());
    if (major, minor) >= (Some(3), Some(10)) {
        return Finding::fine(CHECK, format!("RabbitMQ {version} answers"));
    }
    Finding::wrong(
        CHECK,
        Level::Warning,
        format!("RabbitMQ {version} is older than 3.10"),
        "upgrade it: quorum queues have their delivery limit and message TTL only since 3.10",
    )
}

/// The broker's first frame, with its version. The client library does not expose it.
async fn greeting(host: &str, port: u16) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((host, port)).await?;
    stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
    let mut head = [0; 7];
    stream.read_exact(&mut head).await?;
    let size = u64::from(u32::from_be_bytes([head[3], head[4], head[5], head[6]]));
    let mut frame = Vec::new();
    stream.take(size.min(GREETING_LIMIT_BYTES)).read_to_end(&mut frame).await?;
    Ok(frame)
}

/// A text in an AMQP field table: the name with its length before it, `S`, the length, the text.
fn text_property(table: &[u8], name: &str) -> Option<String> {
    let mut marker = vec![u8::try_from(name.len()).ok()?];
    marker.extend_from_slice(name.as_bytes());
    marker.push(b'S');
    let at = table.windows(marker.len()).position(|window| window == marker)? + marker.len();
    let length = table.get(at..at + 4)?;
    let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
    let text = table.get(at + 4..)?.get(..length)?;
    String::from_utf8(text.to_vec()).ok()
}

fn down(place: &str, reason: &str) -> Finding {
    Finding::wrong(
        CHECK,
        Level::Down,
        format!("no connection to {place}: {reason}"),
        "start RabbitMQ or correct AMQP_URL; meanwhile events are kept in Postgres and nothing is lost",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broker_version_is_read_from_greeting() {
        let table = b"\x07productS\0\0\0\x08RabbitMQ\x07versionS\0\0\0\x064.1.20rest";
        assert_eq!(text_property(table, "version").as_deref(), Some("4.1.20"));
        assert_eq!(text_property(table, "cluster"), None);
        assert_eq!(text_property(b"\x07versionS\0\0\xff\xffshort", "version"), None);
        assert_eq!(text_property(b"\x07versionS\0", "version"), None);
    }

    #[test]
    fn old_broker_is_reported() {
        for (version, level) in [
            (Some("4.0.5"), Level::Fine),
            (Some("3.10.0"), Level::Fine),
            (Some("3.9.29"), Level::Warning),
            (Some("2.8.1"), Level::Warning),
            (None, Level::Note),
        ] {
            assert_eq!(check_version(version).level, level, "{version:?}");
        }
    }
}
