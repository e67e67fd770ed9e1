//! URLs as proofs name them.

use muster_proof::HtuUrl;

/// A normalised URL is normal already, has no part that is not compared, and its path stays below its server.
pub fn htu(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(url) = HtuUrl::parse(text) {
        normal(&url);
    }
    // A path of a request, below a server whose URL has a path of its own.
    let text = text.trim_start_matches('/');
    if let Ok(url) = HtuUrl::below("https://muster.example/base/", text) {
        normal(&url);
        let dotted = text.split('/').any(|part| {
            let part = part.to_ascii_lowercase().replace("%2e", ".");
            matches!(part.as_str(), "." | "..")
        });
        assert!(dotted || url.as_str().starts_with("https://muster.example/base/"), "{text:?} became {url}");
        assert!(url.as_str().starts_with("https://muster.example/"), "{text:?} became {url}");
    }
}

fn normal(url: &HtuUrl) {
    let again = HtuUrl::parse(url.as_str()).expect("a normal URL is a URL");
    assert_eq!(again, *url, "normalising twice gives another URL");
    let after = url.as_str().strip_prefix("https://").or_else(|| url.as_str().strip_prefix("http://"));
    let after = after.expect("http or https");
    let (authority, _) = after.split_once('/').expect("a path");
    assert!(!authority.is_empty() && !authority.contains('@'), "{url}");
    assert!(!url.as_str().contains(['?', '#', ' ', '\\']), "{url}");
    assert_eq!(authority.to_ascii_lowercase(), authority, "{url}");
    let default_port = if url.as_str().starts_with("https:") { ":443" } else { ":80" };
    assert!(!authority.ends_with(default_port), "{url}");
}
