//! Filters by when a host was last seen: a choice like "not for a day" in the address, a span ago for the API.

use crate::query::Query;

/// Word of the address, words for people, filter of the API, and its value: how long ago.
const CHOICES: &[(&str, &str, &str, &str)] = &[
    ("in-1h", "seen within 1 h", "seen_after", "1h"),
    ("in-1d", "seen within 1 d", "seen_after", "1d"),
    ("not-1h", "not seen for 1 h", "seen_before", "1h"),
    ("not-1d", "not seen for 1 d", "seen_before", "1d"),
    ("not-7d", "not seen for 7 d", "seen_before", "7d"),
    ("not-30d", "not seen for 30 d", "seen_before", "30d"),
];

/// Returns the word of each choice and its words for people.
pub(crate) fn choices() -> Vec<(&'static str, &'static str)> {
    CHOICES.iter().map(|(word, says, ..)| (*word, *says)).collect()
}

/// Returns the query as the API takes it.
pub(crate) fn resolved(query: &Query) -> Query {
    let chosen = CHOICES.iter().find(|(word, ..)| query.is("seen", word));
    let plain = query.without("seen");
    chosen.map_or(plain.clone(), |(_, _, filter, ago)| plain.and(filter, ago))
}

/// Returns the query with the choice that says what a saved view says.
pub(crate) fn chosen(query: &Query) -> Query {
    // A choice is instead of what its filter said before.
    if let Some((_, _, filter, _)) = CHOICES.iter().find(|(word, ..)| query.is("seen", word)) {
        return query.without(filter);
    }
    let said = CHOICES.iter().find(|(_, _, filter, ago)| query.is(filter, ago));
    match said.filter(|_| query.get("seen").is_none()) {
        Some((word, _, filter, _)) => query.without(filter).and("seen", word),
        None => query.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_a_span_ago_for_the_api() {
        let asked = |text: &str| resolved(&Query::parse(text)).on("/v1/hosts");
        assert_eq!(asked("q=a&seen=not-1d"), "/v1/hosts?q=a&seen_before=1d");
        assert_eq!(asked("seen=in-1h"), "/v1/hosts?seen_after=1h");
        assert_eq!(asked("seen=whenever"), "/v1/hosts");
        for (word, _, filter, ago) in CHOICES {
            assert!(ago.parse::<muster_wire::when::When>().is_ok(), "{word}: {filter}={ago}");
        }
    }

    #[test]
    fn what_a_view_says_is_the_choice_that_says_it() {
        for (from, to) in [
            ("seen_before=7d&q=a", "/?q=a&seen=not-7d"),
            ("seen_after=1h&seen_before=3d", "/?seen_before=3d&seen=in-1h"),
            ("seen_before=3d", "/?seen_before=3d"),
            ("seen_before=7d&seen=in-1h", "/?seen_before=7d&seen=in-1h"),
        ] {
            assert_eq!(chosen(&Query::parse(from)).on("/"), to);
        }
    }
}
