//! Scripts and styles, part of the binary and served under names with their hashes: a browser keeps each for ever, and asks
//! for another name after a change.
//!
//! htmx is the file of the npm package `htmx.org` 4.0.1 as it stands there; its licence is next to it.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

use super::html::error::PageError;

/// Hexadecimal digits of the hash in a name.
const HASH_DIGITS: usize = 16;

/// One file.
struct Asset {
    stem: &'static str,
    extension: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const ASSETS: [Asset; 4] = [
    Asset {
        stem: "console",
        extension: "css",
        content_type: CSS,
        bytes: include_bytes!("assets/console.css"),
    },
    Asset {
        stem: "htmx",
        extension: "js",
        content_type: SCRIPT,
        bytes: include_bytes!("assets/htmx-4.0.1.min.js"),
    },
    Asset {
        stem: "console",
        extension: "js",
        content_type: SCRIPT,
        bytes: include_bytes!("assets/console.js"),
    },
    Asset { stem: "theme", extension: "js", content_type: SCRIPT, bytes: include_bytes!("assets/theme.js") },
];

/// The names under which they are served, in the same order.
static NAMES: LazyLock<[String; ASSETS.len()]> = LazyLock::new(|| {
    ASSETS.map(|asset| {
        let hash = hex::encode(Sha256::digest(asset.bytes));
        format!("{}-{}.{}", asset.stem, &hash[..HASH_DIGITS], asset.extension)
    })
});

/// The address of the styles.
#[must_use]
pub fn styles() -> String {
    address(0)
}

/// The address of htmx.
#[must_use]
pub fn htmx() -> String {
    address(1)
}

/// The address of our own script.
#[must_use]
pub fn script() -> String {
    address(2)
}

/// The address of the script that runs before a page is painted.
#[must_use]
pub fn theme() -> String {
    address(3)
}

fn address(at: usize) -> String {
    format!("/console/assets/{}", NAMES[at])
}

/// Serves one.
pub(super) async fn serve(Path(name): Path<String>) -> Result<Response, PageError> {
    let at = NAMES.iter().position(|known| *known == name).ok_or(PageError::NotFound)?;
    let asset = &ASSETS[at];
    let headers =
        [(CONTENT_TYPE, asset.content_type), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, asset.bytes).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn htmx_is_the_file_that_npm_has() {
        let sha256 = "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130";
        assert_eq!(hex::encode(Sha256::digest(ASSETS[1].bytes)), sha256);
    }
}
