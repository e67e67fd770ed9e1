//! Presence, jobs, generations, tickets, claims and permissions: the rows that are not beside their code.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use std::collections::BTreeSet;
use std::time::Duration;

use muster_domain::claim::{Evidence, EvidenceOfHost, differences, verdicts};
use muster_domain::generation::{Generation, Judgement, Known, judge};
use muster_domain::job::{JobEvent, JobStep, step};
use muster_domain::permission::{may, roles};
use muster_domain::presence::{SignsOfLife, presence};
use muster_domain::ticket::Rotation;
use muster_ids::Timestamp;
use muster_wire::claim::{ClaimReason, Verdict};
use muster_wire::host::{HostState, Presence};
use muster_wire::job::{JobOutcome, JobState};
use muster_wire::people::Role;
use muster_wire::permission::Permission;
use muster_wire::ticket::{TicketKind, TicketStatus};
use proptest::prelude::*;

mod scene;

use scene::{NOW, Scene, ago, facts, hours, minutes, pair, ticket_id};

#[test]
fn a_job_takes_every_event_in_every_state() {
    use JobEvent::{Ended, HostRetired, LeaseLapsed, Started};
    use JobState::{Cancelled, Failed, Lost, Queued, Running, Succeeded};
    let goes = |to| JobStep::Goes { to, late: false };
    let late = |to| JobStep::Goes { to, late: true };
    let (stays, refused) = (JobStep::Stays, JobStep::Refused);
    let events = [
        Started,
        Ended(JobOutcome::Succeeded),
        Ended(JobOutcome::Failed),
        Ended(JobOutcome::Lost),
        LeaseLapsed,
        HostRetired,
    ];
    let table = [
        (Queued, [refused, refused, refused, refused, refused, goes(Cancelled)]),
        (
            JobState::Dispatched,
            [goes(Running), goes(Succeeded), goes(Failed), goes(Lost), goes(Lost), goes(Lost)],
        ),
        (Running, [stays, goes(Succeeded), goes(Failed), goes(Lost), goes(Lost), goes(Lost)]),
        (Lost, [goes(Running), late(Succeeded), late(Failed), stays, stays, stays]),
        (Succeeded, [stays; 6]),
        (Failed, [stays; 6]),
        (Cancelled, [stays; 6]),
    ];
    for (state, row) in table {
        for (event, expected) in events.into_iter().zip(row) {
            assert_eq!(step(state, event), expected, "{event:?} in {state:?}");
        }
    }
}

#[test]
fn presence_at_the_edges_of_time() {
    let check = |signs: SignsOfLife, expected| {
        assert_eq!(presence(HostState::Active, &signs, NOW), expected, "{signs:?}")
    };
    let quiet =
        SignsOfLife { connected: false, seen_at: Some(NOW), said_goodbye: false, server_up_for: hours(48) };
    check(SignsOfLife { seen_at: Some(NOW.plus(hours(1))), ..quiet }, Presence::Online);
    check(SignsOfLife { seen_at: Some(Timestamp::from_millis(0)), ..quiet }, Presence::Offline);
    check(SignsOfLife { seen_at: Some(Timestamp::from_millis(i64::MIN)), ..quiet }, Presence::Offline);
    check(SignsOfLife { said_goodbye: true, server_up_for: Duration::ZERO, ..quiet }, Presence::Offline);
    check(SignsOfLife { connected: true, said_goodbye: true, ..quiet }, Presence::Online);
    check(SignsOfLife { seen_at: None, said_goodbye: true, ..quiet }, Presence::NeverSeen);
    // Heard since this start, then silent: the window is for those who were not heard yet.
    let since_start = |up, silent| SignsOfLife { seen_at: Some(ago(silent)), server_up_for: up, ..quiet };
    check(since_start(minutes(5), Duration::from_secs(89)), Presence::Online);
    check(since_start(minutes(5), Duration::from_secs(90)), Presence::Unreachable);
    check(since_start(minutes(10), hours(1)), Presence::Unreachable);
    check(since_start(minutes(10), hours(24)), Presence::Offline);
}

#[test]
fn a_generation_across_restores() {
    let at = |epoch, counter| Generation { epoch, counter };
    let check = |presented, committed, issued, epoch, expected| {
        let known = Known { committed, issued };
        assert_eq!(judge(Some(presented), &known, epoch), expected, "{presented:?} against {known:?}");
    };
    // The database was restored from before the agent's last connections.
    let lost = |holds, issue| Judgement::ServerLostState { holds, issue };
    check(at(0, 9), at(0, 5), None, 1, lost(at(0, 9), at(1, 10)));
    check(at(0, 9), at(0, 5), Some(at(0, 6)), 1, lost(at(0, 9), at(1, 10)));
    // What was issued before the restore is still accepted, and never issued again: it may have been acknowledged since.
    let current = |holds, issue| Judgement::Current { holds, issue };
    check(at(0, 6), at(0, 5), Some(at(0, 6)), 1, current(at(0, 6), at(1, 7)));
    check(at(0, 5), at(0, 5), Some(at(0, 6)), 1, current(at(0, 5), at(1, 6)));
    // A higher epoch is newer whatever it counts; the copy that stayed behind is stale.
    check(at(0, 99), at(1, 7), None, 1, Judgement::Stale);
    check(at(1, 6), at(1, 7), None, 1, Judgement::Stale);
    check(Generation::ZERO, at(1, 7), Some(at(1, 8)), 1, Judgement::Stale);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is presented: what is issued is newer than everything committed or held.
    #[test]
    fn what_is_issued_is_always_newer(
        presented in prop::option::of((0..3u32, 0..9u64)),
        committed in (0..3u32, 0..9u64),
        was_issued: bool,
        epoch in 0..3u32,
    ) {
        let at = |(epoch, counter)| Generation { epoch, counter };
        let committed = at(committed);
        let epoch = epoch.max(committed.epoch).max(presented.map_or(0, |(epoch, _)| epoch));
        let known = Known { committed, issued: was_issued.then(|| committed.next(epoch)) };
        match judge(presented.map(at), &known, epoch) {
            Judgement::Current { holds, issue } | Judgement::ServerLostState { holds, issue } => {
                prop_assert!(issue > holds && holds >= committed);
                prop_assert!(presented.map_or(committed == Generation::ZERO, |presented| at(presented) == holds));
            }
            Judgement::Stale => {
                prop_assert!(presented.map_or(Generation::ZERO, at) < known.issued.unwrap_or(committed));
            }
        }
    }
}

#[test]
fn where_a_ticket_stands() {
    fn used_up(scene: &mut Scene) {
        (scene.ticket.max_uses, scene.ticket.uses) = (Some(2), 2);
    }
    fn rotated(scene: &mut Scene, ends_at: Timestamp) {
        scene.ticket.rotation = Some(Rotation { to: ticket_id(2), at: ago(hours(1)), ends_at });
    }
    let check = |arrange: fn(&mut Scene), expected| {
        let mut scene = Scene::at(TicketKind::SiteKey);
        arrange(&mut scene);
        assert_eq!(scene.ticket.status(NOW), expected);
    };
    check(|_| {}, TicketStatus::Open);
    check(|scene| scene.ticket.expires_at = Some(NOW), TicketStatus::Expired);
    check(|scene| scene.ticket.revoked_at = Some(NOW), TicketStatus::Revoked);
    check(|scene| scene.ticket.reserved_for = Some(pair(1)), TicketStatus::Reserved);
    check(used_up, TicketStatus::UsedUp);
    let used_up_and_revoked = |scene: &mut Scene| {
        used_up(scene);
        scene.ticket.revoked_at = Some(NOW);
    };
    check(used_up_and_revoked, TicketStatus::Revoked);
    let spent_and_revoked = |scene: &mut Scene| {
        scene.spent(pair(1), scene::host(1));
        scene.ticket.revoked_at = Some(NOW);
    };
    check(spent_and_revoked, TicketStatus::Spent);
    check(|scene| rotated(scene, NOW.plus(hours(1))), TicketStatus::Rotated);
    check(|scene| rotated(scene, NOW), TicketStatus::RotatedOut);
    let reserved_past_expiry = |scene: &mut Scene| {
        scene.ticket.reserved_for = Some(pair(1));
        scene.ticket.expires_at = Some(ago(hours(1)));
    };
    check(reserved_past_expiry, TicketStatus::Reserved);
}

#[test]
fn a_decision_rests_on_everything_the_person_saw() {
    let (mut facts, secrets) = (facts(), vec!["repo".to_owned()]);
    let (held, other, none) = ([pair(2)], [pair(4)], []);
    let contested = |state, secrets| EvidenceOfHost {
        id: scene::host(2),
        state,
        site_id: scene::site(1),
        keys: &held,
        secrets,
    };
    let base = Evidence {
        reason: ClaimReason::Collision,
        key: pair(1),
        source_address: "192.0.2.7",
        hostname: "web-1",
        facts: &facts.clone(),
        contested: Some(contested(HostState::Active, &secrets)),
        owner_of_uid: Some(scene::host(2)),
    };
    let mut texts = BTreeSet::from([base.canonical_text()]);
    facts.disk_gb = muster_wire::bounds::Whole::clamped(99);
    let changed = [
        Evidence { reason: ClaimReason::Reimage, ..base.clone() },
        Evidence { key: pair(3), ..base.clone() },
        Evidence { source_address: "192.0.2.8", ..base.clone() },
        Evidence { hostname: "web-2", ..base.clone() },
        Evidence { facts: &facts, ..base.clone() },
        Evidence { contested: None, ..base.clone() },
        Evidence { owner_of_uid: Some(scene::host(3)), ..base.clone() },
        Evidence { owner_of_uid: None, ..base.clone() },
        Evidence { contested: Some(contested(HostState::Suspended, &secrets)), ..base.clone() },
        Evidence { contested: Some(contested(HostState::Active, &[])), ..base.clone() },
        Evidence {
            contested: Some(EvidenceOfHost { keys: &other, ..contested(HostState::Active, &secrets) }),
            ..base.clone()
        },
        Evidence {
            contested: Some(EvidenceOfHost { keys: &none, ..contested(HostState::Active, &secrets) }),
            ..base.clone()
        },
        Evidence {
            contested: Some(EvidenceOfHost {
                site_id: scene::site(2),
                ..contested(HostState::Active, &secrets)
            }),
            ..base.clone()
        },
    ];
    let count = changed.len();
    texts.extend(changed.iter().map(Evidence::canonical_text));
    assert_eq!(texts.len(), count + 1, "two different sights have one version");
    assert_eq!(base.canonical_text(), base.clone().canonical_text());
}

#[test]
fn differences_name_only_what_differs() {
    let mut scene = Scene::at(TicketKind::SiteKey);
    let host = facts();
    assert!(differences(Some("web-1"), Some(&host), &scene.machine).is_empty());
    scene.machine.facts.address = Some("192.0.2.7".parse().unwrap());
    scene.machine.facts.cpu_cores = muster_wire::bounds::Whole::clamped(64);
    let found = differences(Some("db-1"), Some(&host), &scene.machine);
    let shown: Vec<_> =
        found.iter().map(|d| (d.fact.as_str(), d.host.as_str(), d.machine.as_str())).collect();
    assert_eq!(
        shown,
        [("hostname", "db-1", "web-1"), ("cpu_cores", "2", "64"), ("address", "-", "192.0.2.7")]
    );
    assert!(differences(None, None, &scene.machine).is_empty());
}

#[test]
fn every_claim_can_be_rejected_and_only_contested_ones_replace() {
    use ClaimReason::{Approval, Collision, Reimage, Retired, SiteConflict, Surge, UidTaken};
    for reason in [Collision, Reimage, UidTaken, Retired, Approval, Surge, SiteConflict] {
        let possible = verdicts(reason, true);
        assert!(possible.contains(&Verdict::Reject) && possible.contains(&Verdict::New), "{reason:?}");
        let contests = matches!(reason, Collision | Reimage | UidTaken);
        assert_eq!(possible.contains(&Verdict::Replace), contests, "{reason:?}");
        assert_eq!(possible.contains(&Verdict::Move), reason == SiteConflict, "{reason:?}");
    }
}

/// The whole table, spelled out: a change here is a change of who may do what.
#[test]
fn who_may_do_what() {
    use Permission::{
        DecideClaims, ManageAudit, ManageEndpoints, ManageHosts, ManageInstallation, ManagePeople,
        ManageSecrets, ManageSiteKeys, ManageSites, ManageTeams, MintTokens, OperateHosts, OwnAccount,
        ReadAudit, ReadEvents, RunJobs, SeeFleet, SeePeople, SeeTeams,
    };
    let table: [(Role, &[Permission]); 4] = [
        (Role::Viewer, &[OwnAccount, SeeTeams, SeeFleet, SeePeople, ReadEvents]),
        (Role::Operator, &[MintTokens, OperateHosts, DecideClaims, RunJobs]),
        (
            Role::Owner,
            &[
                ManageSites,
                ManageSiteKeys,
                ManageHosts,
                ManageSecrets,
                ReadAudit,
                ManageEndpoints,
                ManagePeople,
            ],
        ),
        (Role::Admin, &[ManageTeams, ManageAudit, ManageInstallation]),
    ];
    let mut held: BTreeSet<Permission> = BTreeSet::new();
    for (role, more) in table {
        held.extend(more);
        for permission in Permission::ALL {
            assert_eq!(may(role, *permission), held.contains(permission), "{role:?} {permission:?}");
            assert_eq!(roles(*permission).contains(&role), may(role, *permission), "{role:?} {permission:?}");
        }
    }
    assert_eq!(held.len(), Permission::ALL.len());
}
