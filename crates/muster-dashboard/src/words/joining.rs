//! Words of the doors: who may come, what becomes of them, why they were refused, how a site admits.

use muster_wire::explanation::{Fate, Situation};
use muster_wire::permission::Permission;
use muster_wire::refusal::RefusalCause;
use muster_wire::site::{NewPolicy, OnClone, ReimagePolicy, SitePolicy};
use muster_wire::ticket::{TicketKind, TicketStatus};

use crate::markup::span;

/// Says who comes to the door.
pub(crate) const fn situation(situation: Situation, kind: TicketKind) -> &'static str {
    match situation {
        Situation::New => "A machine nobody knows",
        Situation::NewWithoutKeyPair => "A machine nobody knows, without a key pair of its own",
        Situation::NewInSurge => "A machine nobody knows, when unusually many came within the hour",
        Situation::SameHost => match kind {
            TicketKind::SiteKey => "A host of this site that joins again with its own key",
            TicketKind::RegistrationToken => "The invited host, joining again with its own key",
            TicketKind::EnrolmentToken => "A host of this site, with its own key",
        },
        Situation::OtherHost => "Another host of your team, with its own key",
        Situation::ForeignHost => "A host of another team",
        Situation::SuspendedHost => "A suspended host, with its own key",
        Situation::RevokedKey => "A machine whose key was revoked or replaced",
        Situation::Reimaged => {
            "The hardware of a silent host of this site, with a new key: probably installed anew"
        }
        Situation::ReimagedLongAgo => {
            "The same, where every condition holds under which this site lets it take over"
        }
        Situation::Copy => {
            "The hardware of a host that was heard of minutes ago, with a new key: probably a copy"
        }
        Situation::ForeignSite => "The hardware of a host at another site of your team",
        Situation::Retired => "The hardware of a retired host",
    }
}

/// Says what becomes of a machine at the door.
pub(crate) fn fate(fate: Fate) -> String {
    match fate {
        Fate::NewHost => "becomes a new host".to_owned(),
        Fate::Registered => "becomes the invited host".to_owned(),
        Fate::Rekeyed => "takes over the host that is there; the former key ends".to_owned(),
        Fate::Same => "stays the host it is".to_owned(),
        Fate::Waits { reason } => format!("waits for you: {}", super::claim_reason(reason).to_lowercase()),
        Fate::Refused { cause } => cause_short(cause).to_owned(),
    }
}

/// Names the cause of a refusal in a few words.
pub(crate) const fn cause_short(cause: RefusalCause) -> &'static str {
    match cause {
        RefusalCause::WrongSecret => "the secret was wrong",
        RefusalCause::WrongKind => "the ticket was shown as one of another kind",
        RefusalCause::InvalidProof => "the proof of the key did not hold",
        RefusalCause::Revoked => "the ticket was revoked",
        RefusalCause::SpentByAnotherKey => "another machine used the ticket",
        RefusalCause::ReservedForAnotherKey => "held for another machine",
        RefusalCause::RotatedOut => "the site key was rotated out",
        RefusalCause::Expired => "the ticket expired",
        RefusalCause::UsedUp => "the ticket is used up",
        RefusalCause::KeyRevoked => "its key was revoked",
        RefusalCause::KeyInUse => "its key belongs to a host this ticket is not for",
        RefusalCause::HostSuspended => "the host is suspended",
        RefusalCause::HostHeld => "the host is held",
        RefusalCause::KeyRequired => "a key pair is needed",
        RefusalCause::ClaimRejected => "a person rejected it",
        RefusalCause::HostGone => "the host does not wait for it",
        RefusalCause::SiteConflict => "waits: known at another site",
        RefusalCause::Collision => "waits: two machines at once",
        RefusalCause::Reimage => "waits: looks installed anew",
        RefusalCause::UidTaken => "waits: hardware already known",
        RefusalCause::Retired => "waits: was retired before",
        RefusalCause::Approval => "waits: this site asks a person",
        RefusalCause::Surge => "waits: unusually many new machines",
        RefusalCause::Copied => "waits: copy of a host",
        RefusalCause::TooManyClaims => "too many claims wait already",
    }
}

/// Says what to do about a refusal.
pub(crate) const fn cause_advice(cause: RefusalCause) -> &'static str {
    match cause {
        RefusalCause::WrongSecret | RefusalCause::WrongKind => {
            "Copy the whole join line again. If nobody of yours typed it, somebody guesses: revoke the ticket."
        }
        RefusalCause::InvalidProof => {
            "Check the clock of the machine, and that it reaches the server under one of its public addresses."
        }
        RefusalCause::Revoked | RefusalCause::Expired | RefusalCause::UsedUp | RefusalCause::RotatedOut => {
            "Make a new ticket for the machine."
        }
        RefusalCause::SpentByAnotherKey => {
            "If both machines are yours, make a ticket for the second. If not, the ticket leaked: say so."
        }
        RefusalCause::ReservedForAnotherKey => "Decide the claim that holds it, or make another ticket.",
        RefusalCause::KeyRevoked => "Run muster-agent reset on the machine, then join with a new ticket.",
        RefusalCause::KeyInUse => {
            "The machine is a host already. Run muster-agent reset there if it should become another."
        }
        RefusalCause::HostSuspended => "Resume the host, if it should work again.",
        RefusalCause::HostHeld => "Decide the claim of its copy; that answers which machine is genuine.",
        RefusalCause::KeyRequired => {
            "Run muster-agent there: it makes a key pair by itself. Or let the ticket and its site ask for none."
        }
        RefusalCause::ClaimRejected => "Clear the rejection, if the machine may ask again.",
        RefusalCause::HostGone => {
            "The host is registered or retired. Invite a new one, or make a token to rejoin."
        }
        RefusalCause::TooManyClaims => "Decide claims that wait; the machine asks again by itself.",
        RefusalCause::SiteConflict
        | RefusalCause::Collision
        | RefusalCause::Reimage
        | RefusalCause::UidTaken
        | RefusalCause::Retired
        | RefusalCause::Approval
        | RefusalCause::Surge
        | RefusalCause::Copied => "Decide its claim; the machine asks again by itself.",
    }
}

/// Whether a refusal is none but a machine that waits for a person.
pub(crate) const fn waits(cause: RefusalCause) -> bool {
    matches!(
        cause,
        RefusalCause::SiteConflict
            | RefusalCause::Collision
            | RefusalCause::Reimage
            | RefusalCause::UidTaken
            | RefusalCause::Retired
            | RefusalCause::Approval
            | RefusalCause::Surge
            | RefusalCause::Copied
    )
}

/// What it takes to mint, rotate or revoke a ticket of this kind.
pub(crate) const fn may_mint(kind: TicketKind) -> Permission {
    match kind {
        TicketKind::EnrolmentToken => Permission::MintTokens,
        TicketKind::RegistrationToken => Permission::ManageHosts,
        TicketKind::SiteKey => Permission::ManageSiteKeys,
    }
}

/// Whether a ticket may still open its door.
pub(crate) const fn is_alive(status: TicketStatus) -> bool {
    matches!(status, TicketStatus::Open | TicketStatus::Reserved | TicketStatus::Rotated)
}

/// Says how a site admits machines, one sentence for each rule.
pub(crate) fn policy(policy: &SitePolicy) -> Vec<String> {
    let mut says = Vec::new();
    match policy.new {
        NewPolicy::Auto => says.push(format!(
            "New machines join by themselves, up to {} an hour; then they wait for you.",
            policy.surge.get()
        )),
        NewPolicy::Approve => says.push("Every new machine waits for a person.".to_owned()),
    }
    says.push(match policy.reimage {
        ReimagePolicy::Approve => "A machine that was installed anew waits for a person.".to_owned(),
        ReimagePolicy::Auto => format!(
            "A machine that was installed anew takes its host over by itself, once the host was silent for {}.",
            span(std::time::Duration::from_secs(policy.reimage_after_secs.get()))
        ),
    });
    says.push(
        if policy.require_key {
            "Site keys admit machines with a key pair only."
        } else {
            "Site keys admit machines without a key pair, too."
        }
        .to_owned(),
    );
    says.push(
        match policy.on_clone {
            OnClone::Hold => "When a copy of a host shows itself, the genuine one works on, or the host is held until you answer.",
            OnClone::Suspend => "When a copy of a host shows itself, the host is suspended at once.",
        }
        .to_owned(),
    );
    says
}

/// Says the life of something in words: `1 hour`, `7 days`.
pub(crate) fn life(seconds: u64) -> String {
    let of = |count: u64, unit: &str| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    match seconds {
        0 => "no time".to_owned(),
        s if s % 86_400 == 0 => of(s / 86_400, "day"),
        s if s % 3_600 == 0 => of(s / 3_600, "hour"),
        s if s % 60 == 0 => of(s / 60, "minute"),
        s => of(s, "second"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_says_what_to_do() {
        for cause in RefusalCause::ALL {
            assert!(cause_advice(*cause).ends_with('.'), "{cause}");
            assert_eq!(waits(*cause), cause_short(*cause).starts_with("waits:"), "{cause}");
        }
    }

    #[test]
    fn a_policy_is_told_in_sentences() {
        let told = policy(&SitePolicy::default());
        assert_eq!(told.len(), 4);
        assert!(told.iter().all(|line| line.ends_with('.')));
        assert_eq!(told[0], "New machines join by themselves, up to 100 an hour; then they wait for you.");
    }

    #[test]
    fn lives_are_said_in_their_greatest_whole_unit() {
        assert_eq!(
            [life(60), life(3_600), life(172_800), life(90)],
            ["1 minute", "1 hour", "2 days", "90 seconds"]
        );
    }
}
