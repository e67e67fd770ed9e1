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

const HOSTS_HELD: Words = Words {
    heading: "Hosts are held",
    advice: "Two machines show the same identity. Neither gets anything before you say which one is genuine.",
    tone: Tone::Bad,
    page: Some("/hosts"),
    all: ("/hosts?held=true", "List them"),
};

const CLAIMS_WAITING: Words = Words {
    heading: "Machines wait for a decision",
    advice: "Look at each one and at the host it collides with, then replace, admit or reject.",
    tone: Tone::Warn,
    page: Some("/approvals"),
    all: ("/approvals", "Decide"),
};

const SECRETS_EXPOSED: Words = Words {
    heading: "Secrets went to a key nobody trusts any more",
    advice: "Change each secret where it is used, then set the new value on the host's page.",
    tone: Tone::Bad,
    page: Some("/hosts"),
    all: ("/hosts", "Go to the hosts"),
};

const SECRETS_UNREADABLE: Words = Words {
    heading: "Sealed records do not open",
    advice: "Somebody changed the database, or the key file is another one. Look at the events, then at the server.",
    tone: Tone::Bad,
    page: None,
    all: ("/events?kind=secret.unreadable", "Look at the events"),
};

const HOSTS_UNREACHABLE: Words = Words {
    heading: "Hosts cannot be reached",
    advice: "Their heartbeats stopped without a goodbye. Check power and network, and whether the agent runs.",
    tone: Tone::Bad,
    page: Some("/hosts"),
    all: ("/hosts?state=active&presence=unreachable", "List them"),
};

const JOBS_FAILED: Words = Words {
    heading: "Jobs failed or were lost in the last 24 hours",
    advice: "Their logs say why. Run them again once the cause is gone.",
    tone: Tone::Bad,
    page: Some("/jobs"),
    all: ("/jobs?state=bad", "List them"),
};

const CONFIG_DRIFTED: Words = Words {
    heading: "Hosts have not taken their configuration",
    advice: "They are connected but confirm nothing. If it lasts, look at the agent's log on the machine.",
    tone: Tone::Warn,
    page: Some("/hosts"),
    all: ("/hosts?presence=online", "Go to the hosts"),
};

const ENDPOINTS_FAILING: Words = Words {
    heading: "Notifications do not arrive",
    advice: "The receiver takes nothing. Send a test, mend the receiver, then deliver again.",
    tone: Tone::Bad,
    page: Some("/webhooks"),
    all: ("/webhooks", "Go to the webhooks"),
};

const SITE_KEYS_EXPIRING: Words = Words {
    heading: "Site keys lapse within 7 days",
    advice: "Machines that still carry one will not get in. Rotate the key and hand out the new one.",
    tone: Tone::Warn,
    page: Some("/tickets"),
    all: ("/sites", "Go to the sites"),
};

/// How to renew it hangs on where it comes from, which its page says.
const CERTIFICATE_EXPIRING: Words = Words {
    heading: "The server's certificate lapses soon",
    advice: "Who checks it as a browser does will not connect after that. Its page says where it comes from and how it is replaced.",
    tone: Tone::Warn,
    page: None,
    all: ("/settings/certificate", "Look at the certificate"),
};

const fn words(kind: AttentionKind) -> Words {
    match kind {
        AttentionKind::HostsHeld => HOSTS_HELD,
        AttentionKind::ClaimsWaiting => CLAIMS_WAITING,
        AttentionKind::SecretsExposed => SECRETS_EXPOSED,
        AttentionKind::SecretsUnreadable => SECRETS_UNREADABLE,
        AttentionKind::HostsUnreachable => HOSTS_UNREACHABLE,
        AttentionKind::JobsFailed => JOBS_FAILED,
        AttentionKind::ConfigDrifted => CONFIG_DRIFTED,
        AttentionKind::EndpointsFailing => ENDPOINTS_FAILING,
        AttentionKind::SiteKeysExpiring => SITE_KEYS_EXPIRING,
        AttentionKind::CertificateExpiring => CERTIFICATE_EXPIRING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_says_what_it_is_and_what_to_do() {
        for kind in AttentionKind::ALL {
            let words = words(*kind);
            assert!(words.advice.ends_with('.') && words.all.0.starts_with('/'), "{kind}");
        }
        assert_eq!(words(AttentionKind::JobsFailed).all.0, "/jobs?state=bad");
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
