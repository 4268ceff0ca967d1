//! The account of private servers if we are root.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

/// The account of servers if we are root: PostgreSQL refuses to run as root.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// The user's id.
    pub uid: u32,
    /// The group's id.
    pub gid: u32,
}

impl Account {
    /// The owner of existing data in `folder`, else `postgres`, else `nobody`.
    ///
    /// # Errors
    /// If there is neither.
    pub fn for_servers(folder: &Path) -> Result<Self> {
        if let Some(owner) = fs::metadata(folder.join("postgres")).ok().filter(|data| data.uid() != 0) {
            return Ok(Self { uid: owner.uid(), gid: owner.gid() });
        }
        ["postgres", "nobody"].into_iter().find_map(Self::named).context(
            "PostgreSQL does not run as root, and there is neither a user postgres nor nobody to run it as",
        )
    }

    fn named(name: &str) -> Option<Self> {
        let id = |flag| {
            let output = Command::new("id").args([flag, name]).output().ok()?;
            String::from_utf8(output.stdout).ok()?.trim().parse().ok()
        };
        Some(Self { uid: id("-u")?, gid: id("-g")? })
    }

    /// Whether the account can enter every parent folder.
    #[must_use]
    pub fn can_enter(self, folder: &Path) -> bool {
        folder.ancestors().all(|step| {
            step.metadata().is_ok_and(|data| match data.mode() {
                mode if data.uid() == self.uid => mode & 0o100 != 0,
                mode if data.gid() == self.gid => mode & 0o010 != 0,
                mode => mode & 0o001 != 0,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::Account;

    #[test]
    fn closed_parent_folder_denies_access() {
        let outer = std::env::temp_dir().join(format!("mf-account-{}", uuid::Uuid::new_v4().simple()));
        let inner = outer.join("checkout");
        fs::create_dir_all(&inner).unwrap();
        let stranger = Account { uid: u32::MAX - 7, gid: u32::MAX - 7 };
        fs::set_permissions(&outer, Permissions::from_mode(0o755)).unwrap();
        assert!(stranger.can_enter(&inner));
        fs::set_permissions(&outer, Permissions::from_mode(0o700)).unwrap();
        assert!(!stranger.can_enter(&inner));
        fs::remove_dir_all(&outer).unwrap();
    }
}
