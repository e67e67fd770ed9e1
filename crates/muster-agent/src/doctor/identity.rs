//! Who this machine is, and what a join string would make of it. Tickets are named, never shown and never presented.

use muster_ids::{Bearer, BearerKind};
use muster_wire::JoinString;

use super::{Check, Known};
use crate::state::{IdentityState, Membership};
use crate::visible;

const IDENTITY: &str = "identity";
const TICKET: &str = "ticket";

pub(super) fn checks(known: &Known, join: Option<&JoinString>) -> Vec<Check> {
    let mut checks = vec![standing(known)];
    if let Some(IdentityState { membership: Membership::Joining { ticket, .. }, .. }) = &known.identity {
        checks.push(Check::ok(TICKET, "the one this machine joins with", named(ticket)));
    }
    if let Some(join) = join {
        checks.push(of_join_string(known, join));
    }
    checks
}

fn standing(known: &Known) -> Check {
    let this = "this machine";
    let Some(identity) = &known.identity else {
        let said = "has not joined: take a join string from the operator and run `muster-agent join`";
        return Check::warn(IDENTITY, this, said);
    };
    match &identity.membership {
        Membership::Joining { waiting: None, .. } => Check::warn(
            IDENTITY,
            this,
            "joins and was not answered yet: run the same `muster-agent join` again",
        ),
        Membership::Joining { waiting: Some(waiting), .. } => {
            let (claim, reason) = (waiting.claim_id, visible::word(&waiting.reason));
            let said = format!("waits for a person ({reason}): ask the operator to decide the claim {claim}");
            Check::warn(IDENTITY, this, said)
        }
        Membership::Joined { host_id, .. } if !holds_key(known) => Check::fail(
            IDENTITY,
            this,
            format!(
                "is {host_id}, but its key is missing: put the state folder back, or run `muster-agent reset` and join \
                 again with a new ticket"
            ),
        ),
        Membership::Joined { host_id, joined_at, .. } => {
            Check::ok(IDENTITY, this, format!("is {host_id} since {joined_at}"))
        }
        Membership::Forking { waiting, .. } => {
            let claim = match waiting {
                Some(waiting) => format!("ask the operator to decide the claim {}", waiting.claim_id),
                None => "start `muster-agent run`, which asks for an identity of its own".to_owned(),
            };
            Check::warn(
                IDENTITY,
                this,
                format!("holds a state folder that is a copy or an older one: {claim}"),
            )
        }
        Membership::Revoked { host_id, reason, revoked_at } => Check::fail(
            IDENTITY,
            this,
            format!(
                "was {host_id} until the server revoked its key at {revoked_at} ({reason}): to join again, take a new \
                 join string and run `muster-agent join`"
            ),
        ),
    }
}

fn holds_key(known: &Known) -> bool {
    let key = known.view.as_ref().map(|view| view.host_key());
    // A key that cannot be read is told with the files.
    !matches!(key, Some(Ok(None)))
}

/// Kind, id and whether its check digits hold: a ticket that parses has good ones.
fn named(ticket: &Bearer) -> String {
    let kind = match ticket.kind {
        BearerKind::EnrolmentToken => "a one-time enrolment token",
        BearerKind::RegistrationToken => "a registration token",
        BearerKind::SiteKey => "a site key",
        _ => "no ticket",
    };
    format!("{kind}, id {}, its check digits hold; it is not presented here", ticket.id)
}

fn of_join_string(known: &Known, join: &JoinString) -> Check {
    let about = "the join string";
    let is_ticket = matches!(
        join.ticket.kind,
        BearerKind::EnrolmentToken | BearerKind::RegistrationToken | BearerKind::SiteKey
    );
    if !is_ticket {
        return Check::fail(TICKET, about, "carries no ticket: take one from the operator");
    }
    let is_foreign = known.identity.as_ref().is_some_and(|identity| {
        matches!(identity.membership, Membership::Joined { .. }) && !identity.obeys(&join.instruction_key)
    });
    if is_foreign {
        let said = "belongs to another installation than this machine: run `muster-agent leave` first, if it should move";
        return Check::warn(TICKET, about, said);
    }
    Check::ok(TICKET, about, named(&join.ticket))
}
