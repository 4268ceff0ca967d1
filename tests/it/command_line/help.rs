//! The help of every command, as people read it: `snapshots/help/` holds one file for each, and `snapshots/help/groups/`
//! those of the commands that have subcommands.

use crate::support::process::memberflow;

#[test]
fn help_of_every_command_matches_its_snapshot() {
    let program = help(&[]);
    assert_snapshot("snapshots/help", "memberflow", &program);
    for command in subcommands(&program) {
        let is_group = subcommands(&help(&[command])).next().is_some();
        let folder = if is_group { "snapshots/help/groups" } else { "snapshots/help" };
        assert_snapshot(folder, command, &with_subcommands(&[command]));
    }
}

fn assert_snapshot(folder: &str, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// The help of a command and of everything below it.
fn with_subcommands(path: &[&str]) -> String {
    let own = help(path);
    let below: Vec<String> =
        subcommands(&own).map(|name| with_subcommands(&[path, &[name]].concat())).collect();
    let heading = format!("$ memberflow {} --help\n", path.join(" "));
    [heading, own].into_iter().chain(below).collect::<Vec<_>>().join("\n")
}

/// What `--help` prints, at a width of its own.
fn help(path: &[&str]) -> String {
    let mut command = memberflow(&Vec::new());
    let output = command.env("COLUMNS", "100").args(path).arg("--help").output().unwrap();
    assert!(output.status.success(), "{path:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The names below `Commands:`.
fn subcommands(help: &str) -> impl Iterator<Item = &str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help")
}
