//! On what was measured, when and how.

use sqlx::Connection as _;
use time::macros::format_description;

use super::{Options, QUICK};
use crate::support::database::server_url;

/// One sentence.
pub async fn describe(options: &Options) -> String {
    let mut connection = sqlx::PgConnection::connect(&server_url()).await.unwrap();
    let postgres: String =
        sqlx::query_scalar("show server_version").fetch_one(&mut connection).await.unwrap();
    let day =
        memberflow::clock::Clock::System.now().format(format_description!("[year]-[month]-[day]")).unwrap();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let placeholder = if options.quick {
        format!(
            "**A quick run, with {} events instead of thousands: these figures mean nothing.** ",
            QUICK.applied
        )
    } else {
        String::new()
    };
    format!(
        "{placeholder}{day}, {}, {cores} cores, {} GB, PostgreSQL {}; {} rounds; load average at the end {}.",
        after("/proc/cpuinfo", "model name").unwrap_or_else(|| "processor unknown".to_owned()),
        memory_gb(),
        postgres.split(' ').next().unwrap_or_default(),
        options.rounds,
        load_average(),
    )
}

/// The value after a name in one of the system's own files.
fn after(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory_gb() -> u64 {
    let total = after("/proc/meminfo", "MemTotal").unwrap_or_default();
    total.trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / (1024 * 1024)
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}
