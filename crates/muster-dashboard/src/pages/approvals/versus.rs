//! Both sides of a claim, fact by fact.

use muster_ids::Timestamp;
use muster_wire::claim::{Claim, ClaimState, ContestedHost, CountedState, Sighting};

use crate::markup::{self, Markup, bytes, quiet, text};
use crate::pages::tickets::Names;

/// One thing that is known of both sides.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) label: &'static str,
    /// What is known of the host; nothing, where no host is contested.
    pub(crate) host: Option<Markup>,
    pub(crate) machine: Markup,
    pub(crate) differs: bool,
}

/// Facts of a machine: the word of the API, what people read.
const FACTS: &[(&str, &str)] = &[
    ("hostname", "Calls itself"),
    ("os", "System"),
    ("arch", "Architecture"),
    ("cpu_cores", "Processor cores"),
    ("memory_mb", "Memory"),
    ("disk_gb", "Disk"),
    ("address", "Address it reports"),
];

/// Returns what is known of both sides.
pub(super) fn rows(claim: &Claim, names: &Names, now: Timestamp) -> Vec<Row> {
    let mut rows = standing(claim, names, now);
    rows.extend(FACTS.iter().map(|(fact, label)| reported(claim, fact, label)));
    rows.extend(claim.sighting.iter().flat_map(sighted));
    rows
}

/// Where both stand, and how they prove who they are.
fn standing(claim: &Claim, names: &Names, now: Timestamp) -> Vec<Row> {
    let host = claim.contested.as_ref();
    let of_host = |show: &dyn Fn(&ContestedHost) -> Markup| host.map(show);
    let seen =
        |host: &ContestedHost| host.last_seen_at.map_or_else(|| quiet("never"), |at| markup::time(at, now));
    let keys = |host: &ContestedHost| {
        let keys: Vec<String> = host.keys.iter().map(|key| short_key(&key.to_string())).collect();
        if keys.is_empty() { quiet("none") } else { text(&keys.join(", ")) }
    };
    let holds_key = host.is_some_and(|host| host.keys.contains(&claim.machine.key));
    vec![
        Row {
            label: "Presence",
            host: of_host(&|host| markup::pill(&host.presence)),
            machine: text(if claim.state == ClaimState::Waiting { "asks to join" } else { "asked to join" }),
            differs: false,
        },
        Row {
            label: "Last heard of",
            host: of_host(&seen),
            machine: markup::time(claim.created_at, now),
            differs: false,
        },
        Row {
            label: "Site",
            host: of_host(&|host| text(names.site(&host.site_id))),
            machine: text(names.site(&claim.site_id)),
            differs: host.is_some_and(|host| host.site_id != claim.site_id),
        },
        Row {
            label: "Key",
            host: of_host(&keys),
            machine: text(&short_key(&claim.machine.key.to_string())),
            differs: host.is_some() && !holds_key,
        },
        Row {
            label: "Comes from",
            host: of_host(&|_| {
                let source = claim.sighting.as_ref().and_then(|sighting| sighting.holder_source.as_ref());
                source.map_or_else(|| quiet("not known"), |source| text(source))
            }),
            machine: text(&claim.machine.source_address),
            differs: false,
        },
    ]
}

/// Returns the beginning and the end of a key: enough to compare, short enough to read.
fn short_key(key: &str) -> String {
    let letters: Vec<char> = key.chars().collect();
    if letters.len() <= 20 {
        return key.to_owned();
    }
    let (head, tail): (String, String) =
        (letters[..10].iter().collect(), letters[letters.len() - 6..].iter().collect());
    format!("{head}…{tail}")
}

/// What both report of themselves: the API says the host's word where they differ.
fn reported(claim: &Claim, fact: &str, label: &'static str) -> Row {
    let difference = claim.differences.iter().find(|difference| difference.fact == fact);
    let machine = text(&said(fact, &machine_fact(claim, fact)));
    let host = claim.contested.as_ref().map(|host| match difference {
        Some(difference) => text(&said(fact, &difference.host)),
        None if host.hostname.is_none() => quiet("never reported"),
        None => machine.clone(),
    });
    Row { label, host, machine, differs: difference.is_some() }
}

fn machine_fact(claim: &Claim, fact: &str) -> String {
    let facts = &claim.machine.facts;
    match fact {
        "hostname" => claim.machine.hostname.to_string(),
        "os" => facts.os.to_string(),
        "arch" => facts.arch.to_string(),
        "cpu_cores" => facts.cpu_cores.get().to_string(),
        "memory_mb" => facts.memory_mb.get().to_string(),
        "disk_gb" => facts.disk_gb.get().to_string(),
        _ => facts.address.map_or_else(|| "-".to_owned(), |address| address.to_string()),
    }
}

/// Says a fact with its unit.
fn said(fact: &str, value: &str) -> String {
    let number: Option<u64> = value.parse().ok();
    match (fact, number) {
        ("memory_mb", Some(mib)) => bytes(mib.saturating_mul(1024 * 1024)),
        ("disk_gb", Some(gib)) => bytes(gib.saturating_mul(1024 * 1024 * 1024)),
        ("address", _) if value == "-" => "none".to_owned(),
        _ => value.to_owned(),
    }
}

/// What both showed when a copy was found out.
fn sighted(sighting: &Sighting) -> Vec<Row> {
    let state = |state: &CountedState| format!("{} of epoch {}", state.counter, state.epoch);
    let shown = sighting.shown.as_ref();
    vec![
        Row {
            label: "State, counted by connections",
            host: Some(text(&state(&sighting.known))),
            machine: shown.map_or_else(|| quiet("not shown"), |shown| text(&state(shown))),
            differs: shown != Some(&sighting.known),
        },
        Row {
            label: "Start of the machine",
            host: Some(
                sighting.holder_boot_id.as_ref().map_or_else(|| quiet("not known"), |boot| text(boot)),
            ),
            machine: text(&sighting.boot_id),
            differs: sighting.holder_boot_id.as_ref() != Some(&sighting.boot_id),
        },
        Row {
            label: "Connected when it was found out",
            host: Some(text(if sighting.holder_connected { "yes" } else { "no" })),
            machine: text("it came"),
            differs: false,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::super::tests::{collision, copy, newcomer};
    use super::*;
    use crate::samples::NOW;

    fn row(claim: &Claim, label: &str) -> Row {
        let rows = rows(claim, &crate::pages::tickets::tests::names(), NOW);
        rows.into_iter().find(|row| row.label == label).unwrap()
    }

    #[test]
    fn both_sides_are_told_and_what_differs_is_marked() {
        let claim = collision();
        let memory = row(&claim, "Memory");
        assert!(memory.differs);
        assert_eq!(memory.host.unwrap().to_string(), "16.0 GiB");
        assert_eq!(memory.machine.to_string(), "32.0 GiB");
        let cores = row(&claim, "Processor cores");
        assert!(!cores.differs);
        assert_eq!(cores.host.unwrap().to_string(), "8");
        assert!(row(&claim, "Key").differs);
        assert!(row(&copy(), "State, counted by connections").differs);
    }

    #[test]
    fn a_host_that_never_reported_is_not_said_to_be_the_same() {
        let mut claim = collision();
        claim.contested.as_mut().unwrap().hostname = None;
        claim.differences.clear();
        assert!(row(&claim, "System").host.unwrap().to_string().contains("never reported"));
    }

    #[test]
    fn a_newcomer_contests_nobody() {
        assert!(
            rows(&newcomer(), &Names::default(), NOW).iter().all(|row| row.host.is_none() && !row.differs)
        );
    }
}
