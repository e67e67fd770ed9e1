//! The kinds of what happens, by what they are about, and where what they are about is shown.

use crate::query::Query;

/// What a kind is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Family {
    /// In a word.
    pub(crate) word: &'static str,
    /// As the heading of many.
    pub(crate) heading: &'static str,
}

/// Returns what a kind is about.
pub(crate) fn family(kind: &str) -> Family {
    let (word, heading) = match kind.split('.').next().unwrap_or_default() {
        "host" | "host_config" | "channel" => ("host", "Hosts"),
        "site" => ("site", "Sites"),
        "claim" | "claims" | "clone" => ("claim", "Claims"),
        "ticket" => ("ticket", "Tickets"),
        "token" if kind == "token.presented_by_second_key" => ("ticket", "Tickets"),
        "key" => ("key", "Keys of hosts"),
        "secret" => ("secret", "Secrets"),
        "job" => ("job", "Jobs"),
        "team" | "person" | "login" | "password" | "second_factor" | "invitation" | "token"
        | "web_session" | "oidc" => ("people", "People and signing in"),
        "endpoint" | "delivery" => ("webhook", "Webhooks and notifications"),
        "audit" => ("audit", "Audit trail"),
        "setting" | "installation" | "instruction_key" | "server" => ("server", "Server"),
        _ => ("other", "Others"),
    };
    Family { word, heading }
}

/// Returns a kind as words: `host enrolled`.
pub(crate) fn label(kind: &str) -> String {
    kind.replace(['.', '_'], " ")
}

/// Returns the page of what something happened to; `kind` says what an id without a prefix is of.
pub(crate) fn href(kind: &str, subject: &str) -> Option<String> {
    let is_id = !subject.is_empty() && subject.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_id {
        return None;
    }
    let page = match subject.split_once('_').map(|(prefix, _)| prefix) {
        Some("host") => "/hosts",
        Some("claim") => "/approvals",
        Some("job") => "/jobs",
        Some("site") => "/sites",
        Some("endpoint") => "/webhooks",
        None if family(kind).word == "ticket" => "/tickets",
        _ => return None,
    };
    Some(format!("{page}/{subject}"))
}

/// Kinds that are about the same, to choose from.
#[derive(Debug, Clone)]
pub(crate) struct KindGroup {
    pub(crate) heading: &'static str,
    /// The value that stands for all of them, if a list may be so long.
    pub(crate) all: Option<String>,
    pub(crate) kinds: Vec<KindChoice>,
}

/// A kind to choose.
#[derive(Debug, Clone)]
pub(crate) struct KindChoice {
    pub(crate) word: String,
    pub(crate) label: String,
    pub(crate) says: String,
}

impl KindGroup {
    /// Groups kinds, which come with what they mean; `most` is how many a filter may name.
    pub(crate) fn of(kinds: impl IntoIterator<Item = (String, String)>, most: usize) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for (word, says) in kinds {
            let heading = family(&word).heading;
            let choice = KindChoice { label: label(&word), says, word };
            match groups.iter_mut().find(|group| group.heading == heading) {
                Some(group) => group.kinds.push(choice),
                None => groups.push(Self { heading, all: None, kinds: vec![choice] }),
            }
        }
        for group in groups.iter_mut().filter(|group| (2..=most).contains(&group.kinds.len())) {
            let words: Vec<&str> = group.kinds.iter().map(|kind| kind.word.as_str()).collect();
            group.all = Some(words.join(","));
        }
        groups
    }

    pub(crate) fn is_all(&self, query: &Query, name: &str) -> bool {
        self.all.as_deref().is_some_and(|all| query.is(name, all))
    }
}

#[cfg(test)]
mod tests {
    use muster_wire::happening::Happening;

    use super::*;

    #[test]
    fn every_kind_has_a_family_and_a_filter_names_no_more_than_it_may() {
        let kinds = Happening::ALL.iter().map(|kind| (kind.as_str().to_owned(), kind.says().to_owned()));
        let groups = KindGroup::of(kinds, 8);
        assert!(groups.iter().all(|group| group.heading != "Others"));
        let longest =
            groups.iter().filter_map(|group| group.all.as_ref()).map(|all| all.split(',').count()).max();
        assert!(longest <= Some(8));
        assert_eq!(label("token.presented_by_second_key"), "token presented by second key");
    }

    #[test]
    fn only_an_id_leads_anywhere() {
        assert_eq!(href("job.failed", "job_1"), Some("/jobs/job_1".to_owned()));
        assert_eq!(href("ticket.minted", "4fGh7kLm2nPq"), Some("/tickets/4fGh7kLm2nPq".to_owned()));
        assert_eq!(href("login.failed", "4fGh7kLm2nPq"), None);
        for odd in ["", "host_/../x", "host_1?a", "user_1", "system"] {
            assert_eq!(href("host.enrolled", odd), None, "{odd}");
        }
    }
}
