//! Links between the documents lead to files, and the index of the decisions is complete.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Markdown files below `folder`, except in hidden folders and those of builds.
fn documents(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| {
        if path.is_dir() {
            let name = path.file_name().unwrap();
            let is_excluded = name == "target" || name.as_encoded_bytes().starts_with(b".");
            return if is_excluded { Vec::new() } else { documents(&path) };
        }
        let is_document = path.extension().is_some_and(|extension| extension == "md");
        if is_document { vec![path] } else { Vec::new() }
    };
    entries.flat_map(below).collect()
}

/// The paths of the relative links in `text`, without anchors.
fn relative_links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let relative = targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"));
    relative.filter_map(|target| target.split('#').next()).filter(|path| !path.is_empty())
}

#[test]
fn every_relative_link_leads_to_a_file_or_folder() {
    let documents = documents(root());
    assert!(documents.len() > 50, "{documents:?}");
    let mut dead: Vec<String> = Vec::new();
    for document in &documents {
        let text = fs::read_to_string(document).unwrap();
        let folder = document.parent().unwrap();
        let missing = relative_links(&text).filter(|link| !folder.join(link).exists());
        dead.extend(missing.map(|link| format!("{}: {link}", document.display())));
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn index_of_decisions_names_each_with_its_title() {
    let folder = root().join("docs/decisions");
    let index = folder.join("README.md");
    let rows = fs::read_to_string(&index).unwrap();
    let decisions: Vec<PathBuf> = documents(&folder).into_iter().filter(|path| *path != index).collect();
    assert!(decisions.len() > 20, "{decisions:?}");
    let row = |decision: &PathBuf| {
        let text = fs::read_to_string(decision).unwrap();
        let title = text.lines().next().and_then(|line| line.strip_prefix("# ")).expect("a title");
        format!("| [{title}]({}) |", decision.strip_prefix(&folder).unwrap().display())
    };
    let missing: Vec<String> = decisions.iter().map(row).filter(|row| !rows.contains(row)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
