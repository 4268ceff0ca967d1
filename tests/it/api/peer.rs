//! Against `schemathesis`, somebody else's reader of descriptions: it asks a running memberflow with demo data for every
//! operation, in right and wrong ways, and compares the answers with the description. `make interop` runs it;
//! `SCHEMATHESIS` names the program.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::api::TOKEN;
use crate::support::database::TestDatabase;

const CHECKOUT: &str = env!("CARGO_MANIFEST_DIR");

/// `memberflow dev`, ended with this value.
struct Demo {
    process: Child,
    folder: PathBuf,
    url: String,
}

impl Demo {
    /// Waits until all of the demo is there. Its queue is in Postgres, which tests share with nobody.
    fn start(database: &TestDatabase) -> Self {
        let folder = std::env::temp_dir().join(format!("mf-demo-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(Path::new(CHECKOUT).join("fixtures"), folder.join("fixtures")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_memberflow"));
        command.args(["dev", "--bind", "127.0.0.1:0"]).current_dir(&folder).env("AMQP_URL", "");
        command.env("DATABASE_URL", database.url()).env("MEMBERFLOW_ADMIN_TOKEN", TOKEN);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = said.map_while(Result::ok).find_map(|line| {
            let members = line.strip_prefix("members ")?;
            Some(members.rsplit_once(' ')?.1.strip_suffix("/api/members")?.to_owned())
        });
        Self { process, folder, url: url.expect("the demo says where its members are") }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

#[tokio::test]
#[ignore = "needs schemathesis: `make interop`"]
async fn every_operation_answers_schemathesis_as_it_is_described() {
    let program = std::env::var("SCHEMATHESIS").expect("SCHEMATHESIS names the program, see `make interop`");
    let database = TestDatabase::empty().await;
    let demo = Demo::start(&database);
    let settings = Path::new(CHECKOUT).join("tests/interop");
    let mut command = Command::new(program);
    command.arg("--config-file").arg(settings.join("schemathesis.toml"));
    command.arg("run").arg(format!("{}/openapi.json", demo.url));
    command.args(["--header", &format!("Authorization: Bearer {TOKEN}"), "--no-color"]);
    command.env("PYTHONPATH", &settings).env("SCHEMATHESIS_HOOKS", "schemathesis_hooks");
    // What it keeps goes with the demo.
    command.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(&demo.folder);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
}
