//! What is explained is what happens: for any ticket, machine and history, the fate that was told is the one that comes.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

mod scene;

use std::time::Duration;

use muster_domain::admission::{
    Admission, COLLISION_WINDOW, HostView, KeyHistory, Refusal, requires_key_pair,
};
use muster_domain::explain::explain;
use muster_domain::ticket::Rotation;
use muster_ids::UidSource;
use muster_wire::bounds::Whole;
use muster_wire::claim::ClaimReason;
use muster_wire::explanation::{Explanation, Fate, Gives, Situation};
use muster_wire::host::HostState;
use muster_wire::refusal::RefusalCause;
use muster_wire::site::{NewPolicy, ReimagePolicy};
use muster_wire::ticket::TicketKind;
use proptest::prelude::*;
use scene::{
    DOORS, NOW, Scene, agent_key, ago, hours, minutes, pair, quiet_host, site, team, ticket_id, uid,
};

/// Who the machine's key belongs to.
#[derive(Debug, Clone, Copy)]
enum Key {
    Unknown,
    Agent,
    SameHost,
    OtherHost,
    ForeignHost,
    Gone,
}

/// Who owns its uid.
#[derive(Debug, Clone, Copy)]
enum Owner {
    Nobody,
    Here { state: HostState, silent_for: Duration, holds_secret: bool, ever_connected: bool },
    Elsewhere,
    Retired,
}

#[derive(Debug, Clone)]
struct Given {
    kind: TicketKind,
    flaw: u8,
    rejoin: bool,
    require_key: bool,
    named_state: HostState,
    policy: (bool, bool, bool, u64),
    key: Key,
    key_state: HostState,
    owner: Owner,
    weak_uid: bool,
    new_hosts: u64,
}

fn given() -> impl Strategy<Value = Given> {
    let key = prop::sample::select(vec![
        Key::Unknown,
        Key::Unknown,
        Key::Agent,
        Key::SameHost,
        Key::OtherHost,
        Key::ForeignHost,
        Key::Gone,
    ]);
    let living = prop::sample::select(vec![HostState::Active, HostState::Active, HostState::Suspended]);
    let silent =
        prop::sample::select(vec![minutes(1), minutes(14), minutes(16), hours(23), hours(25), hours(999)]);
    let here = (living.clone(), silent, any::<bool>(), any::<bool>()).prop_map(
        |(state, silent_for, holds_secret, ever_connected)| Owner::Here {
            state,
            silent_for,
            holds_secret,
            ever_connected,
        },
    );
    let owner = prop_oneof![3 => Just(Owner::Nobody), 4 => here, 1 => Just(Owner::Elsewhere), 1 => Just(Owner::Retired)];
    let named = prop::sample::select(vec![
        HostState::Invited,
        HostState::Invited,
        HostState::Active,
        HostState::Active,
        HostState::Suspended,
        HostState::Retired,
    ]);
    let ticket = (prop::sample::select(DOORS.to_vec()), 0..16u8, any::<bool>(), any::<bool>(), named);
    let policy = (any::<bool>(), any::<bool>(), any::<bool>(), 1..4u64);
    (ticket, policy, key, living, owner, any::<bool>(), 0..5u64).prop_map(
        |(
            (kind, flaw, rejoin, require_key, named_state),
            policy,
            key,
            key_state,
            owner,
            weak_uid,
            new_hosts,
        )| {
            let key_state = if matches!(key, Key::SameHost) { key_state } else { HostState::Active };
            Given {
                kind,
                flaw,
                rejoin,
                require_key,
                named_state,
                policy,
                key,
                key_state,
                owner,
                weak_uid,
                new_hosts,
            }
        },
    )
}

fn arrange(given: &Given) -> Scene {
    let mut scene = Scene::at(given.kind);
    let ticket = &mut scene.ticket;
    ticket.require_key = given.require_key;
    ticket.rejoin = given.rejoin && given.kind == TicketKind::RegistrationToken;
    match given.flaw {
        0 => ticket.revoked_at = Some(NOW),
        1 => ticket.expires_at = Some(NOW),
        2 => (ticket.max_uses, ticket.uses) = (Some(3), 3),
        3 => ticket.reserved_for = Some(pair(77)),
        4 => scene.spent(pair(78), scene::host(8)),
        5 => {
            ticket.rotation = Some(Rotation { to: ticket_id(9), at: ago(hours(1)), ends_at: NOW });
        }
        6 => {
            ticket.rotation =
                Some(Rotation { to: ticket_id(9), at: ago(hours(1)), ends_at: NOW.plus(hours(1)) });
        }
        _ => {}
    }
    let (asks, auto, require_key, surge) = given.policy;
    scene.policy.new = if asks { NewPolicy::Approve } else { NewPolicy::Auto };
    scene.policy.reimage = if auto { ReimagePolicy::Auto } else { ReimagePolicy::Approve };
    scene.policy.require_key = require_key;
    scene.policy.surge = Whole::clamped(surge);
    scene.known.new_hosts_this_hour = given.new_hosts;
    if let Some(named) = &mut scene.known.invited {
        named.state = given.named_state;
    }
    let same = HostView {
        id: scene.ticket.host_id.unwrap_or(scene::host(5)),
        state: given.key_state,
        ..quiet_host(5)
    };
    match given.key {
        Key::Unknown => {}
        Key::Agent => scene.machine.key = agent_key(1),
        Key::SameHost => scene.key_is_active_on(same),
        Key::OtherHost => scene.key_is_active_on(HostView { site_id: site(2), ..quiet_host(6) }),
        Key::ForeignHost => scene.key_is_active_on(HostView { team_id: team(2), ..quiet_host(6) }),
        Key::Gone => scene.key_is_gone(),
    }
    if given.weak_uid {
        scene.machine.uid = uid(UidSource::Machine, 1);
    }
    match given.owner {
        Owner::Nobody => {}
        Owner::Here { state, silent_for, holds_secret, ever_connected } => {
            let seen_at = Some(ago(silent_for));
            scene.uid_is_owned_by(HostView { state, seen_at, holds_secret, ever_connected, ..quiet_host(3) });
        }
        Owner::Elsewhere => scene.uid_is_owned_by(HostView { site_id: site(2), ..quiet_host(3) }),
        Owner::Retired => scene.known.uid_last_owned_by_retired = true,
    }
    scene
}

/// Names who comes, from what is known alone.
fn situation(scene: &Scene) -> Situation {
    let (ticket, policy) = (&scene.ticket, &scene.policy);
    match &scene.known.key {
        KeyHistory::Gone { .. } => return Situation::RevokedKey,
        KeyHistory::Active(host) if host.team_id != ticket.team_id => return Situation::ForeignHost,
        KeyHistory::Active(host) if host.state == HostState::Suspended => return Situation::SuspendedHost,
        KeyHistory::Active(host) if ticket.host_id.is_some_and(|id| id != host.id) => {
            return Situation::OtherHost;
        }
        KeyHistory::Active(host) if host.site_id != ticket.site_id => return Situation::OtherHost,
        KeyHistory::Active(_) => return Situation::SameHost,
        KeyHistory::Unknown => {}
    }
    let is_pair = scene.machine.key.is_pair();
    if !is_pair && requires_key_pair(ticket, policy) {
        return Situation::NewWithoutKeyPair;
    }
    let Some(owner) = &scene.known.owner else {
        let lets_in = ticket.kind == TicketKind::SiteKey && policy.new == NewPolicy::Auto;
        return match () {
            () if scene.known.uid_last_owned_by_retired => Situation::Retired,
            () if lets_in && scene.known.new_hosts_this_hour >= policy.surge.get() => Situation::NewInSurge,
            () if is_pair => Situation::New,
            () => Situation::NewWithoutKeyPair,
        };
    };
    if owner.site_id != ticket.site_id {
        return Situation::ForeignSite;
    }
    let silent_for = owner.seen_at.map(|seen_at| NOW.since(seen_at)).unwrap();
    if owner.connected || silent_for < COLLISION_WINDOW {
        return Situation::Copy;
    }
    let takes_over = ticket.kind == TicketKind::SiteKey
        && policy.reimage == ReimagePolicy::Auto
        && silent_for > Duration::from_secs(policy.reimage_after_secs.get())
        && is_pair
        && scene.machine.uid.source().is_strong()
        && owner.state == HostState::Active
        && !owner.holds_secret
        && owner.ever_connected;
    if takes_over { Situation::ReimagedLongAgo } else { Situation::Reimaged }
}

fn told(scene: &Scene) -> Explanation {
    explain(&scene.ticket, Gives::default(), scene.known.invited.as_ref(), &scene.policy, NOW)
}

fn comes(outcome: Result<Admission, Refusal>) -> Fate {
    match outcome {
        Ok(Admission::New { .. }) => Fate::NewHost,
        Ok(Admission::Register { .. }) => Fate::Registered,
        Ok(Admission::Rejoin { .. } | Admission::Rekey { .. }) => Fate::Rekeyed,
        Ok(Admission::Reuse { .. }) => Fate::Same,
        Ok(Admission::Claim { reason, .. }) => Fate::Waits { reason },
        Ok(other) => panic!("{other:?} needs a history that is not given here"),
        Err(refusal) => Fate::Refused { cause: refusal.word().unwrap() },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_is_told_is_what_comes(given in given()) {
        let scene = arrange(&given);
        let explanation = told(&scene);
        let situation = situation(&scene);
        let case = explanation.cases.iter().find(|case| case.machine == situation);
        prop_assert_eq!(case.map(|case| case.fate), Some(comes(scene.admit())), "{:?} {:?}", situation, given);
    }

    #[test]
    fn a_ticket_that_is_closed_makes_nobody_a_host(given in given()) {
        let scene = arrange(&given);
        let explanation = told(&scene);
        let makes_a_host = matches!(comes(scene.admit()), Fate::NewHost | Fate::Registered | Fate::Rekeyed);
        if explanation.closed_by.is_some() {
            prop_assert!(!makes_a_host, "{:?}", given);
            prop_assert_eq!(explanation.hosts_left, Some(0));
        } else {
            prop_assert_ne!(explanation.hosts_left, Some(0));
            prop_assert!(explanation.until.is_none_or(|until| until > NOW) || scene.ticket.reserved_for.is_some());
        }
    }
}

#[track_caller]
fn check(kind: TicketKind, arrange: impl FnOnce(&mut Scene), expected: &[(Situation, Fate)]) {
    let mut scene = Scene::at(kind);
    arrange(&mut scene);
    let explanation = told(&scene);
    for (machine, fate) in expected {
        let case = explanation.cases.iter().find(|case| case.machine == *machine);
        assert_eq!(case.map(|case| case.fate), Some(*fate), "{machine:?} at {kind:?}");
    }
}

#[test]
fn each_door_in_words() {
    let waits = |reason| Fate::Waits { reason };
    let refused = |cause| Fate::Refused { cause };
    check(
        TicketKind::SiteKey,
        |_| {},
        &[
            (Situation::New, Fate::NewHost),
            (Situation::NewWithoutKeyPair, refused(RefusalCause::KeyRequired)),
            (Situation::NewInSurge, waits(ClaimReason::Surge)),
            (Situation::SameHost, Fate::Same),
            (Situation::SuspendedHost, refused(RefusalCause::HostSuspended)),
            (Situation::RevokedKey, refused(RefusalCause::KeyRevoked)),
            (Situation::Reimaged, waits(ClaimReason::Reimage)),
            (Situation::Copy, waits(ClaimReason::Collision)),
            (Situation::ForeignSite, waits(ClaimReason::SiteConflict)),
            (Situation::Retired, waits(ClaimReason::Retired)),
        ],
    );
    check(
        TicketKind::SiteKey,
        |scene| scene.policy.reimage = ReimagePolicy::Auto,
        &[(Situation::Reimaged, waits(ClaimReason::Reimage)), (Situation::ReimagedLongAgo, Fate::Rekeyed)],
    );
    check(
        TicketKind::EnrolmentToken,
        |_| {},
        &[
            (Situation::New, Fate::NewHost),
            (Situation::NewWithoutKeyPair, Fate::NewHost),
            (Situation::SameHost, refused(RefusalCause::KeyInUse)),
            (Situation::Reimaged, waits(ClaimReason::UidTaken)),
        ],
    );
    check(
        TicketKind::RegistrationToken,
        |_| {},
        &[(Situation::New, Fate::Registered), (Situation::OtherHost, refused(RefusalCause::KeyInUse))],
    );
    check(TicketKind::RegistrationToken, Scene::rejoin, &[(Situation::New, Fate::Rekeyed)]);
    // A site key that was rotated out strands nobody who is a host already.
    let rotated_out = |scene: &mut Scene| {
        scene.ticket.rotation = Some(Rotation { to: ticket_id(2), at: NOW, ends_at: NOW })
    };
    check(
        TicketKind::SiteKey,
        rotated_out,
        &[(Situation::New, refused(RefusalCause::RotatedOut)), (Situation::SameHost, Fate::Same)],
    );
}
