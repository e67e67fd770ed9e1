//! What somebody should look at: in words, with the way to it.

use muster_ids::Timestamp;
use muster_wire::overview::{Attention, AttentionKind};

use crate::markup::{self, Markup};
use crate::words::Tone;

/// One kind of what somebody should look at.
pub(crate) struct Pressing {
    pub(crate) heading: &'static str,
    /// How many, by how pressing it is.
    pub(crate) count: Markup,
    /// What to do about it.
    pub(crate) advice: &'static str,
    /// Where all of them are, in words.
    pub(crate) all: (&'static str, &'static str),
    pub(crate) items: Vec<PressingItem>,
    /// How many are not listed.
    pub(crate) rest: Option<String>,
}

/// One thing somebody should look at.
pub(crate) struct PressingItem {
    pub(crate) href: Option<String>,
    pub(crate) name: String,
    pub(crate) since: Timestamp,
}

struct Words {
    heading: &'static str,
    advice: &'static str,
    tone: Tone,
    /// The page of one; without one, its id names no page.
    page: Option<&'static str>,
    all: (&'static str, &'static str),
}

impl Pressing {
    pub(crate) fn new(attention: &Attention) -> Self {
        let words = words(attention.kind);
        let at_least = if attention.more { "more than " } else { "" };
        let listed = attention.items.len() as u64;
        let rest = attention.count.saturating_sub(listed);
        let items = attention.items.iter().map(|item| PressingItem {
            href: words.page.map(|page| format!("{page}/{}", item.id)),
            name: item.name.clone(),
            since: item.since,
        });
        Self {
            heading: words.heading,
            count: markup::tinted(&format!("{at_least}{}", attention.count), words.tone),
            advice: words.advice,
            all: words.all,
            items: items.collect(),
            rest: (rest > 0).then(|| format!("and {at_least}{rest} more")),
        }
    }
}

fn words(kind: AttentionKind) -> Words {
    let (heading, advice, tone, page, all) = match kind {
        AttentionKind::HostsHeld => (
            "Hosts are held",
            "Two machines show the same identity. Neither gets anything before you say which one is genuine.",
            Tone::Bad,
            Some("/hosts"),
            ("/approvals", "Answer the claims"),
        ),
        AttentionKind::ClaimsWaiting => (
            "Machines wait for a decision",
            "Look at each one and at the host it collides with, then replace, admit or reject.",
            Tone::Warn,
            Some("/approvals"),
            ("/approvals", "Decide"),
        ),
        AttentionKind::SecretsExposed => (
            "Secrets went to a key nobody trusts any more",
            "Change each secret where it is used, then set the new value on the host's page.",
            Tone::Bad,
            Some("/hosts"),
            ("/hosts", "Go to the hosts"),
        ),
        AttentionKind::SecretsUnreadable => (
            "Sealed records do not open",
            "Somebody changed the database, or the key file is another one. Look at the events, then at the server.",
            Tone::Bad,
            None,
            ("/events?kind=secret.unreadable", "Look at the events"),
        ),
        AttentionKind::HostsUnreachable => (
            "Hosts cannot be reached",
            "Their heartbeats stopped without a goodbye. Check power and network, and whether the agent runs.",
            Tone::Bad,
            Some("/hosts"),
            ("/hosts?presence=unreachable", "List them"),
        ),
        AttentionKind::JobsFailed => (
            "Jobs failed or were lost in the last 24 hours",
            "Their logs say why. Run them again once the cause is gone.",
            Tone::Bad,
            Some("/jobs"),
            ("/jobs", "Go to the jobs"),
        ),
        _ => return words_of_what_is_to_come(kind),
    };
    Words { heading, advice, tone, page, all }
}

fn words_of_what_is_to_come(kind: AttentionKind) -> Words {
    let (heading, advice, tone, page, all) = match kind {
        AttentionKind::ConfigDrifted => (
            "Hosts have not taken their configuration",
            "They are connected but confirm nothing. If it lasts, look at the agent's log on the machine.",
            Tone::Warn,
            Some("/hosts"),
            ("/hosts?presence=online", "Go to the hosts"),
        ),
        AttentionKind::EndpointsFailing => (
            "Notifications do not arrive",
            "The receiver takes nothing. Send a test, mend the receiver, then deliver again.",
            Tone::Bad,
            Some("/webhooks"),
            ("/webhooks", "Go to the webhooks"),
        ),
        AttentionKind::SiteKeysExpiring => (
            "Site keys lapse within 7 days",
            "Machines that still carry one will not get in. Rotate the key and hand out the new one.",
            Tone::Warn,
            Some("/tickets"),
            ("/sites", "Go to the sites"),
        ),
        _ => (
            "The server's certificate lapses soon",
            "Agents will refuse to connect after that. Renew it on the server machine: muster tls rotate.",
            Tone::Warn,
            None,
            ("/settings", "Go to the settings"),
        ),
    };
    Words { heading, advice, tone, page, all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_says_what_it_is_and_what_to_do() {
        for kind in AttentionKind::ALL {
            let words = words(*kind);
            assert!(words.advice.ends_with('.') && words.all.0.starts_with('/'), "{kind}");
            assert_eq!(
                words.heading.starts_with("The server's certificate"),
                *kind == AttentionKind::CertificateExpiring
            );
        }
    }

    #[test]
    fn what_is_not_listed_is_counted() {
        let attention =
            Attention { kind: AttentionKind::JobsFailed, count: 1000, more: true, items: Vec::new() };
        let pressing = Pressing::new(&attention);
        assert!(pressing.count.to_string().contains("more than 1000"));
        assert_eq!(pressing.rest.as_deref(), Some("and more than 1000 more"));
    }
}
