//! Settings from file, environment and flags, and their errors.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Output};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memberflow::config::{Config, ConfigSources, Flags, LogFormat, read};
use memberflow::project::stripe::StripeMode;
use secrecy::ExposeSecret as _;

use crate::support::servers::quiet_address;

const URL: &str = "postgres://someone:hunter2@localhost/db";

fn given(file: &str, variables: &[(&str, &str)]) -> ConfigSources {
    ConfigSources {
        file: Some(("memberflow.toml".into(), file.to_owned())),
        variables: variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        flags: Flags::default(),
    }
}

fn fault(file: &str, variables: &[(&str, &str)]) -> String {
    read(&given(file, variables)).unwrap_err().to_string()
}

#[test]
fn every_setting_can_be_in_the_file() {
    let config = read(&given(
        r#"
        database_url = "postgres://file@localhost/db"
        database_connections = 3
        amqp_url = "amqps://guest:guest@broker:5671/vhost"
        queue_prefix = "staging"
        stripe_webhook_secrets = ["whsec_the_first", "whsec_the_second"]
        supabase_webhook_secrets = "v1,whsec_MDEyMzQ1Njc4OWFiY2RlZg==|v1,whsec_ZmVkY2JhOTg3NjU0MzIxMA=="
        stripe_api_key = "rk_test_1"
        stripe_api_base = "http://127.0.0.1:8420"
        stripe_requests_per_second = 7
        stripe_mode = "test"
        stripe_account = "acct_1Connected"
        supabase_url = "https://x.supabase.co"
        supabase_publishable_key = "sb_publishable_x"
        console_url = "https://crm.example.com/"
        console_roles = "public.user_accounts:user_id:role:super_admin=admin"
        bind = "0.0.0.0:9000"
        match_by = ["metadata", "email"]
        match_sso_email = true
        admin_token = "0123456789abcdef"
        webhook_tolerance_seconds = 60
        body_limit_bytes = 4096
        read_timeout_seconds = 2
        max_requests = 10
        batch_max_events = 20
        batch_wait_ms = 30
        user_id_metadata_keys = ["uid", "user"]
        activity_tables = ["public.tracks:author_id:audio_generated_count:status=ready"]
        active_days = 1
        at_risk_days = 2
        champion_months = 3
        log_filter = "warn,memberflow=debug"
        log_format = "json"
        "#,
        &[],
    ))
    .unwrap();
    assert_eq!(config.database_url.expose_secret(), "postgres://file@localhost/db");
    assert_eq!(config.amqp_url.unwrap().expose_secret(), "amqps://guest:guest@broker:5671/vhost");
    assert_eq!((config.database_connections, config.queue_prefix.as_str()), (3, "staging"));
    let secrets = |list: &[secrecy::SecretString]| -> Vec<String> {
        list.iter().map(|secret| secret.expose_secret().to_owned()).collect()
    };
    assert_eq!(secrets(&config.stripe_webhook_secrets), ["whsec_the_first", "whsec_the_second"]);
    assert_eq!(
        secrets(&config.supabase_webhook_secrets),
        ["v1,whsec_MDEyMzQ1Njc4OWFiY2RlZg==", "v1,whsec_ZmVkY2JhOTg3NjU0MzIxMA=="]
    );
    assert_eq!(config.stripe_api_key.unwrap().expose_secret(), "rk_test_1");
    assert_eq!(config.stripe_api_base.unwrap(), "http://127.0.0.1:8420");
    assert_eq!(config.stripe_requests_per_second, 7);
    assert_eq!(config.stripe_mode, Some(StripeMode::Test));
    assert_eq!(config.stripe_account.as_deref(), Some("acct_1Connected"));
    assert_eq!(config.console_url.unwrap(), "https://crm.example.com");
    assert_eq!(config.supabase_url.unwrap(), "https://x.supabase.co");
    assert_eq!(config.supabase_publishable_key.unwrap().expose_secret(), "sb_publishable_x");
    assert_eq!(config.console_roles.table.unwrap().relation(), r#""public"."user_accounts""#);
    assert_eq!(config.bind, "0.0.0.0:9000".parse().unwrap());
    assert_eq!(config.admin_token.unwrap().expose_secret(), "0123456789abcdef");
    assert_eq!(config.webhook_tolerance, Duration::from_secs(60));
    assert_eq!((config.body_limit_bytes, config.read_timeout), (4096, Duration::from_secs(2)));
    assert_eq!((config.max_requests, config.batch_max_events), (10, 20));
    assert_eq!(config.batch_wait, Duration::from_millis(30));
    assert_eq!(config.user_id_metadata_keys, ["uid", "user"]);
    let tracks = config.activity_tables.of("public.tracks").unwrap();
    assert_eq!((tracks.owner.as_str(), config.activity_tables.iter().count()), ("author_id", 3));
    assert_eq!((config.active_days, config.at_risk_days, config.champion_months), (1, 2, 3));
    assert_eq!((config.log_filter.as_str(), config.log_format), ("warn,memberflow=debug", LogFormat::Json));
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = "max_requests = 1\nbatch_max_events = 1\nbind = \"127.0.0.1:1\"";
    let mut given = given(file, &[("MEMBERFLOW_BATCH_MAX_EVENTS", "2"), ("MEMBERFLOW_BIND", "127.0.0.1:2")]);
    given.flags.bind = Some("127.0.0.1:3".to_owned());
    given.flags.database_url = Some(URL.into());
    let config = read(&given).unwrap();
    assert_eq!(config.active_days, Config::new("").active_days);
    assert_eq!(config.origin_filter().mode, StripeMode::Live);
    assert_eq!((config.max_requests, config.batch_max_events, config.bind.port()), (1, 2, 3));
    assert_eq!(config.database_url.expose_secret(), URL);
}

#[test]
fn unknown_setting_names_the_nearest_one() {
    for (file, variables, name, nearest) in [
        ("databse_url = \"x\"", &[][..], "databse_url (in memberflow.toml)", "database_url"),
        ("", &[("MEMBERFLOW_BIN", "x")], "MEMBERFLOW_BIN", "MEMBERFLOW_BIND"),
        ("", &[("MEMBERFLOW_ADMINTOKEN", "")], "MEMBERFLOW_ADMINTOKEN", "MEMBERFLOW_ADMIN_TOKEN"),
        ("", &[("MEMBERFLOW_CONF", "x")], "MEMBERFLOW_CONF", "MEMBERFLOW_CONFIG"),
    ] {
        assert_eq!(fault(file, variables), format!("unknown setting {name}: did you mean {nearest}?"));
    }
}

#[test]
fn foreign_variables_ignored_empty_ones_absent() {
    let config = read(&given(
        "",
        &[
            ("HOME", "/root"),
            ("DATABASE_URLS", "x"),
            ("MEMBERFLOW_TEST_ANYTHING", "x"),
            ("MEMBERFLOW_SERVICE_HOST", "10.0.0.1"),
            ("MEMBERFLOW_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
            ("MEMBERFLOW_CONFIG", "x.toml"),
            ("AMQP_URL", ""),
            ("MEMBERFLOW_BIND", ""),
        ],
    ))
    .unwrap();
    assert!(config.amqp_url.is_none());
    assert_eq!(config.bind.port(), 8080);
}

#[test]
fn invalid_value_names_the_accepted_form() {
    for (name, value, form) in [
        ("DATABASE_URL", "mysql://hunter2@localhost", "postgres://"),
        ("DATABASE_URL", "postgres://hunter2@localhost:port/db", "postgres://"),
        ("AMQP_URL", "http://hunter2", "amqp://"),
        ("STRIPE_WEBHOOK_SECRETS", "sk_live_hunter2", "whsec_ and"),
        ("STRIPE_WEBHOOK_SECRETS", "whsec_", "whsec_ and"),
        ("STRIPE_WEBHOOK_SECRETS", "whsec_hunter2", "at least 8 characters"),
        ("STRIPE_WEBHOOK_SECRETS", ",", "whsec_ and"),
        ("SUPABASE_WEBHOOK_SECRETS", "v1,whsec_", "v1,whsec_<base64>"),
        ("SUPABASE_WEBHOOK_SECRETS", "v1,whsec_hunter2A", "at least 16 bytes"),
        ("SUPABASE_WEBHOOK_SECRETS", "v1a,whpk_hunter2", "never sign"),
        ("SUPABASE_HOOK_SECRETS", "v1,whsec_", "v1,whsec_<base64>"),
        ("MEMBERFLOW_OPS_BIND", "9090", "127.0.0.1:9090"),
        ("STRIPE_API_KEY", "whsec_hunter2", "sk_"),
        ("STRIPE_API_BASE", "api.stripe.com", "https://"),
        ("MEMBERFLOW_STRIPE_MODE", "hunter2", "live, test, or any"),
        ("MEMBERFLOW_STRIPE_ACCOUNT", "hunter2", "acct_"),
        ("MEMBERFLOW_STRIPE_ACCOUNT", "acct_hunter2'", "acct_"),
        ("SUPABASE_URL", "https://", "https://"),
        ("MEMBERFLOW_CONSOLE_URL", "crm.example.com", "the address before /console"),
        ("MEMBERFLOW_CONSOLE_ROLES", "user_metadata", "app_metadata"),
        ("MEMBERFLOW_BIND", "8080", "127.0.0.1:8080"),
        ("MEMBERFLOW_ADMIN_TOKEN", "hunter2", "at least 16"),
        ("MEMBERFLOW_WEBHOOK_TOLERANCE_SECONDS", "-1", "seconds"),
        ("MEMBERFLOW_WEBHOOK_TOLERANCE_SECONDS", "5m", "seconds"),
        ("MEMBERFLOW_BODY_LIMIT_BYTES", "0", "bytes"),
        ("MEMBERFLOW_MAX_REQUESTS", "0", "1 to"),
        ("MEMBERFLOW_QUEUE_PREFIX", "a b", "letters"),
        ("MEMBERFLOW_LOG_FILTER", "a=b=c", "level"),
        ("MEMBERFLOW_LOG_FORMAT", "xml", "json"),
        ("MEMBERFLOW_USER_ID_METADATA_KEYS", ",", "keys"),
        ("MEMBERFLOW_ACTIVITY_TABLES", "public.tracks:user_id", "schema.table:owner_column:metric_column"),
        ("MEMBERFLOW_ACTIVITY_TABLES", "auth.users:id:vision_count", "schema.table:owner_column"),
    ] {
        let said = fault("", &[(name, value)]);
        assert!(said.starts_with(&format!("{name} is not valid")) && said.contains(form), "{said}");
        assert!(!said.contains("hunter2"), "a value may be a secret: {said}");
    }
    for file in ["bind = true", "max_requests = 1.5", "bind = [\"127.0.0.1:1\", \"127.0.0.1:2\"]"] {
        assert!(fault(file, &[]).contains("is not valid"), "{file}");
    }
}

#[test]
fn invalid_toml_names_line_without_quoting_it() {
    let said = fault("bind = \"127.0.0.1:1\"\nstripe_api_key = sk_live_hunter2\n", &[]);
    assert!(said.starts_with("memberflow.toml, line 2: "), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn no_secret_is_shown_by_debug() {
    let config = read(&given(
        "",
        &[
            ("DATABASE_URL", URL),
            ("AMQP_URL", "amqp://guest:hunter2@localhost"),
            ("STRIPE_WEBHOOK_SECRETS", "whsec_hunter2hunter2"),
            ("SUPABASE_WEBHOOK_SECRETS", "v1,whsec_hunter2hunter2hunter2hunter2"),
            ("SUPABASE_HOOK_SECRETS", "v1,whsec_hunter2hunter2hunter2hunter2"),
            ("STRIPE_API_KEY", "sk_test_hunter2"),
            ("MEMBERFLOW_ADMIN_TOKEN", "hunter2hunter2hunter2"),
        ],
    ))
    .unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

fn memberflow(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let directory = std::env::temp_dir();
    let mut command = Command::new(env!("CARGO_BIN_EXE_memberflow"));
    command.current_dir(directory).env_clear().envs(variables.iter().copied()).args(arguments);
    command.output().unwrap()
}

#[test]
fn wrong_usage_exits_with_2() {
    for (arguments, variables, said) in [
        (&["serve"][..], &[][..], "DATABASE_URL is not set"),
        (&["serve", "--bind", "nowhere"], &[("DATABASE_URL", URL)], "--bind is not valid"),
        (&["serve", "--config", "/nonexistent.toml"], &[], "/nonexistent.toml"),
        (&["serve"], &[("MEMBERFLOW_CONFIG", "/nonexistent.toml")], "/nonexistent.toml"),
        (&["serve", "--roles", "cook"], &[], "receive, relay, consume, api"),
        (&["sign", "paypal", "--file", "x"], &[], "stripe, supabase"),
        (&["cook"], &[], "cook"),
        (&["mrr", "--date", "9999-12-31T23:59:59-23:59"], &[], "out of range"),
        (&["events", "list", "--since=-9999-01-01"], &[], "out of range"),
        (&["replay", "x", "--shift-to", "9999-12-31T23:59:59-23:59"], &[], "out of range"),
    ] {
        let ended = memberflow(arguments, variables);
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(said), "{said} in {stderr}");
        assert!(ended.stdout.is_empty());
    }
}

#[test]
fn completions_are_printed_for_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = memberflow(&["completion", shell], &[]);
        assert!(ended.status.success());
        assert!(String::from_utf8(ended.stdout).unwrap().contains("memberflow"));
    }
}

/// A `serve` without a Postgres, on a port of its own, ended with the value.
struct Serving {
    process: Child,
    address: String,
}

impl Serving {
    fn start() -> Self {
        let address = quiet_address().to_string();
        let process = Command::new(env!("CARGO_BIN_EXE_memberflow"))
            .env_clear()
            .env("STRIPE_WEBHOOK_SECRETS", "whsec_the_first")
            .args(["serve", "--bind", &address, "--database-url", "postgres://nobody@127.0.0.1:1/none"])
            .spawn()
            .unwrap();
        let serving = Self { process, address };
        wait_until("serve listens", || TcpStream::connect(&serving.address).is_ok());
        serving
    }

    fn terminate(&self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn serve_without_postgres_stops_on_signal() {
    let mut serving = Serving::start();
    serving.terminate();
    assert_eq!(serving.process.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut serving = Serving::start();
    // A request that is under way for as long as a body may take holds up the stop.
    let mut slow = TcpStream::connect(&serving.address).unwrap();
    slow.write_all(b"POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n")
        .unwrap();
    let mut begun = [0; 12];
    slow.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.1 100", "the body is being waited for");
    serving.terminate();
    wait_until("serve is stopping", || TcpStream::connect(&serving.address).is_err());
    assert!(serving.process.try_wait().unwrap().is_none(), "the request is still under way");
    serving.terminate();
    assert_eq!(serving.process.wait().unwrap().code(), Some(1));
}

#[test]
fn match_by_takes_known_kinds_and_nothing() {
    let matching = |value: &str| read(&given("", &[("MEMBERFLOW_MATCH_BY", value)])).map(|it| it.matching);
    let none = matching("").unwrap();
    assert_eq!((none.metadata, none.reference, none.email), (false, false, false));
    let some = matching("reference, email").unwrap();
    assert_eq!((some.metadata, some.reference, some.email), (false, true, true));
    let wrong = fault("", &[("MEMBERFLOW_MATCH_BY", "metadata,e-mail")]);
    assert!(
        wrong.contains("MEMBERFLOW_MATCH_BY is not valid: it takes metadata, reference and email"),
        "{wrong}"
    );
    let listed =
        read(&given("match_by = ['metadata', 'email']\nmatch_sso_email = true", &[])).unwrap().matching;
    assert_eq!((listed.reference, listed.email, listed.sso_email), (false, true, true));
}

/// It has all permissions, and none are needed here.
#[test]
fn secret_key_as_the_publishable_one_is_rejected() {
    let key = |role: &str| {
        let claims = format!(r#"{{"iss": "supabase", "ref": "x", "role": "{role}"}}"#);
        format!("eyJhbGciOiJIUzI1NiJ9.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims))
    };
    let set = |key: &str| read(&given("", &[("SUPABASE_PUBLISHABLE_KEY", key)]));
    for good in ["sb_publishable_abc", &key("anon")] {
        assert!(set(good).unwrap().supabase_publishable_key.is_some(), "{good}");
    }
    for bad in ["sb_secret_hunter2", &key("service_role"), "two words"] {
        let said = set(bad).unwrap_err().to_string();
        assert!(said.contains("never sb_secret_") && !said.contains(bad), "{said}");
    }
}

/// Published files must hold no secrets.
#[test]
fn compose_and_its_script_hold_no_secret() {
    let compose = include_str!("../../../docker-compose.yml");
    for name in [
        "STRIPE_WEBHOOK_SECRETS",
        "SUPABASE_WEBHOOK_SECRETS",
        "SUPABASE_HOOK_SECRETS",
        "MEMBERFLOW_ADMIN_TOKEN",
    ] {
        assert!(compose.contains(&format!("{name}: ${{{name}:?")), "{name} is not required");
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/compose-secrets.sh");
    let made = || String::from_utf8(Command::new("bash").arg(script).output().unwrap().stdout).unwrap();
    let (one, other) = (made(), made());
    let variables: Vec<(&str, &str)> = one.lines().map(|line| line.split_once('=').unwrap()).collect();
    assert_eq!(variables.len(), 4, "{one}");
    assert!(one.lines().zip(other.lines()).all(|(one, other)| one != other));
    let config = read(&given("", &variables)).unwrap();
    assert!(config.admin_token.is_some() && !config.supabase_hook_secrets.is_empty());
}
