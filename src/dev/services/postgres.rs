//! PostgreSQL: a running one that accepts us, else a private cluster.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use sqlx::{Connection as _, PgConnection};
use tokio::process::Child;
use uuid::Uuid;

use super::OLDEST_POSTGRES;
use super::folder::Folder;
use super::process::Process;
use super::programs;
use super::scram;
use super::server::{Server, free_port, password, tail, wait_until_ready};

/// `pg_hba.conf` entries for loopback: the superuser with a password, and roles created by tests without.
const PG_HBA: &str = "host all postgres 127.0.0.1/32 password\nhost all all 127.0.0.1/32 trust\n";

/// How long a login may take.
const LOGIN_LIMIT: Duration = Duration::from_secs(5);

/// Where distributions put the socket.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// The URL of a server that is running on `port` and lets us in as one who may create databases and
/// roles, or why each way in failed.
///
/// # Errors
/// One line per way that was tried and refused; none if nothing listens there.
pub async fn find_running(port: u16) -> Result<String, Vec<String>> {
    let mut reasons = Vec::new();
    for (host, role) in ways_in(port) {
        let url = format!("postgres://{role}@{host}:{port}/postgres");
        match check(&url).await {
            Ok(()) => return Ok(url),
            Err(reason) => reasons.push(format!("{role} at {host}: {reason:#}")),
        }
    }
    Err(reasons)
}

/// Whether the server behind `url` lets us in.
pub async fn answers(url: &str) -> bool {
    check(url).await.is_ok()
}

/// Hosts (a socket's folder is percent-encoded, as URLs want it) and roles worth trying on `port`.
fn ways_in(port: u16) -> Vec<(String, String)> {
    let mut hosts = Vec::new();
    if super::connect(port).is_ok() {
        hosts.push("127.0.0.1".to_owned());
    }
    let sockets =
        SOCKET_FOLDERS.iter().filter(|folder| Path::new(folder).join(format!(".s.PGSQL.{port}")).exists());
    hosts.extend(sockets.map(|folder| folder.replace('/', "%2F")));

    let mut roles = vec!["postgres".to_owned()];
    roles.extend(current_user().filter(|user| user != "postgres"));
    hosts.iter().flat_map(|host| roles.iter().map(move |role| (host.clone(), role.clone()))).collect()
}

fn current_user() -> Option<String> {
    let output = std::process::Command::new("id").arg("-un").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Accepts a server of a sufficient version, reached as a superuser.
async fn check(url: &str) -> Result<()> {
    let login = tokio::time::timeout(LOGIN_LIMIT, PgConnection::connect(url));
    let mut connection = login.await.context("does not answer")??;
    let ask = "select current_setting('server_version_num')::int / 10000, \
               (select rolsuper from pg_roles where rolname = current_user)";
    let (version, superuser): (i32, bool) = sqlx::query_as(ask).fetch_one(&mut connection).await?;
    connection.close().await.ok();
    if version < OLDEST_POSTGRES {
        bail!("version {version}; {OLDEST_POSTGRES} or newer is needed");
    }
    if !superuser {
        bail!("the role is not a superuser");
    }
    Ok(())
}

/// How long the processes of a killed server may take to exit: until then they use its shared memory.
const PREDECESSOR_LIMIT: Duration = Duration::from_secs(10);

/// Starts the private cluster of `folder`, on `port` if that is free; makes it first if need be.
///
/// # Errors
/// If PostgreSQL is not installed or does not start.
pub async fn start(folder: &Folder, port: u16) -> Result<Server> {
    let programs = programs::postgres_folder().context("PostgreSQL is not installed")?;
    let home = folder.of("postgres");
    folder.make(&home)?;
    let password = password(folder, &home.join("password"))?;
    if !home.join("data").exists() {
        make_cluster(folder, &programs, &home, &password).await?;
    }
    let mut port = free_port(port)?;
    let given_up = Instant::now() + PREDECESSOR_LIMIT;
    loop {
        let (server, mut child) = launch(folder, &programs, &home, &password, port)?;
        match wait_until_ready(&mut child, &home.join("log"), async || answers(&server.url).await).await {
            Ok(()) => return Ok(server),
            // Someone else took the port meanwhile. A server of ours that does not answer still has its data.
            Err(_) if child.try_wait()?.is_some() && super::connect(port).is_ok() => port = free_port(0)?,
            Err(reason) if reason.to_string().contains("is still in use") && Instant::now() < given_up => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(reason) => {
                return Err(reason.context(format!(
                    "the private PostgreSQL does not start; to begin afresh remove {}",
                    home.display()
                )));
            }
        }
    }
}

/// Creates the cluster in a temporary folder and renames it when complete: a killed run leaves no partial
/// cluster.
async fn make_cluster(folder: &Folder, programs: &Path, home: &Path, password: &str) -> Result<()> {
    let (unfinished, verifier) = (home.join("data.new"), home.join("verifier"));
    fs::remove_dir_all(&unfinished).ok();
    folder.write(&verifier, &scram::verifier(password, Uuid::new_v4().as_bytes())?)?;
    let log = home.join("initdb.log");
    let mut initdb = folder.command(&programs.join("initdb"), home, &log)?;
    initdb.kill_on_drop(true).arg("--pgdata").arg(&unfinished).arg("--pwfile").arg(&verifier);
    initdb.args(["--username=postgres", "--auth=password", "--encoding=UTF8", "--no-locale", "--no-sync"]);
    let status = initdb.status().await.context("cannot run initdb");
    fs::remove_file(&verifier)?;
    let status = status?;
    if !status.success() {
        bail!("initdb ended with {status}; its log {} says:\n{}", log.display(), tail(&log));
    }
    folder.write(&unfinished.join("pg_hba.conf"), PG_HBA)?;
    Ok(fs::rename(unfinished, home.join("data"))?)
}

fn launch(
    folder: &Folder,
    programs: &Path,
    home: &Path,
    password: &str,
    port: u16,
) -> Result<(Server, Child)> {
    let data = home.join("data");
    let mut postgres = folder.command(&programs.join("postgres"), home, &home.join("log"))?;
    postgres.arg("-D").arg(&data).args(["-p", &port.to_string()]);
    // Demo data and tests only: no waiting for the disk. No socket, so no path can be too long for one.
    let settings = [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "fsync=off",
        "full_page_writes=off",
        "max_connections=300",
    ];
    postgres.args(settings.iter().flat_map(|setting| ["-c", setting]));
    let child = postgres.spawn().context("cannot run postgres")?;
    let pid = child.id().context("postgres ended at once")?;
    let server = Server {
        url: format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres"),
        processes: vec![Process { pid, mark: format!("-D {}", data.display()) }],
    };
    server.save(folder, home)?;
    Ok((server, child))
}
