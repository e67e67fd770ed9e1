//! DESIGN §4, steps 2 to 4, row by row: what ticket and key decide before the uid is looked at.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

mod scene;

use std::time::Duration;

use muster_domain::admission::{Admission, CLAIMS_PER_SITE, Cause, HostView, Refusal};
use muster_wire::claim::{ClaimReason, ClaimState};
use muster_wire::enroll::Disposition;
use muster_wire::host::HostState;
use muster_wire::site::NewPolicy;
use muster_wire::ticket::TicketKind::{EnrolmentToken, RegistrationToken, SiteKey};
use scene::{
    DOORS, ONE_TIME, Scene, agent_key, ago, check, claim_id, host, hours, minutes, pair, plain, quiet_host,
    rejected, reuse, site, team, waits,
};

fn expire(scene: &mut Scene) {
    scene.ticket.expires_at = Some(scene::NOW);
}

fn revoke(scene: &mut Scene) {
    scene.ticket.revoked_at = Some(ago(minutes(1)));
}

#[test]
fn step_2_replay_comes_before_expiry_reissue_and_revocation() {
    type Void = fn(&mut Scene);
    let voids: [Void; 4] = [
        |_| {},
        expire,
        revoke,
        |scene| {
            expire(scene);
            revoke(scene);
            scene.claim(2, ClaimState::Rejected);
            scene.uid_is_owned_by(quiet_host(2));
            scene.known.claims_at_site = CLAIMS_PER_SITE;
        },
    ];
    for kind in ONE_TIME {
        for void in voids {
            let again = Ok(Admission::Replay { host_id: host(3), disposition: Disposition::New });
            check(
                kind,
                |scene| {
                    scene.spent(pair(1), host(3));
                    scene.key_is_active_on(quiet_host(3));
                    void(scene);
                },
                again,
            );
        }
    }
}

#[test]
fn step_2_replay_is_only_for_the_key_that_spent_the_ticket_while_it_is_active_on_that_host() {
    for kind in ONE_TIME {
        let another_key = |scene: &mut Scene| scene.spent(pair(2), host(3));
        check(kind, another_key, rejected(Cause::SpentByAnotherKey));
        let newer_key_of_the_same_host = |scene: &mut Scene| {
            scene.spent(pair(2), host(3));
            scene.key_is_active_on(quiet_host(3));
        };
        check(kind, newer_key_of_the_same_host, rejected(Cause::SpentByAnotherKey));
        let own_key_is_gone = |scene: &mut Scene| {
            scene.spent(pair(1), host(4));
            scene.key_is_gone();
        };
        check(kind, own_key_is_gone, Err(Refusal::KeyRevoked { host_id: host(4), key: pair(1) }));
        let own_key_is_elsewhere = |scene: &mut Scene| {
            scene.spent(pair(1), host(3));
            scene.key_is_active_on(quiet_host(5));
        };
        check(kind, own_key_is_elsewhere, Err(Refusal::KeyInUse));
        let suspended = |scene: &mut Scene| {
            scene.spent(pair(1), host(3));
            scene.key_is_active_on(HostView { state: HostState::Suspended, ..quiet_host(3) });
        };
        check(kind, suspended, Err(Refusal::HostSuspended));
    }
}

#[test]
fn step_2_a_claim_answers_for_its_ticket_and_key_whatever_else_changed() {
    for kind in DOORS {
        let waiting = |scene: &mut Scene| scene.claim(1, ClaimState::Waiting);
        check(kind, waiting, waits());
        let expired = |scene: &mut Scene| {
            scene.claim(1, ClaimState::Waiting);
            scene.ticket.reserved_for = Some(pair(1));
            expire(scene);
        };
        check(kind, expired, waits());
        let rejected_by_a_person = |scene: &mut Scene| scene.claim(1, ClaimState::Rejected);
        check(kind, rejected_by_a_person, Err(Refusal::ClaimRejected));
    }
}

#[test]
fn one_claim_per_site_and_key_whichever_site_key_it_shows() {
    check(SiteKey, |scene| scene.claim(2, ClaimState::Waiting), waits());
    let owned = |scene: &mut Scene| {
        scene.uid_is_owned_by(quiet_host(2));
        scene.claim(2, ClaimState::Waiting);
    };
    check(SiteKey, owned, waits());
    // A one-time ticket is reserved by a claim of its own: another machine must not spend it meanwhile.
    for kind in ONE_TIME {
        let (reason, contested, supersedes) = (ClaimReason::UidTaken, Some(host(2)), Some(claim_id()));
        check(kind, owned, Ok(Admission::Claim { reason, contested, supersedes }));
    }
    for kind in DOORS {
        check(kind, |scene| scene.claim(2, ClaimState::Rejected), Err(Refusal::ClaimRejected));
    }
    // A person who makes a one-time ticket for a machine that waits has spoken.
    for kind in ONE_TIME {
        check(kind, |scene| scene.claim(2, ClaimState::Waiting), plain(kind));
    }
}

#[test]
fn a_claim_no_longer_answers_for_a_key_that_became_known() {
    for state in [ClaimState::Waiting, ClaimState::Rejected] {
        let admitted_elsewhere = |scene: &mut Scene| {
            scene.claim(1, state);
            scene.key_is_active_on(quiet_host(3));
        };
        check(SiteKey, admitted_elsewhere, reuse(3));
        let gone_meanwhile = |scene: &mut Scene| {
            scene.claim(1, state);
            scene.key_is_gone();
        };
        let revoked = Err(Refusal::KeyRevoked { host_id: host(4), key: pair(1) });
        for kind in DOORS {
            check(kind, gone_meanwhile, revoked);
        }
    }
}

#[test]
fn step_3_every_cause_is_the_same_rejection() {
    for kind in DOORS {
        check(kind, expire, rejected(Cause::Expired));
        check(kind, |scene| scene.ticket.expires_at = Some(ago(hours(9))), rejected(Cause::Expired));
        check(kind, revoke, rejected(Cause::Revoked));
        check(kind, |scene| scene.ticket.reserved_for = Some(pair(2)), {
            rejected(Cause::ReservedForAnotherKey)
        });
        check(kind, |scene| scene.ticket.expires_at = None, plain(kind));
        let last_moment = |scene: &mut Scene| {
            scene.ticket.expires_at = Some(scene::NOW.plus(Duration::from_millis(1)));
        };
        check(kind, last_moment, plain(kind));
        // The reservation outlives the expiry; what freed the claim may still be decided anew.
        let reserved = |scene: &mut Scene| {
            scene.ticket.reserved_for = Some(pair(1));
            expire(scene);
        };
        check(kind, reserved, plain(kind));
    }
}

#[test]
fn step_3_a_limited_site_key_ends_with_its_last_use() {
    let used = |uses, max_uses| {
        move |scene: &mut Scene| {
            scene.ticket.uses = uses;
            scene.ticket.max_uses = max_uses;
        }
    };
    check(SiteKey, used(4, Some(5)), plain(SiteKey));
    check(SiteKey, used(5, Some(5)), rejected(Cause::UsedUp));
    check(SiteKey, used(6, Some(5)), rejected(Cause::UsedUp));
    check(SiteKey, used(1_000_000, None), plain(SiteKey));
}

#[test]
fn step_3_the_named_host_must_wait_for_its_ticket() {
    let in_state = |state, rejoin| {
        move |scene: &mut Scene| {
            scene.ticket.rejoin = rejoin;
            scene.known.invited = Some(HostView { state, ..quiet_host(9) });
        }
    };
    use HostState::{Active, Invited, Retired, Suspended};
    check(RegistrationToken, in_state(Invited, false), plain(RegistrationToken));
    check(RegistrationToken, in_state(Active, false), rejected(Cause::HostGone));
    check(RegistrationToken, in_state(Suspended, false), rejected(Cause::HostGone));
    check(RegistrationToken, in_state(Retired, false), rejected(Cause::HostGone));
    check(RegistrationToken, in_state(Invited, true), rejected(Cause::HostGone));
    check(RegistrationToken, in_state(Suspended, true), Err(Refusal::HostSuspended));
    check(RegistrationToken, in_state(Retired, true), rejected(Cause::HostGone));
    check(RegistrationToken, |scene| scene.known.invited = None, rejected(Cause::HostGone));
}

/// A lost reply strands nobody: the machine that came through this door comes back with its own key.
#[test]
fn a_site_key_that_ended_still_answers_the_hosts_of_its_site() {
    let own_host = |void: fn(&mut Scene)| {
        move |scene: &mut Scene| {
            scene.key_is_active_on(quiet_host(3));
            void(scene);
        }
    };
    let use_up = |scene: &mut Scene| {
        scene.ticket.uses = 1;
        scene.ticket.max_uses = Some(1);
    };
    for void in [expire, revoke, use_up] {
        check(SiteKey, own_host(void), reuse(3));
        let at_another_site = |scene: &mut Scene| {
            scene.key_is_active_on(HostView { site_id: site(2), ..quiet_host(3) });
            void(scene);
        };
        let mut scene = Scene::at(SiteKey);
        at_another_site(&mut scene);
        assert!(matches!(scene.admit(), Err(Refusal::Rejected(_))), "{:?}", scene.admit());
        let suspended = |scene: &mut Scene| {
            scene.key_is_active_on(HostView { state: HostState::Suspended, ..quiet_host(3) });
            void(scene);
        };
        check(SiteKey, suspended, Err(Refusal::HostSuspended));
    }
    let gone = |scene: &mut Scene| {
        scene.key_is_gone();
        expire(scene);
    };
    check(SiteKey, gone, rejected(Cause::Expired));
}

#[test]
fn step_4_a_gone_key_is_refused_whatever_uid_it_names() {
    let revoked = Err(Refusal::KeyRevoked { host_id: host(4), key: pair(1) });
    type Uid = fn(&mut Scene);
    let uids: [Uid; 5] = [
        |_| {},
        |scene| scene.uid_is_owned_by(quiet_host(4)),
        |scene| scene.uid_is_owned_by(HostView { connected: true, ..quiet_host(2) }),
        |scene| scene.uid_is_owned_by(HostView { site_id: site(2), ..quiet_host(2) }),
        |scene| scene.known.uid_last_owned_by_retired = true,
    ];
    for kind in DOORS {
        for uid in uids {
            let arrange = |scene: &mut Scene| {
                scene.key_is_gone();
                scene.claim(2, ClaimState::Rejected);
                uid(scene);
            };
            check(kind, arrange, revoked);
        }
    }
    let with_a_rejoin_token = |scene: &mut Scene| {
        scene.rejoin();
        scene.key_is_gone();
    };
    check(RegistrationToken, with_a_rejoin_token, revoked);
}

#[test]
fn step_4_the_same_key_is_the_same_host_whatever_uid_and_site_it_names() {
    check(SiteKey, |scene| scene.key_is_active_on(quiet_host(3)), reuse(3));
    let under_another_uid = |scene: &mut Scene| {
        scene.key_is_active_on(quiet_host(3));
        scene.uid_is_owned_by(HostView { connected: true, ..quiet_host(2) });
        scene.claim(2, ClaimState::Rejected);
        scene.known.claims_at_site = CLAIMS_PER_SITE;
        scene.policy.new = NewPolicy::Approve;
    };
    check(SiteKey, under_another_uid, reuse(3));
    let at_another_site = |scene: &mut Scene| {
        scene.key_is_active_on(HostView { site_id: site(2), connected: true, ..quiet_host(3) });
    };
    check(SiteKey, at_another_site, reuse(3));
    let own_ticket = |scene: &mut Scene| {
        scene.rejoin();
        scene.key_is_active_on(quiet_host(9));
    };
    check(RegistrationToken, own_ticket, reuse(9));
    let suspended = |scene: &mut Scene| {
        scene.key_is_active_on(HostView { state: HostState::Suspended, ..quiet_host(3) });
    };
    check(SiteKey, suspended, Err(Refusal::HostSuspended));
    let bearer_machine = |scene: &mut Scene| {
        scene.machine.key = agent_key(1);
        scene.policy.require_key = true;
        scene.key_is_active_on(quiet_host(3));
    };
    check(SiteKey, bearer_machine, reuse(3));
}

#[test]
fn step_4_a_key_in_use_opens_no_other_host() {
    check(EnrolmentToken, |scene| scene.key_is_active_on(quiet_host(3)), Err(Refusal::KeyInUse));
    check(RegistrationToken, |scene| scene.key_is_active_on(quiet_host(3)), Err(Refusal::KeyInUse));
    let rejoin_of_another = |scene: &mut Scene| {
        scene.rejoin();
        scene.key_is_active_on(quiet_host(3));
    };
    check(RegistrationToken, rejoin_of_another, Err(Refusal::KeyInUse));
    for kind in DOORS {
        let in_another_team = |scene: &mut Scene| {
            scene.key_is_active_on(HostView { team_id: team(2), ..quiet_host(3) });
        };
        check(kind, in_another_team, Err(Refusal::KeyInUse));
        let suspended_in_another_team = |scene: &mut Scene| {
            let state = HostState::Suspended;
            scene.key_is_active_on(HostView { team_id: team(2), state, ..quiet_host(3) });
        };
        check(kind, suspended_in_another_team, Err(Refusal::KeyInUse));
    }
}

#[test]
fn a_key_pair_is_required_where_ticket_or_site_say_so() {
    for kind in DOORS {
        let by_ticket = |scene: &mut Scene| {
            scene.machine.key = agent_key(1);
            scene.ticket.require_key = true;
            scene.policy.require_key = false;
        };
        check(kind, by_ticket, Err(Refusal::KeyRequired));
        let has_one = |scene: &mut Scene| scene.ticket.require_key = true;
        check(kind, has_one, plain(kind));
        let nobody_asks = |scene: &mut Scene| {
            scene.machine.key = agent_key(1);
            scene.policy.require_key = false;
        };
        check(kind, nobody_asks, plain(kind));
    }
    // The site's default is door 3's alone: a one-time ticket carries its own word.
    check(SiteKey, |scene| scene.machine.key = agent_key(1), Err(Refusal::KeyRequired));
    check(EnrolmentToken, |scene| scene.machine.key = agent_key(1), plain(EnrolmentToken));
    check(RegistrationToken, |scene| scene.machine.key = agent_key(1), plain(RegistrationToken));
}
