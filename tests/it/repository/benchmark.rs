//! `make bench` still measures: a part of it, with next to no load.

#[path = "../../../benches/load/measure/mod.rs"]
mod measure;

use measure::{Options, Part};
use serde_json::Value;

#[tokio::test]
async fn benchmark_writes_its_table_between_the_marks() {
    let folder = std::env::temp_dir().join(format!("memberflow-bench-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder).unwrap();
    let (document, json) = (folder.join("performance.md"), folder.join("bench.json"));
    let marks = ["begin", "end"].map(|it| format!("<!-- measured by `make bench`: {it} -->"));
    std::fs::write(&document, format!("before\n{}\nold\n{}\nafter\n", marks[0], marks[1])).unwrap();
    let options = Options {
        only: vec![Part::Accept],
        rounds: 1,
        listed: None,
        quick: true,
        json: json.clone(),
        write: Some(document.clone()),
        bench: true,
    };
    measure::run(&options).await;
    let written = std::fs::read_to_string(&document).unwrap();
    assert!(written.starts_with("before\n<!--") && written.ends_with("-->\nafter\n"), "{written}");
    assert!(written.contains("| accepted while consuming, Postgres, 5.4 KB, 64 connections | "), "{written}");
    assert!(!written.contains("old"), "{written}");
    let figures: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(figures["rows"].as_array().unwrap().len(), 3);
    assert!(figures["rows"].as_array().unwrap().iter().all(|row| row["median"].as_f64() > Some(0.0)));
    std::fs::remove_dir_all(folder).unwrap();
}
