//! Where the servers' programs are installed: on PATH or where the package managers put them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use super::OLDEST_POSTGRES;

/// Folders besides PATH in which PostgreSQL's programs are found. `*` matches one folder name.
const POSTGRES_FOLDERS: &[&str] = &[
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/opt/homebrew/opt/postgresql/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql/bin",
    "/usr/local/pgsql/bin",
];

/// Folders before PATH in which RabbitMQ's own start script is found: on Debian the one on PATH is a
/// wrapper that insists on root or the user `rabbitmq`.
const RABBITMQ_FOLDERS: &[&str] = &[
    "/usr/lib/rabbitmq/bin",
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
    "/opt/rabbitmq/sbin",
];

/// Folders besides PATH in which Erlang's port mapper is found.
const ERLANG_FOLDERS: &[&str] = &[
    "/usr/lib/erlang/erts-*/bin",
    "/usr/lib64/erlang/erts-*/bin",
    "/opt/homebrew/opt/erlang/lib/erlang/erts-*/bin",
    "/usr/local/opt/erlang/lib/erlang/erts-*/bin",
    "/usr/local/lib/erlang/erts-*/bin",
];

/// The folder that holds both `initdb` and `postgres`; of several versions the newest, unless it is too old.
#[must_use]
pub fn postgres_folder() -> Option<PathBuf> {
    postgres_folders()
        .find(|folder| postgres_version(folder).is_none_or(|version| version >= OLDEST_POSTGRES))
}

/// The major version of an installed PostgreSQL that is too old.
#[must_use]
pub fn too_old_postgres() -> Option<i32> {
    postgres_folders()
        .filter_map(|folder| postgres_version(&folder))
        .find(|version| *version < OLDEST_POSTGRES)
}

fn postgres_folders() -> impl Iterator<Item = PathBuf> {
    let known = POSTGRES_FOLDERS.iter().flat_map(|pattern| expand(pattern));
    known
        .chain(path_folders())
        .filter(|folder| is_program(&folder.join("initdb")) && is_program(&folder.join("postgres")))
}

/// The major version of the PostgreSQL in `folder`, unless it does not say.
fn postgres_version(folder: &Path) -> Option<i32> {
    let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
    major_version(&String::from_utf8(output.stdout).ok()?)
}

/// `postgres (PostgreSQL) 14.11 (Ubuntu 14.11-0ubuntu0.22.04.1)` is 14, `postgres (PostgreSQL) 18beta1` is 18.
fn major_version(text: &str) -> Option<i32> {
    let (_, version) = text.split_once(") ")?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// RabbitMQ's start script, if Erlang is installed.
#[must_use]
pub fn rabbitmq_server() -> Option<PathBuf> {
    find(RABBITMQ_FOLDERS, "rabbitmq-server").filter(|_| epmd().is_some())
}

/// Erlang's port mapper, without which no node starts.
#[must_use]
pub fn epmd() -> Option<PathBuf> {
    find(ERLANG_FOLDERS, "epmd")
}

fn find(folders: &[&str], program: &str) -> Option<PathBuf> {
    let known = folders.iter().flat_map(|pattern| expand(pattern));
    known.chain(path_folders()).map(|folder| folder.join(program)).find(|path| is_program(path))
}

fn path_folders() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// The folders that `pattern` names, the highest version first.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![PathBuf::from(pattern)] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut versions: Vec<String> =
        names.filter_map(|name| name.strip_prefix(prefix).map(str::to_owned)).collect();
    versions.sort_by_key(|version| std::cmp::Reverse(version_number(version)));
    versions.into_iter().map(|version| PathBuf::from(format!("{before}{version}{after}"))).collect()
}

/// `9.6` is older than `15`: compared number by number.
fn version_number(version: &str) -> Vec<u32> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{expand, major_version, version_number};

    #[test]
    fn versions_compare_as_numbers() {
        assert!(version_number("15") > version_number("9.6"));
        assert!(version_number("14.2.1") > version_number("14.2"));
    }

    #[test]
    fn major_version_is_read_in_every_form() {
        for (text, expected) in [
            ("postgres (PostgreSQL) 14.11 (Ubuntu 14.11-0ubuntu0.22.04.1)\n", Some(14)),
            ("postgres (PostgreSQL) 18beta1\n", Some(18)),
            ("postgres (PostgreSQL) 9.6.24\n", Some(9)),
            ("something else\n", None),
        ] {
            assert_eq!(major_version(text), expected, "{text}");
        }
    }

    #[test]
    fn newest_version_comes_first() {
        let folder = std::env::temp_dir().join(format!("mf-programs-{}", uuid::Uuid::new_v4().simple()));
        for version in ["9.6", "17", "15"] {
            fs::create_dir_all(folder.join(version).join("bin")).unwrap();
        }
        let pattern = format!("{}/*/bin", folder.display());
        let expected = ["17", "15", "9.6"].map(|version| folder.join(version).join("bin"));
        assert_eq!(expand(&pattern), expected);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn unmatched_pattern_gives_no_folder() {
        assert!(expand("/nowhere/at/all/*/bin").is_empty());
    }
}
