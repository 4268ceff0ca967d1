//! RabbitMQ: a running one that accepts us, else a private node.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lapin::{Connection, ConnectionProperties};
use tokio::process::Child;

use super::folder::Folder;
use super::process::Process;
use super::programs;
use super::server::{Server, free_port, password, wait_until_ready};

/// How long a login may take.
const LOGIN_LIMIT: Duration = Duration::from_secs(5);

/// The URL of a broker that is running on `port` with its default user.
///
/// # Errors
/// Why it was refused; None if nothing listens there.
pub async fn find_running(port: u16) -> Result<String, Option<String>> {
    if let Err(error) = super::connect(port) {
        let timed_out = error.kind() == ErrorKind::TimedOut;
        return Err(timed_out.then(|| "does not answer".to_owned()));
    }
    let url = format!("amqp://guest:guest@127.0.0.1:{port}/%2f");
    check(&url).await.map(|()| url).map_err(|reason| Some(format!("{reason:#}")))
}

/// Whether the broker behind `url` lets us in.
pub async fn answers(url: &str) -> bool {
    check(url).await.is_ok()
}

async fn check(url: &str) -> Result<()> {
    let login = Connection::connect(url, ConnectionProperties::default());
    let connection = tokio::time::timeout(LOGIN_LIMIT, login).await.context("does not answer")??;
    connection.close(200, "only looking".into()).await.ok();
    Ok(())
}

/// Starts the private node of `folder`, on `port` if that is free.
///
/// # Errors
/// If RabbitMQ is not installed or does not start.
pub async fn start(folder: &Folder, port: u16) -> Result<Server> {
    let home = folder.of("rabbitmq");
    folder.make(&home)?;
    let ports = Ports { amqp: free_port(port)?, epmd: free_port(0)?, dist: free_port(0)? };
    let (server, mut child) = launch(folder, &home, &ports)?;
    let log = home.join("log");
    let ready =
        wait_until_ready(&mut child, &log, async || find_port(ports.amqp) && answers(&server.url).await);
    ready.await.with_context(|| {
        format!("the private RabbitMQ does not start; to begin afresh remove {}", home.display())
    })?;
    Ok(server)
}

/// The ports that a node listens on, all on 127.0.0.1.
struct Ports {
    amqp: u16,
    epmd: u16,
    dist: u16,
}

/// Cheaper than a login while the node is still booting.
fn find_port(port: u16) -> bool {
    super::connect(port).is_ok()
}

fn launch(folder: &Folder, home: &Path, ports: &Ports) -> Result<(Server, Child)> {
    let password = password(folder, &home.join("password"))?;
    write_settings(folder, home, &password)?;
    let mapper = start_epmd(folder, home, ports.epmd)?;
    let script = programs::rabbitmq_server().context("RabbitMQ is not installed")?;
    let mut node = folder.command(&script, home, &home.join("log"))?;
    node.envs(environment(home, ports));
    // A flag of no meaning to Erlang: by it the node is known among other nodes.
    node.arg("-memberflow_home").arg(home);
    let child = node.spawn().context("cannot run rabbitmq-server")?;
    let pid = child.id().context("rabbitmq-server ended at once")?;
    let node = Process { pid, mark: format!("-memberflow_home {}", home.display()) };
    let server = Server {
        url: format!("amqp://memberflow:{password}@127.0.0.1:{}/%2f", ports.amqp),
        processes: vec![node, mapper],
    };
    server.save(folder, home)?;
    Ok((server, child))
}

/// Erlang's port mapper, started by us rather than by the node so that we know which one to end.
fn start_epmd(folder: &Folder, home: &Path, port: u16) -> Result<Process> {
    let program = programs::epmd().context("Erlang is not installed")?;
    let mut epmd = folder.command(&program, home, &home.join("epmd.log"))?;
    epmd.args(["-address", "127.0.0.1", "-port", &port.to_string()]);
    let pid = epmd.spawn().context("cannot run epmd")?.id().context("epmd ended at once")?;
    Ok(Process { pid, mark: format!("epmd -address 127.0.0.1 -port {port}") })
}

fn write_settings(folder: &Folder, home: &Path, password: &str) -> Result<()> {
    folder.make(&home.join("conf.d"))?;
    folder.write(&home.join("enabled_plugins"), "[].\n")?;
    folder.write(
        &home.join("rabbitmq.conf"),
        &format!("default_user = memberflow\ndefault_pass = {password}\nlog.console = true\nlog.console.level = warning\n"),
    )
}

/// All environment variables that a node reads, so that an installed broker's settings, cookie and data are
/// not used.
fn environment(home: &Path, ports: &Ports) -> Vec<(&'static str, String)> {
    let inside = |name: &str| home.join(name).display().to_string();
    vec![
        ("HOME", home.display().to_string()),
        ("RABBITMQ_NODENAME", "memberflow@localhost".to_owned()),
        ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
        ("RABBITMQ_NODE_PORT", ports.amqp.to_string()),
        ("RABBITMQ_DIST_PORT", ports.dist.to_string()),
        ("RABBITMQ_MNESIA_BASE", inside("data")),
        ("RABBITMQ_LOG_BASE", inside("logs")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", inside("enabled_plugins")),
        ("RABBITMQ_CONF_ENV_FILE", inside("no-such-env.conf")),
        ("RABBITMQ_CONFIG_FILE", inside("rabbitmq.conf")),
        ("RABBITMQ_CONFIG_FILES", inside("conf.d")),
        // SIGTERM ends the node; SIGINT would open a menu.
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "+B i -kernel inet_dist_use_interface {127,0,0,1}".to_owned(),
        ),
        // The script becomes the node, instead of waiting for it: what we know and end is the node itself, which
        // would outlive a script that was killed.
        ("RUNNING_UNDER_SYSTEMD", "true".to_owned()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        ("ERL_EPMD_PORT", ports.epmd.to_string()),
    ]
}
