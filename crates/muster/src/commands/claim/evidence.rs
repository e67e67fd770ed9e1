use muster_wire::claim::{
    Claim, ClaimReason, ClaimState, CopyCause, CopyConsequence, CountedState, Sighting, Verdict,
};

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
        ClaimReason::Clone => "a copy, or a restored older state, of a host that had joined",
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
    let table = table(header, rows);
    match &claim.sighting {
        Some(sighting) => format!("{about}\n\n{}\n\n{table}", what_happened(claim, sighting)),
        None => format!("{about}\n\n{table}"),
    }
}

/// Says in words what was seen of a copy, what became of the host, and what each verdict means.
fn what_happened(claim: &Claim, sighting: &Sighting) -> String {
    let found = match sighting.cause {
        CopyCause::GenerationStale => {
            "A machine showed an older state of this host than the one the server knows: it is a copy, or the host \
             itself, restored from a snapshot."
        }
        CopyCause::Fenced => {
            "A machine connected as this host while another one was connected as it, and answered."
        }
        CopyCause::MachineUidDiffers => {
            "A machine found out by itself that its state was made on other hardware, and stopped using the host's key."
        }
        CopyCause::InstallIdDiffers => {
            "A machine found out by itself that its state was made in another installation, and stopped using the \
             host's key."
        }
    };
    let became = match sighting.consequence {
        CopyConsequence::WorksOn => "The host works on; this machine gets nothing.",
        CopyConsequence::Held => {
            "The machine that went on with the newer state was not seen for a day, so the host is held: neither of the \
             two gets or does anything until you decide."
        }
        CopyConsequence::Suspended => "The host is suspended, as the policy of its site says.",
    };
    let mut lines = vec![found.to_owned(), became.to_owned()];
    if claim.verdicts.contains(&Verdict::Replace) {
        lines.push("replace: this machine is the genuine one; the key the other one holds ends.".to_owned());
        lines.push("new: both are genuine; this one becomes a host of its own, with no secrets.".to_owned());
        lines.push("reject: the other one is genuine; this one is refused.".to_owned());
    } else if claim.state == ClaimState::Waiting {
        lines.push(
            "It made itself no key of its own yet, so all you can do is to reject it. Is this the genuine machine, \
             wait until its agent has asked, or let it rejoin with a registration token."
                .to_owned(),
        );
    }
    lines.join("\n")
}

/// What both sides of a copy showed: the machine's, the host's.
fn of_both_sides(sighting: &Sighting) -> Vec<[String; 3]> {
    let counted = |state: &CountedState| match state.epoch {
        0 => state.counter.to_string(),
        epoch => format!("{} (epoch {epoch})", state.counter),
    };
    let connected = if sighting.holder_connected { "connected" } else { "not connected" };
    let seen =
        sighting.holder_seen_at.map_or_else(|| "never seen".to_owned(), |at| format!("seen {}", moment(at)));
    vec![
        [
            "state shown".to_owned(),
            sighting.shown.as_ref().map_or_else(|| "none".to_owned(), counted),
            counted(&sighting.known),
        ],
        [
            "start of machine".to_owned(),
            sighting.boot_id.clone(),
            sighting.holder_boot_id.clone().unwrap_or_default(),
        ],
        ["when found out".to_owned(), moment(sighting.at), format!("{connected}, {seen}")],
        [
            "address then".to_owned(),
            sighting.source.clone(),
            sighting.holder_source.clone().unwrap_or_default(),
        ],
    ]
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
        [
            "ticket".to_owned(),
            machine
                .ticket_id
                .map_or_else(|| "none: it showed the host's key".to_owned(), |id| id.to_string()),
            String::new(),
        ],
    ];
    if let Some(sighting) = &claim.sighting {
        rows.extend(of_both_sides(sighting));
    }
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
