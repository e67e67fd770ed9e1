use muster_wire::claim::{Claim, ClaimReason, ClaimState};

use crate::output::{record, table};
use crate::words::{joined, moment, optional_moment, word};

/// Says why a person must decide.
fn reason(reason: ClaimReason) -> &'static str {
    match reason {
        ClaimReason::Collision => {
            "the host with this machine uid was heard of minutes ago: two machines at once"
        }
        ClaimReason::Reimage => "probably the same machine, installed anew: its host was not seen lately",
        ClaimReason::UidTaken => "its token is good, but another host owns its machine uid",
        ClaimReason::Retired => "its machine uid belonged to a host that was retired",
        ClaimReason::Approval => "the site admits nobody without a person",
        ClaimReason::Surge => "more new hosts than the site expects in an hour",
        ClaimReason::SiteConflict => {
            "its machine uid belongs to a host of another site: moved there, or another machine"
        }
    }
}

/// Lays out a claim: what is asked, and the machine beside the host it contests.
pub(super) fn describe(claim: &Claim) -> String {
    let is_waiting = claim.state == ClaimState::Waiting;
    let about = record(&[
        ("Claim", claim.id.to_string()),
        ("Reason", format!("{}: {}", word(&claim.reason), reason(claim.reason))),
        ("State", word(&claim.state)),
        ("May be decided", if is_waiting { joined(claim.verdicts.iter().map(word)) } else { String::new() }),
        ("Site", claim.site_id.to_string()),
        ("Asked", moment(claim.created_at)),
        ("Lapses", if is_waiting { moment(claim.expires_at) } else { String::new() }),
        ("Decided", optional_moment(claim.decided_at)),
        ("Became", claim.result_host_id.map(|id| id.to_string()).unwrap_or_default()),
        ("Evidence", claim.evidence_version.clone()),
    ]);
    let header: &[&str] = match claim.contested {
        Some(_) => &["EVIDENCE", "MACHINE THAT ASKS", "HOST IT CONTESTS"],
        None => &["EVIDENCE", "MACHINE THAT ASKS"],
    };
    let width = header.len();
    let rows = rows(claim).into_iter().map(|row| row.into_iter().take(width));
    format!("{about}\n\n{}", table(header, rows))
}

/// Each line: what, the machine's, the host's.
fn rows(claim: &Claim) -> Vec<[String; 3]> {
    let machine = &claim.machine;
    let host = claim.contested.as_ref();
    let mut rows = vec![
        [
            "hostname".to_owned(),
            machine.hostname.to_string(),
            host.and_then(|host| host.hostname.as_ref().map(ToString::to_string)).unwrap_or_default(),
        ],
        ["key".to_owned(), machine.key.to_string(), host.map(|host| joined(&host.keys)).unwrap_or_default()],
        ["machine uid".to_owned(), machine.machine_uid.to_string(), String::new()],
        ["came from".to_owned(), machine.source_address.clone(), String::new()],
        ["ticket".to_owned(), machine.ticket_id.to_string(), String::new()],
    ];
    if let Some(host) = host {
        rows.push(["site".to_owned(), claim.site_id.to_string(), host.site_id.to_string()]);
        rows.insert(0, ["host".to_owned(), String::new(), format!("{} ({})", host.name, host.id)]);
        rows.push([
            "state".to_owned(),
            String::new(),
            format!("{}, {}", word(&host.state), word(&host.presence)),
        ]);
        rows.push(["last seen".to_owned(), String::new(), optional_moment(host.last_seen_at)]);
        rows.push(["secrets".to_owned(), String::new(), host.secrets.join(", ")]);
    }
    if claim.differences.is_empty() {
        let facts = &machine.facts;
        let system = format!(
            "{} ({}), {} cores, {} MiB",
            facts.os,
            facts.arch,
            facts.cpu_cores.get(),
            facts.memory_mb.get()
        );
        rows.push(["system".to_owned(), system, String::new()]);
    }
    let differences = claim.differences.iter();
    rows.extend(differences.map(|d| [d.fact.clone(), d.machine.clone(), d.host.clone()]));
    rows
}

/// Lays out what came of a claim.
pub(super) fn outcome(claim: &Claim) -> String {
    record(&[
        ("Claim", claim.id.to_string()),
        ("State", word(&claim.state)),
        ("Decided", optional_moment(claim.decided_at)),
        ("Host", claim.result_host_id.map(|id| id.to_string()).unwrap_or_default()),
    ])
}

#[cfg(test)]
mod tests;
