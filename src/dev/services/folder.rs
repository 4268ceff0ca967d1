//! `.memberflow/`, or its counterpart in memory: the data of private servers, their account, and the locks of their users.
//!
//! Several runs may share the private servers of one checkout (`make run` in one terminal, `make test` in
//! another). Each holds a shared lock while it uses them; the last one stops them. Locks go with the process,
//! so a killed run never blocks the next.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::fs::statvfs;
use tokio::process::Command;

use super::account::Account;

/// How long another run may take to start or stop the private servers.
const TURN_LIMIT: Duration = Duration::from_secs(180);

/// Used by root if no other account can enter the checkout (below `/root`, for example).
const ROOT_FALLBACK: &str = "/var/lib/memberflow-dev";

/// Where Linux keeps files in memory.
const MEMORY: &str = "/dev/shm";

/// What must be free there: a test run's databases take some hundred megabytes at once, and PostgreSQL's log of writes up to a
/// gigabyte.
const FREE_MEMORY_BYTES: u64 = 6 << 30;

/// The folder of one checkout's private servers.
#[derive(Clone, Debug)]
pub struct Folder {
    locks: PathBuf,
    servers: PathBuf,
    account: Option<Account>,
}

/// A file lock, released when dropped.
#[derive(Debug)]
pub struct Lock {
    #[expect(dead_code, reason = "held for its lock alone")]
    file: File,
}

impl Folder {
    /// The folder at `path`, made if missing.
    ///
    /// # Errors
    /// If it cannot be made, or we are root and there is no other account to run servers under.
    pub fn open(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        let locks = path.canonicalize()?;
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { servers: locks.clone(), locks, account: None });
        }
        let account = Account::for_servers(&locks)?;
        let servers = if account.can_enter(&locks) {
            locks.clone()
        } else {
            Path::new(ROOT_FALLBACK).join(locks.strip_prefix("/").unwrap_or(&locks))
        };
        fs::create_dir_all(&servers).with_context(|| format!("cannot make {}", servers.display()))?;
        Ok(Self { locks, servers, account: Some(account) })
    }

    /// The counterpart in memory of the folder at `path`, for servers whose data nobody needs afterwards; `None` if there is
    /// little memory, or another user has taken the name.
    #[must_use]
    pub fn in_memory(path: &Path) -> Option<PathBuf> {
        let space = statvfs(MEMORY).ok()?;
        if space.f_bavail.saturating_mul(space.f_frsize) < FREE_MEMORY_BYTES {
            return None;
        }
        let user = rustix::process::geteuid().as_raw();
        let name = path.to_string_lossy().replace('/', "-");
        let folder = Path::new(MEMORY).join(format!("memberflow-{user}{name}"));
        fs::DirBuilder::new().mode(0o755).create(&folder).ok();
        let found = fs::symlink_metadata(&folder).ok()?;
        (found.is_dir() && found.uid() == user && found.mode() & 0o022 == 0).then_some(folder)
    }

    /// Removes what stopped servers have left in memory.
    pub fn free_memory(&self) {
        if self.servers.starts_with(MEMORY) {
            fs::remove_dir_all(self.of("rabbitmq")).ok();
            fs::remove_dir_all(self.of("postgres")).ok();
        }
    }

    /// Where the private server `name` lives, whether it exists or not.
    #[must_use]
    pub fn of(&self, name: &str) -> PathBuf {
        self.servers.join(name)
    }

    /// Makes the folder `path` below ours, open to the servers' account and to no one else.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn make(&self, path: &Path) -> Result<()> {
        if !path.is_dir() {
            fs::DirBuilder::new()
                .mode(0o700)
                .create(path)
                .with_context(|| format!("cannot make {}", path.display()))?;
        }
        self.hand_over(path)
    }

    /// Writes `text` to `path`, for the servers' account and no one else.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn write(&self, path: &Path, text: &str) -> Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        file.write_all(text.as_bytes())?;
        self.hand_over(path)
    }

    /// A command that runs in `folder` under the servers' account, in a process group of its own (so
    /// that Ctrl-C in our terminal does not reach it), with its output in `log`.
    ///
    /// # Errors
    /// If the log cannot be opened.
    pub fn command(&self, program: &Path, folder: &Path, log: &Path) -> Result<Command> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o644)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(program);
        command.current_dir(folder).process_group(0);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        if let Some(account) = self.account {
            // That account may not have access to root's temporary folder.
            command.uid(account.uid).gid(account.gid).env_remove("TMPDIR").env("HOME", folder);
        }
        Ok(command)
    }

    /// Waits until no other run is starting or stopping the private servers.
    ///
    /// # Errors
    /// If another run takes longer than three minutes.
    pub async fn turn(&self) -> Result<Lock> {
        let file = self.lock_file("turn")?;
        let deadline = Instant::now() + TURN_LIMIT;
        while let Err(reason) = file.try_lock() {
            match reason {
                TryLockError::Error(error) => return Err(error).context("cannot lock .memberflow/turn"),
                TryLockError::WouldBlock if Instant::now() > deadline => {
                    bail!("another memberflow has been starting or stopping its servers for three minutes")
                }
                TryLockError::WouldBlock => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        Ok(Lock { file })
    }

    /// Records that this run uses the private servers.
    ///
    /// # Errors
    /// If the file system has no locks.
    pub fn join(&self) -> Result<Lock> {
        let file = self.lock_file("in-use")?;
        file.lock_shared()?;
        Ok(Lock { file })
    }

    /// Whether no run uses the private servers. Call while holding the turn.
    ///
    /// # Errors
    /// If the file system has no locks.
    pub fn is_unused(&self) -> Result<bool> {
        match self.lock_file("in-use")?.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    fn lock_file(&self, name: &str) -> Result<File> {
        let path = self.locks.join(name);
        fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path).with_context(|| {
            format!(
                "cannot write {}; if another user made it, remove {}",
                path.display(),
                self.locks.display()
            )
        })
    }

    fn hand_over(&self, path: &Path) -> Result<()> {
        let Some(account) = self.account else { return Ok(()) };
        chown(path, Some(account.uid), Some(account.gid))
            .with_context(|| format!("cannot give {} to the servers' account", path.display()))
    }
}
