//! Filters by when a host was last seen: a choice like "not for a day" in the address, a moment for the API.

use std::time::Duration;

use muster_ids::Timestamp;

use crate::query::Query;

/// Word of the address, words for people, whether seen since, seconds.
const CHOICES: &[(&str, &str, bool, u64)] = &[
    ("in-1h", "seen within 1 h", true, 3_600),
    ("in-1d", "seen within 1 d", true, 86_400),
    ("not-1h", "not seen for 1 h", false, 3_600),
    ("not-1d", "not seen for 1 d", false, 86_400),
    ("not-7d", "not seen for 7 d", false, 604_800),
    ("not-30d", "not seen for 30 d", false, 2_592_000),
];

/// Returns the word of each choice and its words for people.
pub(crate) fn choices() -> Vec<(&'static str, &'static str)> {
    CHOICES.iter().map(|(word, says, ..)| (*word, *says)).collect()
}

/// Returns the query as the API takes it, as seen now: whoever looks again sees it as of then.
pub(crate) fn resolved(query: &Query, now: Timestamp) -> Query {
    let chosen = CHOICES.iter().find(|(word, ..)| query.is("seen", word));
    let plain = query.without("seen");
    let Some((_, _, is_since, seconds)) = chosen else { return plain };
    let moment = now.minus(Duration::from_secs(*seconds)).to_string();
    plain.and(if *is_since { "seen_after" } else { "seen_before" }, &moment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::NOW;

    #[test]
    fn a_choice_is_a_moment_for_the_api() {
        let asked = |text: &str| resolved(&Query::parse(text), NOW).on("/v1/hosts");
        assert_eq!(asked("q=a&seen=not-1d"), "/v1/hosts?q=a&seen_before=2026-11-17T11%3A06%3A40.000Z");
        assert_eq!(asked("seen=in-1h"), "/v1/hosts?seen_after=2026-11-18T10%3A06%3A40.000Z");
        assert_eq!(asked("seen=whenever"), "/v1/hosts");
    }
}
