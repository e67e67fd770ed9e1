use muster_client::api::Answer;
use muster_wire::claim::ClaimReason;
use muster_wire::explanation::{Case, ExplainTicket, Explanation, Fate, Situation};
use muster_wire::ticket::TicketKind;

use super::ephemeral;
use crate::failure::Failure;
use crate::operator::Operator;
use crate::output::{record, table};
use crate::words::{joined, moment, word};

/// Says what a ticket would admit; nothing is minted.
pub(in crate::commands) async fn planned(operator: &Operator, ticket: ExplainTicket) -> Result<(), Failure> {
    show(operator, &operator.client.explain(&ticket).await?)?;
    operator.output.hint("\nnothing was minted");
    Ok(())
}

/// Writes an explanation: the refusal that closes the ticket alone when quiet.
pub(super) fn show(operator: &Operator, explanation: &Answer<Explanation>) -> Result<(), Failure> {
    let short = |it: &Explanation| it.closed_by.map_or("open".to_owned(), |cause| cause.to_string());
    operator.output.show(explanation, short, describe)
}

fn describe(it: &Explanation) -> String {
    let gives = &it.gives;
    let site = it.site_id.to_string();
    let admits = match (it.closed_by, it.hosts_left) {
        (Some(cause), _) => format!("nobody new: {cause}. {}", cause.says()),
        (None, Some(1)) => "one host".to_owned(),
        (None, Some(left)) => format!("{left} hosts"),
        (None, None) => "any number of hosts".to_owned(),
    };
    let needed = if it.key_pair_required { "needed" } else { "not needed" };
    let facts = record(&[
        ("Admits", admits),
        ("Until", it.until.map_or("somebody revokes it".to_owned(), moment)),
        ("At site", site),
        ("For host", gives.host_id.map(|id| id.to_string()).unwrap_or_default()),
        ("Host name", gives.host_name.clone().unwrap_or_default()),
        ("Tags", joined(&gives.tags)),
        ("Secrets", gives.secrets.join(", ")),
        ("Key pair", needed.to_owned()),
        ("Ephemeral", gives.ephemeral_hours.map(ephemeral).unwrap_or_default()),
        ("New an hour", it.surge_per_hour.map(|most| format!("{most}; the others wait")).unwrap_or_default()),
    ]);
    let rows = it.cases.iter().map(|case| [who(case.machine, it.kind), becomes(case)]);
    format!("{facts}\n\n{}", table(&["A MACHINE", "BECOMES"], rows))
}

fn who(machine: Situation, kind: TicketKind) -> String {
    let its_host = if kind == TicketKind::RegistrationToken { "that host" } else { "a host of this site" };
    match machine {
        Situation::New => "nobody knows".to_owned(),
        Situation::NewWithoutKeyPair => "nobody knows, without a key pair".to_owned(),
        Situation::NewInSurge => "nobody knows, after too many within the hour".to_owned(),
        Situation::SameHost => format!("with the key of {its_host}"),
        Situation::OtherHost => "with the key of another host of the team".to_owned(),
        Situation::ForeignHost => "with the key of a host of another team".to_owned(),
        Situation::SuspendedHost => format!("with the key of {its_host}, which is suspended"),
        Situation::RevokedKey => "whose key was revoked or replaced".to_owned(),
        Situation::Reimaged => "that is a silent host of this site, installed anew".to_owned(),
        Situation::ReimagedLongAgo => "the same, silent for long and without secrets".to_owned(),
        Situation::Copy => "with the uid of a host that was just heard of: a copy".to_owned(),
        Situation::ForeignSite => "with the uid of a host at another site".to_owned(),
        Situation::Retired => "with the uid of a retired host".to_owned(),
    }
}

fn becomes(case: &Case) -> String {
    match case.fate {
        Fate::NewHost => "a new host".to_owned(),
        Fate::Registered => "the host the ticket is for".to_owned(),
        Fate::Rekeyed => "the host that is there; its former key ends".to_owned(),
        Fate::Same => "the host it was".to_owned(),
        Fate::Waits { reason: ClaimReason::SiteConflict } => {
            "refused (409); a claim waits for you".to_owned()
        }
        Fate::Waits { reason } => format!("a claim that waits for you ({})", word(&reason)),
        Fate::Refused { cause } => format!("refused ({cause})"),
    }
}
