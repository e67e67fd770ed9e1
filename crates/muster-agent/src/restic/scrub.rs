//! Takes credentials out of what restic prints.

use zeroize::Zeroizing;

use super::repository::{Repository, percent_encoded};

const HIDDEN: &str = "***";

/// Knows what must not be printed.
pub(super) struct Scrub {
    secrets: Vec<Zeroizing<String>>,
}

impl Scrub {
    /// Hides nothing but user information in URLs.
    pub(super) fn nothing() -> Self {
        Self { secrets: Vec::new() }
    }

    /// Hides the passwords of a repository in every spelling restic may use.
    pub(super) fn of(repository: &Repository) -> Self {
        let mut secrets: Vec<Zeroizing<String>> =
            repository.secrets().into_iter().flat_map(spellings).map(Zeroizing::new).collect();
        // The longest first: one secret may be the beginning of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self { secrets }
    }

    /// Returns `text` without secrets, without user information in URLs, visible, at most `max_bytes` long.
    pub(super) fn clean(&self, text: &str, max_bytes: usize) -> String {
        // Twice: a secret may be told in pieces that only look like it once control characters are blanks.
        let hidden = without_user_information(&self.without_secrets(text.to_owned()));
        let visible: String = hidden.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let cleaned = self.without_secrets(visible);
        let end =
            (0..=max_bytes.min(cleaned.len())).rev().find(|end| cleaned.is_char_boundary(*end)).unwrap_or(0);
        cleaned[..end].trim().to_owned()
    }

    fn without_secrets(&self, mut text: String) -> String {
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), HIDDEN);
        }
        text
    }
}

fn spellings(secret: &str) -> Vec<String> {
    let encoded = percent_encoded(secret);
    let quoted = serde_json::to_string(secret).unwrap_or_default();
    let quoted = quoted.trim_matches('"').to_owned();
    vec![secret.to_owned(), encoded.to_ascii_lowercase(), encoded, quoted]
}

/// Hides what stands between `://` and `@` in every URL.
fn without_user_information(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        cleaned.push_str(before);
        cleaned.push_str("://");
        let authority = after.split(['/', ' ', '"', '\'']).next().unwrap_or_default();
        rest = match authority.rsplit_once('@') {
            Some((user_information, _)) => {
                cleaned.push_str(HIDDEN);
                &after[user_information.len()..]
            }
            None => after,
        };
    }
    cleaned.push_str(rest);
    cleaned
}
