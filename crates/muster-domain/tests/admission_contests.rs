//! DESIGN §4, steps 5 to 8, row by row: what the uid and the site decide about a key nobody knows.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

mod scene;

use std::time::Duration;

use muster_domain::admission::{
    Admission, CLAIMS_PER_HOST, CLAIMS_PER_SITE, COLLISION_WINDOW, HostView, Refusal,
};
use muster_ids::UidSource;
use muster_wire::bounds::Whole;
use muster_wire::claim::{ClaimReason, ClaimState};
use muster_wire::host::HostState;
use muster_wire::site::{NewPolicy, ReimagePolicy};
use muster_wire::ticket::TicketKind::{RegistrationToken, SiteKey};
use scene::{
    DOORS, ONE_TIME, Scene, agent_key, ago, check, claimed, host, hours, minutes, plain, quiet_host, site,
    uid, waits,
};

/// SECURITY K8 and N1: the site guard stands before any look at presence.
#[test]
fn step_5_a_foreign_site_learns_nothing_and_changes_nothing() {
    for kind in DOORS {
        for connected in [false, true] {
            for seen_at in [None, Some(ago(minutes(1))), Some(ago(hours(48)))] {
                let arrange = |scene: &mut Scene| {
                    scene.policy.reimage = ReimagePolicy::Auto;
                    let site_id = site(2);
                    scene.uid_is_owned_by(HostView { site_id, connected, seen_at, ..quiet_host(2) });
                };
                check(kind, arrange, claimed(ClaimReason::SiteConflict, Some(2)));
            }
        }
    }
}

#[test]
fn step_6_an_owned_uid_is_always_a_claim() {
    let seen = |connected, seen_at| {
        move |scene: &mut Scene| {
            scene.uid_is_owned_by(HostView { connected, seen_at, ..quiet_host(2) });
        }
    };
    let collision = || claimed(ClaimReason::Collision, Some(2));
    let reimage = || claimed(ClaimReason::Reimage, Some(2));
    let just_inside = ago(COLLISION_WINDOW - Duration::from_millis(1));
    check(SiteKey, seen(true, Some(ago(hours(48)))), collision());
    check(SiteKey, seen(true, None), collision());
    check(SiteKey, seen(false, Some(scene::NOW)), collision());
    check(SiteKey, seen(false, Some(scene::NOW.plus(hours(1)))), collision());
    check(SiteKey, seen(false, Some(just_inside)), collision());
    check(SiteKey, seen(false, Some(ago(COLLISION_WINDOW))), reimage());
    check(SiteKey, seen(false, Some(ago(hours(48)))), reimage());
    check(SiteKey, seen(false, None), reimage());
    for kind in ONE_TIME {
        check(kind, seen(true, None), claimed(ClaimReason::UidTaken, Some(2)));
        check(kind, seen(false, Some(ago(hours(48)))), claimed(ClaimReason::UidTaken, Some(2)));
    }
    let suspended = |scene: &mut Scene| {
        scene.uid_is_owned_by(HostView { state: HostState::Suspended, ..quiet_host(2) });
    };
    check(SiteKey, suspended, reimage());
}

#[test]
fn step_6_auto_takes_over_only_when_every_condition_holds() {
    let with = |negate: fn(&mut Scene)| {
        move |scene: &mut Scene| {
            scene.policy.reimage = ReimagePolicy::Auto;
            scene.policy.require_key = false;
            scene.uid_is_owned_by(quiet_host(2));
            negate(scene);
        }
    };
    fn owner(scene: &mut Scene) -> &mut HostView {
        scene.known.owner.as_mut().unwrap()
    }
    let taken_over = Ok(Admission::Rekey { host_id: host(2) });
    check(SiteKey, with(|_| {}), taken_over);
    check(SiteKey, with(|scene| scene.machine.uid = uid(UidSource::Given, 1)), taken_over);
    check(SiteKey, with(|scene| scene.machine.uid = uid(UidSource::Board, 1)), taken_over);
    let a_day_and_a_bit = |scene: &mut Scene| {
        owner(scene).seen_at = Some(ago(hours(24) + Duration::from_millis(1)));
    };
    check(SiteKey, with(a_day_and_a_bit), taken_over);
    type Negation = (&'static str, fn(&mut Scene));
    let negations: [Negation; 14] = [
        ("site policy asks a person", |scene| scene.policy.reimage = ReimagePolicy::Approve),
        ("no key pair", |scene| scene.machine.key = agent_key(1)),
        ("weak uid: disk", |scene| scene.machine.uid = uid(UidSource::Disk, 1)),
        ("weak uid: machine", |scene| scene.machine.uid = uid(UidSource::Machine, 1)),
        ("weak uid: random", |scene| scene.machine.uid = uid(UidSource::Random, 1)),
        ("holds a secret", |scene| owner(scene).holds_secret = true),
        ("a plan selects it", |scene| owner(scene).selected_by_plan = true),
        ("never connected", |scene| owner(scene).ever_connected = false),
        ("never seen", |scene| owner(scene).seen_at = None),
        ("not silent long enough", |scene| owner(scene).seen_at = Some(ago(hours(24)))),
        ("server just started", |scene| scene.known.server_past_reconnect_window = false),
        ("a person revoked its key", |scene| owner(scene).last_key_revoked_by_person = true),
        ("it is held", |scene| owner(scene).held = true),
        ("suspended", |scene| owner(scene).state = HostState::Suspended),
    ];
    for (condition, negate) in negations {
        let mut scene = Scene::at(SiteKey);
        with(negate)(&mut scene);
        assert_eq!(scene.admit(), claimed(ClaimReason::Reimage, Some(2)), "{condition}");
    }
    check(SiteKey, with(|scene| owner(scene).connected = true), claimed(ClaimReason::Collision, Some(2)));
    for kind in ONE_TIME {
        check(kind, with(|_| {}), claimed(ClaimReason::UidTaken, Some(2)));
    }
}

#[test]
fn step_7_the_uid_of_a_retired_host_waits_for_a_person() {
    for kind in DOORS {
        let retired = |scene: &mut Scene| scene.known.uid_last_owned_by_retired = true;
        check(kind, retired, claimed(ClaimReason::Retired, None));
    }
}

#[test]
fn step_8_a_machine_nobody_knows() {
    for kind in DOORS {
        check(kind, |_| {}, plain(kind));
        let asks = |scene: &mut Scene| scene.policy.new = NewPolicy::Approve;
        let surging = |scene: &mut Scene| scene.known.new_hosts_this_hour = 1_000;
        if kind == SiteKey {
            check(kind, asks, claimed(ClaimReason::Approval, None));
            check(kind, surging, claimed(ClaimReason::Surge, None));
        } else {
            check(kind, asks, plain(kind));
            check(kind, surging, plain(kind));
        }
    }
    let hundred = |count| {
        move |scene: &mut Scene| {
            scene.policy.surge = Whole::clamped(100);
            scene.known.new_hosts_this_hour = count;
        }
    };
    check(SiteKey, hundred(99), plain(SiteKey));
    check(SiteKey, hundred(100), claimed(ClaimReason::Surge, None));
}

#[test]
fn a_rejoin_token_re_keys_its_host_whatever_its_presence() {
    let rejoined = Ok(Admission::Rejoin { host_id: host(9), owns_uid: true });
    for connected in [false, true] {
        for seen_at in [None, Some(scene::NOW), Some(ago(hours(48)))] {
            let named = HostView { connected, seen_at, ..quiet_host(9) };
            let same_hardware = |scene: &mut Scene| {
                scene.rejoin();
                scene.known.invited = Some(named.clone());
                scene.uid_is_owned_by(named.clone());
            };
            check(RegistrationToken, same_hardware, rejoined);
            let new_hardware = |scene: &mut Scene| {
                scene.rejoin();
                scene.known.invited = Some(named.clone());
            };
            check(RegistrationToken, new_hardware, rejoined);
        }
    }
    let hardware_of_another = |scene: &mut Scene| {
        scene.rejoin();
        scene.uid_is_owned_by(quiet_host(2));
    };
    check(RegistrationToken, hardware_of_another, claimed(ClaimReason::UidTaken, Some(2)));
}

#[test]
fn more_claims_than_a_host_or_a_site_may_have_are_turned_away() {
    let per_host = |count| {
        move |scene: &mut Scene| {
            scene.uid_is_owned_by(quiet_host(2));
            scene.known.claims_on_owner = count;
        }
    };
    let per_site = |count| {
        move |scene: &mut Scene| {
            scene.policy.new = NewPolicy::Approve;
            scene.known.claims_at_site = count;
        }
    };
    check(SiteKey, per_host(CLAIMS_PER_HOST - 1), claimed(ClaimReason::Reimage, Some(2)));
    check(SiteKey, per_host(CLAIMS_PER_HOST), Err(Refusal::TooManyClaims));
    // A key of another site must not keep the machines of the host's own site out.
    let from_another_site = |scene: &mut Scene| {
        scene.uid_is_owned_by(HostView { site_id: site(2), ..quiet_host(2) });
        scene.known.claims_on_owner = CLAIMS_PER_HOST;
    };
    check(SiteKey, from_another_site, claimed(ClaimReason::SiteConflict, Some(2)));
    check(SiteKey, per_site(CLAIMS_PER_SITE - 1), claimed(ClaimReason::Approval, None));
    check(SiteKey, per_site(CLAIMS_PER_SITE), Err(Refusal::TooManyClaims));
    let full_but_admitted = |scene: &mut Scene| scene.known.claims_at_site = CLAIMS_PER_SITE;
    check(SiteKey, full_but_admitted, plain(SiteKey));
    let full_but_waiting = |scene: &mut Scene| {
        scene.known.claims_at_site = CLAIMS_PER_SITE;
        scene.claim(1, ClaimState::Waiting);
    };
    check(SiteKey, full_but_waiting, waits());
}
