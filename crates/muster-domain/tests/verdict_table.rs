//! What a person's verdict does to a claim: every reason × every verdict, and what may have changed since.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

mod scene;

use muster_domain::admission::{
    Admission, Cause, HostView, KeyHistory, Refusal, WaitingClaim, admit_with_verdict,
};
use muster_domain::ticket::Rotation;
use muster_ids::HostId;
use muster_wire::claim::{ClaimReason, Verdict};
use muster_wire::host::HostState;
use muster_wire::ticket::TicketKind::{self, EnrolmentToken, RegistrationToken, SiteKey};
use scene::{Scene, ago, host, minutes, pair, quiet_host, site, ticket_id};

const REASONS: [ClaimReason; 7] = [
    ClaimReason::Collision,
    ClaimReason::Reimage,
    ClaimReason::UidTaken,
    ClaimReason::Retired,
    ClaimReason::Approval,
    ClaimReason::Surge,
    ClaimReason::SiteConflict,
];
const VERDICTS: [Verdict; 4] = [Verdict::Replace, Verdict::Move, Verdict::New, Verdict::Reject];

/// A claim that waits for this reason, as it stood when it was opened.
fn waiting(kind: TicketKind, reason: ClaimReason) -> Scene {
    let mut scene = Scene::at(kind);
    scene.ticket.reserved_for = Some(pair(1));
    match reason {
        ClaimReason::Collision => {
            scene.uid_is_owned_by(HostView { connected: true, ..quiet_host(2) });
        }
        ClaimReason::Reimage | ClaimReason::UidTaken => scene.uid_is_owned_by(quiet_host(2)),
        ClaimReason::SiteConflict => {
            scene.uid_is_owned_by(HostView { site_id: site(2), ..quiet_host(2) });
        }
        ClaimReason::Retired => scene.known.uid_last_owned_by_retired = true,
        ClaimReason::Approval | ClaimReason::Surge => {}
        ClaimReason::Clone => unreachable!("a copy shows no ticket: see clone_table"),
    }
    scene
}

#[track_caller]
fn check(
    kind: TicketKind,
    reason: ClaimReason,
    verdict: Verdict,
    since: impl FnOnce(&mut Scene),
    expected: Result<Option<Admission>, Refusal>,
) {
    let mut scene = waiting(kind, reason);
    since(&mut scene);
    assert_eq!(scene.decide(reason, verdict), expected, "{reason:?} {verdict:?} at {kind:?}");
}

fn replaced(host_id: HostId) -> Result<Option<Admission>, Refusal> {
    Ok(Some(Admission::Replace { host_id }))
}

fn moved(host_id: HostId) -> Result<Option<Admission>, Refusal> {
    Ok(Some(Admission::Move { host_id }))
}

fn new(owns_uid: bool) -> Result<Option<Admission>, Refusal> {
    Ok(Some(Admission::New { owns_uid }))
}

#[test]
fn every_reason_and_verdict() {
    use ClaimReason::{Approval, Collision, Reimage, Retired, SiteConflict, Surge, UidTaken};
    for reason in REASONS {
        let contests_a_host_of_this_site = matches!(reason, Collision | Reimage | UidTaken);
        let uid_is_free = matches!(reason, Retired | Approval | Surge);
        for kind in [EnrolmentToken, SiteKey] {
            let by_replacing = if contests_a_host_of_this_site {
                replaced(host(2))
            } else {
                Err(Refusal::VerdictNotPossible)
            };
            check(kind, reason, Verdict::Replace, |_| {}, by_replacing);
            let by_moving = match reason {
                SiteConflict => moved(host(2)),
                _ => Err(Refusal::VerdictNotPossible),
            };
            check(kind, reason, Verdict::Move, |_| {}, by_moving);
            check(kind, reason, Verdict::New, |_| {}, new(uid_is_free));
            check(kind, reason, Verdict::Reject, |_| {}, Ok(None));
        }
        assert_eq!(contests_a_host_of_this_site, reason != SiteConflict && !uid_is_free);
    }
}

#[test]
fn a_registration_token_gives_the_host_it_names_what_the_verdict_says() {
    let registered = |owns_uid| Ok(Some(Admission::Register { host_id: host(9), owns_uid }));
    check(RegistrationToken, ClaimReason::UidTaken, Verdict::New, |_| {}, registered(false));
    check(RegistrationToken, ClaimReason::Retired, Verdict::New, |_| {}, registered(true));
    check(RegistrationToken, ClaimReason::UidTaken, Verdict::Replace, |_| {}, replaced(host(2)));
    check(RegistrationToken, ClaimReason::SiteConflict, Verdict::Move, |_| {}, moved(host(2)));
    let rejoined = |owns_uid| Ok(Some(Admission::Rejoin { host_id: host(9), owns_uid }));
    check(RegistrationToken, ClaimReason::UidTaken, Verdict::New, Scene::rejoin, rejoined(false));
    let owner_retired = |scene: &mut Scene| {
        scene.rejoin();
        scene.known.owner = None;
    };
    check(RegistrationToken, ClaimReason::UidTaken, Verdict::New, owner_retired, rejoined(true));
    let uid_is_its_own_by_now = |scene: &mut Scene| {
        scene.rejoin();
        scene.uid_is_owned_by(quiet_host(9));
    };
    check(RegistrationToken, ClaimReason::UidTaken, Verdict::New, uid_is_its_own_by_now, rejoined(true));
}

#[test]
fn a_revoked_ticket_admits_nobody_and_can_still_be_rejected() {
    let revoked = |scene: &mut Scene| scene.ticket.revoked_at = Some(ago(minutes(1)));
    for reason in [ClaimReason::Collision, ClaimReason::Approval] {
        check(SiteKey, reason, Verdict::New, revoked, Err(Refusal::Rejected(Cause::Revoked)));
        check(SiteKey, reason, Verdict::Reject, revoked, Ok(None));
    }
    check(SiteKey, ClaimReason::Collision, Verdict::Replace, revoked, Err(Refusal::Rejected(Cause::Revoked)));
}

#[test]
fn an_expired_ticket_is_held_by_its_claim() {
    let expired = |scene: &mut Scene| scene.ticket.expires_at = Some(ago(minutes(1)));
    check(EnrolmentToken, ClaimReason::UidTaken, Verdict::New, expired, new(false));
    check(EnrolmentToken, ClaimReason::UidTaken, Verdict::Replace, expired, replaced(host(2)));
}

#[test]
fn a_ticket_that_made_its_host_makes_no_second_one() {
    for verdict in [Verdict::New, Verdict::Replace] {
        let spent_meanwhile = |scene: &mut Scene| scene.spent(pair(2), host(3));
        let refused = Err(Refusal::Rejected(Cause::SpentByAnotherKey));
        check(EnrolmentToken, ClaimReason::UidTaken, verdict, spent_meanwhile, refused);
        let used_up_meanwhile = |scene: &mut Scene| {
            scene.ticket.max_uses = Some(1);
            scene.ticket.uses = 1;
        };
        check(
            SiteKey,
            ClaimReason::Reimage,
            verdict,
            used_up_meanwhile,
            Err(Refusal::Rejected(Cause::UsedUp)),
        );
    }
}

#[test]
fn a_key_that_became_known_meanwhile_is_not_admitted_twice() {
    for reason in REASONS {
        for verdict in VERDICTS.into_iter().filter(|verdict| *verdict != Verdict::Reject) {
            for known in [KeyHistory::Active(quiet_host(3)), KeyHistory::Gone { host_id: host(3) }] {
                let mut scene = waiting(SiteKey, reason);
                scene.known.key = known;
                assert!(scene.decide(reason, verdict).is_err(), "{reason:?} {verdict:?}");
            }
        }
    }
}

#[test]
fn a_replacement_needs_an_owner_at_this_site() {
    let owner_gone = |scene: &mut Scene| scene.known.owner = None;
    let owner_moved = |scene: &mut Scene| {
        scene.uid_is_owned_by(HostView { site_id: site(2), ..quiet_host(2) });
    };
    for reason in [ClaimReason::Collision, ClaimReason::Reimage, ClaimReason::UidTaken] {
        let refused = Err(Refusal::VerdictNotPossible);
        check(SiteKey, reason, Verdict::Replace, owner_gone, refused);
        check(SiteKey, reason, Verdict::Replace, owner_moved, refused);
        check(SiteKey, reason, Verdict::New, owner_gone, new(true));
        check(SiteKey, reason, Verdict::New, owner_moved, new(false));
    }
}

#[test]
fn a_move_needs_the_owner_that_was_seen_still_at_another_site() {
    let refused = Err(Refusal::VerdictNotPossible);
    for kind in [EnrolmentToken, SiteKey] {
        let owner_gone = |scene: &mut Scene| scene.known.owner = None;
        let owner_came = |scene: &mut Scene| scene.uid_is_owned_by(quiet_host(2));
        check(kind, ClaimReason::SiteConflict, Verdict::Move, owner_gone, refused);
        check(kind, ClaimReason::SiteConflict, Verdict::Move, owner_came, refused);
        let revoked = |scene: &mut Scene| scene.ticket.revoked_at = Some(ago(minutes(1)));
        let unusable = Err(Refusal::Rejected(Cause::Revoked));
        check(kind, ClaimReason::SiteConflict, Verdict::Move, revoked, unusable);
    }
    let mut scene = waiting(SiteKey, ClaimReason::SiteConflict);
    scene.uid_is_owned_by(HostView { site_id: site(2), ..quiet_host(4) });
    let claim = WaitingClaim { reason: ClaimReason::SiteConflict, contested: Some(host(2)), key: pair(1) };
    let decide = |verdict| admit_with_verdict(&claim, &scene.ticket, &scene.known, &scene.policy, verdict);
    assert_eq!(decide(Verdict::Move), refused, "another host owns the uid by now");
    assert_eq!(decide(Verdict::New), new(false));
    let agent_key = |scene: &mut Scene| scene.machine.key = scene::agent_key(1);
    check(SiteKey, ClaimReason::SiteConflict, Verdict::Move, agent_key, Err(Refusal::KeyRequired));
    let spent = |scene: &mut Scene| scene.spent(pair(2), host(3));
    let refused = Err(Refusal::Rejected(Cause::SpentByAnotherKey));
    check(EnrolmentToken, ClaimReason::SiteConflict, Verdict::Move, spent, refused);
}

/// The uid went to another host after the claim was opened: the person saw, and named, the first one.
#[test]
fn a_replacement_takes_over_the_host_the_person_saw_and_no_other() {
    let mut scene = waiting(SiteKey, ClaimReason::Collision);
    scene.uid_is_owned_by(quiet_host(4));
    let claim = WaitingClaim { reason: ClaimReason::Collision, contested: Some(host(2)), key: pair(1) };
    let decide = |verdict| admit_with_verdict(&claim, &scene.ticket, &scene.known, &scene.policy, verdict);
    assert_eq!(decide(Verdict::Replace), Err(Refusal::VerdictNotPossible));
    assert_eq!(decide(Verdict::New), new(false));
}

/// Time ended the key meanwhile, and that was written down: the machine asked while it was good.
#[test]
fn a_key_whose_time_ended_while_the_claim_waited_still_admits_by_a_verdict() {
    let expired = |scene: &mut Scene| {
        scene.ticket.expires_at = Some(ago(minutes(1)));
        scene.ticket.revoked_at = scene.ticket.expires_at;
    };
    let rotated_out = |scene: &mut Scene| {
        let ends_at = ago(minutes(1));
        scene.ticket.rotation = Some(Rotation { to: ticket_id(2), at: ago(minutes(9)), ends_at });
        scene.ticket.revoked_at = Some(ends_at);
    };
    for reason in [ClaimReason::Approval, ClaimReason::Surge] {
        check(SiteKey, reason, Verdict::New, expired, new(true));
        check(SiteKey, reason, Verdict::New, rotated_out, new(true));
    }
}

#[test]
fn a_verdict_does_not_lift_the_need_of_a_key_pair() {
    let agent_key = |scene: &mut Scene| scene.machine.key = scene::agent_key(1);
    for verdict in [Verdict::Replace, Verdict::New] {
        check(SiteKey, ClaimReason::Reimage, verdict, agent_key, Err(Refusal::KeyRequired));
    }
    check(SiteKey, ClaimReason::Reimage, Verdict::Reject, agent_key, Ok(None));
}

#[test]
fn the_invited_host_must_still_wait_for_it() {
    let retired = |scene: &mut Scene| {
        scene.known.invited = Some(HostView { state: HostState::Retired, ..quiet_host(9) });
    };
    let gone = Err(Refusal::Rejected(Cause::HostGone));
    check(RegistrationToken, ClaimReason::UidTaken, Verdict::New, retired, gone);
    check(RegistrationToken, ClaimReason::UidTaken, Verdict::Replace, retired, gone);
    check(RegistrationToken, ClaimReason::UidTaken, Verdict::Reject, retired, Ok(None));
}
