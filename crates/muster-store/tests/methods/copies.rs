//! Claims of copies, and hosts that are held.

use muster_domain::admission::Machine;
use muster_store::Store;
use muster_store::rows::{ClaimEnd, ClaimFilter, ClaimRow};
use muster_wire::claim::{ClaimReason, ClaimState, CopyCause, CopyConsequence, CountedState, Sighting};
use muster_wire::host::HostState;

use crate::backends::both;
use crate::rows::{at, claim, claim_id, host, host_id, host_key, key, machine, site_id, team_id, told};

const REJECTED: ClaimEnd<'_> =
    ClaimEnd { from: ClaimState::Waiting, to: ClaimState::Rejected, by: "user_x", result: None };

fn sighting() -> Sighting {
    Sighting {
        cause: CopyCause::GenerationStale,
        consequence: CopyConsequence::Held,
        shown: Some(CountedState { epoch: 0, counter: 1 }),
        known: CountedState { epoch: 1, counter: 9 },
        boot_id: "boot-a".to_owned(),
        holder_boot_id: None,
        source: "192.0.2.7".to_owned(),
        holder_source: None,
        holder_connected: false,
        holder_seen_at: Some(at(-9)),
        at: at(0),
    }
}

/// Claim number `n`: a start of a machine that showed key 1 of host 1, with key `own`.
fn copy(n: u32, own: u32, boot_id: &str) -> ClaimRow {
    ClaimRow {
        ticket_id: None,
        reason: ClaimReason::Clone,
        machine: machine(own, 1),
        former_key: Some(key(1)),
        boot_id: Some(boot_id.to_owned()),
        sighting: Some(sighting()),
        ..claim(n)
    }
}

both! {
    async fn a_copy_without_a_key_is_one_claim_for_each_start(store: Store) {
        told(&store, |tx| {
            assert!(tx.claim_insert(&copy(1, 1, "boot-a"))?);
            assert_eq!(tx.claim(team_id(1), claim_id(1))?, Some(copy(1, 1, "boot-a")));
            assert!(!copy(1, 1, "boot-a").has_own_key() && copy(1, 2, "boot-a").has_own_key());
            assert!(!tx.claim_insert(&copy(2, 1, "boot-a"))?, "the same start");
            assert!(tx.claim_insert(&copy(3, 1, "boot-b"))?);
            assert!(tx.claim_insert(&ClaimRow { host_id: Some(host_id(2)), ..copy(4, 1, "boot-a") })?);
            assert!(tx.claim_end(team_id(1), claim_id(1), REJECTED, at(1))?);
            assert!(!tx.claim_insert(&copy(5, 1, "boot-a"))?, "rejected until it is cleared");
            assert_eq!(tx.claim_of_key(site_id(1), &key(1))?, None, "the key is its host's");
            Ok(())
        })
        .await;
    }

    async fn a_claim_gets_the_key_its_machine_makes_once(store: Store) {
        told(&store, |tx| {
            tx.claim_insert(&copy(1, 1, "boot-a"))?;
            assert_eq!(tx.claim_without_key(host_id(1), &key(1), "boot-a")?.unwrap().id, claim_id(1));
            assert_eq!(tx.claim_without_key(host_id(1), &key(9), "boot-a")?, None);
            assert_eq!(tx.claim_without_key(host_id(2), &key(1), "boot-a")?, None);
            let forked: Machine = machine(7, 3);
            assert!(tx.claim_fork(claim_id(1), &forked, &[9; 65], at(90))?);
            let row = tx.claim(team_id(1), claim_id(1))?.unwrap();
            assert_eq!((row.machine, row.key_material, row.expires_at), (forked, vec![9; 65], at(90)));
            assert_eq!((row.former_key, row.sighting), (Some(key(1)), Some(sighting())));
            assert!(!tx.claim_fork(claim_id(1), &machine(8, 3), &[9; 65], at(90))?, "it has one");
            assert_eq!(tx.claim_without_key(host_id(1), &key(1), "boot-a")?, None);
            assert_eq!(tx.claim_of_start(host_id(1), "boot-a")?.unwrap().id, claim_id(1));
            assert_eq!(tx.claim_of_start(host_id(1), "boot-b")?, None);
            assert_eq!(tx.claim_of_key(site_id(1), &key(7))?.unwrap().ticket_id, None);
            assert!(!tx.claim_insert(&copy(2, 7, "boot-c"))?, "one claim for a key");
            tx.claim_end(team_id(1), claim_id(1), REJECTED, at(1))?;
            tx.claim_insert(&copy(3, 1, "boot-d"))?;
            tx.claim_end(team_id(1), claim_id(3), REJECTED, at(1))?;
            assert!(!tx.claim_fork(claim_id(3), &machine(8, 3), &[9; 65], at(90))?, "it does not wait");
            Ok(())
        })
        .await;
    }

    async fn what_came_of_a_copy_is_found_by_its_key(store: Store) {
        told(&store, |tx| {
            tx.claim_insert(&copy(1, 7, "boot-a"))?;
            assert_eq!(tx.host_of_copy(host_id(1), &key(7))?, None);
            let new = ClaimEnd { to: ClaimState::New, result: Some(host_id(5)), ..REJECTED };
            tx.claim_end(team_id(1), claim_id(1), new, at(1))?;
            assert_eq!(tx.host_of_copy(host_id(1), &key(7))?, Some(host_id(5)));
            assert_eq!(tx.host_of_copy(host_id(2), &key(7))?, None);
            assert_eq!(tx.host_of_copy(host_id(1), &key(8))?, None);
            Ok(())
        })
        .await;
    }

    async fn copies_are_listed_and_counted_by_their_host(store: Store) {
        told(&store, |tx| {
            tx.claim_insert(&copy(1, 7, "boot-a"))?;
            tx.claim_insert(&copy(2, 8, "boot-b"))?;
            tx.claim_insert(&claim(3))?;
            tx.claim_insert(&ClaimRow { host_id: Some(host_id(2)), ..copy(4, 9, "boot-a") })?;
            assert_eq!(tx.copies_waiting(team_id(1), host_id(1), 9)?, 2);
            assert_eq!(tx.copies_waiting(team_id(1), host_id(1), 1)?, 1);
            assert_eq!(tx.copies_waiting(team_id(2), host_id(1), 9)?, 0);
            let mut ids = |filter| {
                let found = tx.claims(team_id(1), filter, None, 9)?;
                Ok::<_, muster_store::StoreError>(
                    found.iter().map(|row| row.id.uuid().as_u128()).collect::<Vec<_>>(),
                )
            };
            let any = ClaimFilter::default();
            assert_eq!(ids(ClaimFilter { reason: Some(ClaimReason::Clone), ..any })?, [1, 2, 4]);
            assert_eq!(ids(ClaimFilter { host_id: Some(host_id(1)), ..any })?, [1, 2, 3]);
            let both = ClaimFilter { reason: Some(ClaimReason::Clone), host_id: Some(host_id(1)), ..any };
            assert_eq!(ids(both)?, [1, 2]);
            tx.claim_end(team_id(1), claim_id(1), REJECTED, at(1))?;
            assert_eq!(tx.copies_waiting(team_id(1), host_id(1), 9)?, 1);
            Ok(())
        })
        .await;
    }

    async fn copies_follow_their_host_unless_their_key_waits_there(store: Store) {
        told(&store, |tx| {
            tx.claim_insert(&copy(1, 7, "boot-a"))?;
            tx.claim_insert(&copy(2, 8, "boot-b"))?;
            tx.claim_insert(&claim(3))?;
            tx.claim_insert(&ClaimRow { site_id: site_id(2), machine: machine(8, 1), ..claim(4) })?;
            tx.copies_follow(team_id(1), host_id(1), site_id(2))?;
            let mut site = |n| Ok::<_, muster_store::StoreError>(tx.claim(team_id(1), claim_id(n))?.unwrap().site_id);
            assert_eq!(site(1)?, site_id(2));
            assert_eq!(site(2)?, site_id(1), "its key waits there already");
            assert_eq!(site(3)?, site_id(1), "no copy");
            Ok(())
        })
        .await;
    }

    async fn a_host_is_held_once_and_freed_once(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.host_rows_insert(host_id(1), 0)?;
            tx.host_key_insert(&host_key(1, 1))?;
            tx.claim_insert(&copy(1, 7, "boot-a"))?;
            assert!(!tx.host_hold(team_id(2), host_id(1), at(1))?);
            assert_eq!(tx.host_held_at(team_id(1), host_id(1))?, None);
            assert_eq!(tx.host_shown(team_id(1), host_id(1))?.unwrap().copy, None, "it is not held");
            assert!(tx.agent_by_key(&key(1))?.unwrap().may_act());
            assert!(tx.host_hold(team_id(1), host_id(1), at(1))?);
            assert!(!tx.host_hold(team_id(1), host_id(1), at(2))?);
            assert_eq!(tx.host_held_at(team_id(1), host_id(1))?, Some(at(1)));
            assert!(tx.host_view(host_id(1))?.unwrap().held);
            let shown = tx.host_shown(team_id(1), host_id(1))?.unwrap();
            assert_eq!((shown.held_at, shown.copy), (Some(at(1)), Some(claim_id(1))));
            let agent = tx.agent_by_key(&key(1))?.unwrap();
            assert!(!agent.may_act() && agent.is_of_active_host() && agent.may_knock());
            assert_eq!(tx.claims_lapsed(at(60), 9)?, [], "as long as it is held");
            assert!(!tx.host_free(team_id(2), host_id(1))?);
            assert!(tx.host_free(team_id(1), host_id(1))?);
            assert!(!tx.host_free(team_id(1), host_id(1))?);
            assert_eq!(tx.claims_lapsed(at(60), 9)?.len(), 1);
            tx.host_move(team_id(1), host_id(1), HostState::Active, HostState::Suspended)?;
            assert!(!tx.host_hold(team_id(1), host_id(1), at(3))?, "suspended is more than held");
            tx.host_move(team_id(1), host_id(1), HostState::Suspended, HostState::Active)?;
            tx.host_hold(team_id(1), host_id(1), at(4))?;
            tx.host_retire(team_id(1), host_id(1), at(5))?;
            assert_eq!(tx.host_held_at(team_id(1), host_id(1))?, None);
            Ok(())
        })
        .await;
    }

    async fn the_start_of_the_machine_that_connected_last_is_known(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            assert_eq!(tx.boot_id_of_key(&key(1))?, None);
            tx.generation_begin(host_id(1), &key(1))?;
            assert_eq!(tx.boot_id_of_key(&key(1))?, None);
            let known = tx.key_generation(&key(1))?;
            tx.generation_issue(&key(1), &known, known.committed, known.committed.next(0), "boot-a")?;
            assert_eq!(tx.boot_id_of_key(&key(1))?.as_deref(), Some("boot-a"));
            Ok(())
        })
        .await;
    }
}
