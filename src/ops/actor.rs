//! Who is at the keyboard: what the audit log says of an operator's act.

use std::env;

/// The operating system's user and host, as `ada@crm-1`.
#[must_use]
pub fn actor() -> String {
    let name =
        ["LOGNAME", "USER"].into_iter().find_map(|name| env::var(name).ok().filter(|it| !it.is_empty()));
    // Containers have users without a name.
    let name = name.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    format!("{name}@{}", rustix::system::uname().nodename().to_string_lossy())
}
