//! axe-core, run in an open page: what keeps people out who see, hear or move differently.

use serde_json::{Value, json};

use super::chromium::Chromium;

const AXE: &str = include_str!("vendor/axe-core-4.14.1.min.js");
const SHA_256: &str = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c";

/// After the next frame, when a change of the screen has reached the page.
const RUN: &str = "
    await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
    const { violations } = await axe.run(document, arguments[0]);
    return violations.flatMap(({ id, nodes }) => nodes.map((it) => `${id}: ${it.html}: ${it.failureSummary}`));
";

/// Checks that axe finds nothing in the page that is open, called `at` where it does.
pub async fn assert_clean(chromium: &Chromium, at: &str) {
    assert_nothing_found(chromium, at, json!({"resultTypes": ["violations"]})).await;
}

/// The same, by the rules whose answer depends on colours and layout: no style sheet shows or hides anything by scheme or width.
pub async fn assert_appearance_clean(chromium: &Chromium, at: &str) {
    let rules = ["color-contrast", "link-in-text-block", "scrollable-region-focusable"];
    let rules = json!({"type": "rule", "values": rules});
    assert_nothing_found(chromium, at, json!({"resultTypes": ["violations"], "runOnly": rules})).await;
}

async fn assert_nothing_found(chromium: &Chromium, at: &str, options: Value) {
    if chromium.run("return 'axe' in window", json!([])).await == false {
        chromium.run(AXE, json!([])).await;
    }
    let run = format!("return (async () => {{ {RUN} }})()");
    let found = chromium.run(&run, json!([options])).await;
    assert_eq!(found, Value::Array(Vec::new()), "{at}: {found:#}");
}

#[test]
fn axe_is_the_file_that_npm_has() {
    use sha2::{Digest as _, Sha256};
    assert_eq!(hex::encode(Sha256::digest(AXE)), SHA_256);
}
