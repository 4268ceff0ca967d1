//! `docs/SECURITY.md` names tests that exist.

use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../docs/SECURITY.md");

#[test]
fn every_test_named_on_the_page_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources: String =
        [root.join("src"), root.join("tests/it")].iter().flat_map(|folder| rust_files(folder)).collect();
    // A name in code marks with `::` in it is a test's path.
    let named: Vec<&str> = PAGE.split('`').skip(1).step_by(2).filter(|text| text.contains("::")).collect();
    assert!(named.len() > 50, "{named:?}");
    let missing: Vec<&&str> = named.iter().filter(|path| !is_defined(&sources, path)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

fn is_defined(sources: &str, path: &str) -> bool {
    path.rsplit("::").next().is_some_and(|name| sources.contains(&format!("fn {name}(")))
}

/// The contents of all Rust files below `folder`.
fn rust_files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| match path.is_dir() {
        true => rust_files(&path),
        false => fs::read_to_string(path).into_iter().collect(),
    };
    entries.flat_map(read).collect()
}
