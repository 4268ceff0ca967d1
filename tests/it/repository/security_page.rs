//! The pages on security name tests that exist.

use std::fs;
use std::path::{Path, PathBuf};

const PAGES: [&str; 2] =
    [include_str!("../../../docs/SECURITY.md"), include_str!("../../../docs/security-findings.md")];

/// A file with its modules' path: `tests/it/receiving/attacks.rs` is `["receiving", "attacks"]`.
struct Source {
    modules: Vec<String>,
    text: String,
}

#[test]
fn every_test_named_on_the_pages_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources: Vec<Source> =
        [root.join("src"), root.join("tests/it")].iter().flat_map(|folder| sources(folder, folder)).collect();
    for page in PAGES {
        // A name in code marks with `::` in it is a test's path.
        let named: Vec<&str> =
            page.split('`').skip(1).step_by(2).filter(|text| text.contains("::")).collect();
        assert!(named.len() > 25, "{named:?}");
        let missing: Vec<&&str> = named.iter().filter(|path| !is_defined(&sources, path)).collect();
        assert!(missing.is_empty(), "{missing:#?}");
    }
}

fn is_defined(sources: &[Source], path: &str) -> bool {
    let parts: Vec<&str> = path.split("::").collect();
    let Some((name, modules)) = parts.split_last() else { return false };
    // Unit tests are in a module `tests` of their file.
    let of_file = modules.strip_suffix(&["tests"]).unwrap_or(modules);
    let is_of = |source: &&Source| source.modules == modules || source.modules == of_file;
    sources.iter().filter(is_of).any(|source| source.text.contains(&format!("fn {name}(")))
}

/// All Rust files below `folder`.
fn sources(root: &Path, folder: &Path) -> Vec<Source> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        if path.is_dir() {
            return sources(root, &path);
        }
        let modules = path.strip_prefix(root).unwrap().with_extension("");
        let modules = modules.iter().map(|part| part.to_str().unwrap().to_owned());
        let modules = modules.filter(|part| part != "mod").collect();
        fs::read_to_string(&path).map(|text| Source { modules, text }).into_iter().collect()
    };
    entries.flat_map(read).collect()
}
