use std::collections::BTreeMap;

use muster_client::api::collect;
use muster_ids::{SiteId, Timestamp};
use muster_wire::channel::ConfigVersion;
use muster_wire::enroll::Labels;
use muster_wire::host::{Host, HostConfig, HostHeld, Reported};
use muster_wire::overview::Vitals;
use muster_wire::text::Tag;

use super::history::{disk_free, load};
use crate::operator::Operator;
use crate::output::record;
use crate::words::{joined, moment, optional_moment, relative, word};

pub(super) const HEADER: [&str; 8] = ["NAME", "ID", "STATE", "PRESENCE", "LAST SEEN", "SITE", "DOOR", "TAGS"];

/// The names of the team's sites, for people; ids where they cannot be read.
#[derive(Debug, Default)]
pub(super) struct SiteNames(BTreeMap<SiteId, String>);

impl SiteNames {
    pub(super) async fn read(operator: &Operator) -> Self {
        if !operator.output.is_table() {
            return Self::default();
        }
        let sites = collect(None, async |page| operator.client.sites(&page).await).await;
        let sites = sites.map(|sites| sites.items).unwrap_or_default();
        Self(sites.iter().map(|site| (site.id, site.name.clone())).collect())
    }

    fn of(&self, id: SiteId) -> String {
        self.0.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }
}

fn last_seen(host: &Host, now: Timestamp) -> String {
    host.presence.last_seen_at.map_or("never".to_owned(), |at| relative(at, now))
}

pub(super) fn row(host: &Host, sites: &SiteNames, now: Timestamp) -> Vec<String> {
    vec![
        host.name.clone(),
        host.id.to_string(),
        state(host),
        word(&host.presence.status),
        last_seen(host, now),
        sites.of(host.site_id),
        host.door.map(|door| door.to_string()).unwrap_or_default(),
        joined(&host.tags),
    ]
}

/// The state of a host, with what stands against its work.
fn state(host: &Host) -> String {
    let held = host.held.as_ref().map(|_| ", held");
    let drifted = host.config.as_ref().and_then(|config| config.drifted_since).map(|_| ", drifted");
    [Some(word(&host.state).as_str()), held, drifted].into_iter().flatten().collect()
}

/// Says which configuration a host has, and since when it lacks the one it should have.
fn configuration(config: &HostConfig, now: Timestamp) -> String {
    let version = |version: ConfigVersion| format!("{}.{}", version.epoch, version.n);
    let applied = config.applied.map_or("none".to_owned(), version);
    match config.drifted_since {
        None => applied,
        Some(since) => format!(
            "drifted since {}: wants {}, has {applied}, sent {} times",
            relative(since, now),
            version(config.wanted),
            config.sent_times
        ),
    }
}

/// Lays out what a change of a host is about.
pub(super) fn short(host: &Host) -> String {
    record(&[
        ("Host", host.id.to_string()),
        ("Name", host.name.clone()),
        ("State", word(&host.state)),
        ("Held", host.held.as_ref().map(held).unwrap_or_default()),
        ("Presence", word(&host.presence.status)),
        ("Tags", joined(&host.tags)),
    ])
}

/// Lays out where a host stands now.
pub(super) fn moved(host: &Host, sites: &SiteNames) -> String {
    record(&[
        ("Host", host.id.to_string()),
        ("Name", host.name.clone()),
        ("Site", sites.of(host.site_id)),
        ("State", word(&host.state)),
    ])
}

/// Lays out everything that is known of a host; what the machine says of itself under its own heading.
pub(super) fn describe(host: &Host, sites: &SiteNames, now: Timestamp) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let own = record(&[
        ("Host", host.id.to_string()),
        ("Name", host.name.clone()),
        ("State", word(&host.state)),
        ("Held", host.held.as_ref().map(held).unwrap_or_default()),
        ("Presence", format!("{}, last seen {}", word(&host.presence.status), last_seen(host, now))),
        ("Site", sites.of(host.site_id)),
        ("Kind", word(&host.kind)),
        ("Provider", text(&host.provider)),
        ("Zone", text(&host.zone)),
        ("Tags", joined(&host.tags)),
        ("Door", host.door.map(|door| door.to_string()).unwrap_or_default()),
        ("Came to be", host.disposition.as_ref().map(word).unwrap_or_default()),
        ("Ticket", host.ticket_id.map(|id| id.to_string()).unwrap_or_default()),
        ("Ephemeral", host.ephemeral_hours.map(ephemeral).unwrap_or_default()),
        ("Keys", joined(&host.keys)),
        ("Exposed", joined(&host.exposed_secrets)),
        ("Config", host.config.as_ref().map(|config| configuration(config, now)).unwrap_or_default()),
        ("Made", moment(host.created_at)),
        ("Enrolled", optional_moment(host.enrolled_at)),
        ("Retired", optional_moment(host.retired_at)),
    ]);
    let allowed = host.policy.as_ref().map(|policy| ("Lets jobs do", allowed(policy, host.policy_at)));
    let said: Vec<(&str, String)> = (host.reported.iter().flat_map(reported))
        .chain(host.vitals.iter().flat_map(|said| vitals(said, now)))
        .chain(allowed)
        .collect();
    if said.is_empty() {
        return own;
    }
    format!("{own}\n\nreported by the machine itself:\n{}", record(&said))
}

/// Says how a machine is, as it last said.
fn vitals(vitals: &Vitals, now: Timestamp) -> [(&'static str, String); 4] {
    let disk = vitals.disk_free_gb.map(|free| disk_free(free, vitals.disk_free_percent));
    [
        ("Load", vitals.load_percent.map(load).unwrap_or_default()),
        ("Disk free", disk.unwrap_or_default()),
        ("Clock", vitals.clock_ahead_ms.map(clock).unwrap_or_default()),
        ("Said so", relative(vitals.at, now)),
    ]
}

/// Says how far a clock is off, in seconds with their tenths.
fn clock(ahead_ms: i32) -> String {
    let tenths = ahead_ms.unsigned_abs() / 100;
    let side = if ahead_ms < 0 { "behind" } else { "ahead" };
    format!("{}.{} s {side}", tenths / 10, tenths % 10)
}

/// Says what the machine's own policy lets jobs do there.
fn allowed(policy: &[Tag], since: Option<Timestamp>) -> String {
    let works = if policy.is_empty() { "nothing".to_owned() } else { joined(policy) };
    since.map_or(works.clone(), |since| format!("{works}, since {}", moment(since)))
}

/// Says since when and why a host is held, and what ends it.
fn held(held: &HostHeld) -> String {
    let since = moment(held.held_at);
    match held.claim_id {
        Some(claim_id) => {
            format!("since {since}: a copy of it showed itself; muster claim show {claim_id}")
        }
        None => format!("since {since}: no copy waits any more; muster host resume"),
    }
}

fn ephemeral(hours: u64) -> String {
    format!("retired after {hours} h without contact")
}

fn reported(reported: &Reported) -> [(&'static str, String); 12] {
    let facts = &reported.facts;
    let uid = if reported.owns_uid { "" } else { " (not owned by this host)" };
    let versions: Vec<String> =
        facts.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let Labels { company, department, device_type, tags } = &reported.labels;
    let text = |value: Option<&dyn ToString>| value.map(ToString::to_string).unwrap_or_default();
    [
        ("Hostname", reported.hostname.to_string()),
        ("Machine uid", format!("{}{uid}", reported.machine_uid)),
        ("System", format!("{} ({})", facts.os, facts.arch)),
        ("Cores", facts.cpu_cores.get().to_string()),
        ("Memory", format!("{} MiB", facts.memory_mb.get())),
        ("Disk", format!("{} GiB", facts.disk_gb.get())),
        ("Address", text(facts.address.as_ref().map(|address| address as &dyn ToString))),
        ("Versions", versions.join(", ")),
        ("Company", text(company.as_ref().map(|line| line as &dyn ToString))),
        ("Department", text(department.as_ref().map(|line| line as &dyn ToString))),
        ("Device type", text(device_type.as_ref().map(|line| line as &dyn ToString))),
        ("Labels", joined(tags.iter())),
    ]
}

#[cfg(test)]
mod tests;
