//! The files of the browser, embedded: styles, scripts, icon. Their address names their content and never changes.

use std::io::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};

struct Asset {
    name: &'static str,
    media: &'static str,
    bytes: &'static [u8],
    /// The same, smaller: made once, not for each who asks.
    gzipped: Vec<u8>,
    /// What names the content: `app.css` is asked for as `app-<check>.css`.
    check: u32,
}

macro_rules! assets {
    ($($name:literal: $media:literal),+ $(,)?) => {
        static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
            let files: &[(&'static str, &'static str, &'static [u8])] =
                &[$(($name, $media, include_bytes!(concat!("../assets/", $name)))),+];
            let asset = |&(name, media, bytes)| Asset {
                name,
                media,
                bytes,
                gzipped: gzip(bytes),
                check: crc32fast::hash(bytes),
            };
            files.iter().map(asset).collect()
        });
    };
}

assets!(
    "app.css": "text/css; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "htmx-4.0.1.min.js": "text/javascript; charset=utf-8",
    "favicon.svg": "image/svg+xml",
);

/// Returns the address of a file.
pub(crate) fn url(name: &str) -> String {
    let check = ASSETS.iter().find(|asset| asset.name == name).map_or(0, |asset| asset.check);
    format!("/assets/{check:08x}/{name}")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("writing into memory does not fail")
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_gzip = |coding: &str| coding.trim().eq_ignore_ascii_case("gzip");
    accepted.split(',').any(is_gzip)
}

/// `GET /assets/{check}/{name}`
pub(crate) async fn get(Path((check, name)): Path<(String, String)>, asked: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // A page of before an update asks for what is no more; it gets what is there, and does not keep it.
    let caching = if check == format!("{:08x}", asset.check) {
        HeaderValue::from_static("public, max-age=31536000, immutable")
    } else {
        HeaderValue::from_static("no-store")
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(asset.media)),
        (CACHE_CONTROL, caching),
        (VARY, HeaderValue::from_static("accept-encoding")),
    ];
    if takes_gzip(&asked) {
        let coding = [(CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
        return (headers, coding, asset.gzipped.as_slice()).into_response();
    }
    (headers, asset.bytes).into_response()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, digest};
    use data_encoding::HEXLOWER;

    use super::*;

    /// `assets/README.md` says where a file is from, and under which licence.
    #[test]
    fn vendored_files_are_what_was_published() {
        let listed: Vec<(&str, &str)> =
            include_str!("../assets/SHA256SUMS").lines().filter_map(|line| line.split_once("  ")).collect();
        assert!(!listed.is_empty());
        for (sum, name) in listed {
            let asset = ASSETS.iter().find(|asset| asset.name == name).expect("a listed file is embedded");
            assert_eq!(HEXLOWER.encode(digest(&SHA256, asset.bytes).as_ref()), sum, "{name}");
        }
    }
}
