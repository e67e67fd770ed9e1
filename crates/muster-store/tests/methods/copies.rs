//! Claims of copies, and hosts that are held.

use muster_domain::admission::Machine;
use muster_ids::SecretId;
use muster_store::Store;
use muster_store::rows::{ClaimEnd, ClaimFilter, ClaimRow, ForkedClaim, SecretRow};
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

fn forked<'a>(machine: &'a Machine, sighting: &'a Sighting) -> ForkedClaim<'a> {
    ForkedClaim {
        machine,
        key_material: &[9; 65],
        source_address: &sighting.source,
        sighting,
        expires_at: at(90),
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
            let (own, another) = (machine(7, 3), machine(8, 3));
            let seen = Sighting { source: "198.51.100.9".to_owned(), ..sighting() };
            let forked = forked(&own, &seen);
            assert!(tx.claim_fork(claim_id(1), &forked)?);
            let row = tx.claim(team_id(1), claim_id(1))?.unwrap();
            assert_eq!((&row.machine, row.key_material, row.expires_at), (&own, vec![9; 65], at(90)));
            assert_eq!((row.source_address.as_str(), row.former_key), ("198.51.100.9", Some(key(1))));
            assert_eq!(row.sighting, Some(seen.clone()));
            let forked = ForkedClaim { machine: &another, ..forked };
            assert!(!tx.claim_fork(claim_id(1), &forked)?, "it has one");
            assert_eq!(tx.claim_without_key(host_id(1), &key(1), "boot-a")?, None);
            assert_eq!(tx.claim_of_start(host_id(1), "boot-a")?.unwrap().id, claim_id(1));
            assert_eq!(tx.claim_of_start(host_id(1), "boot-b")?, None);
            assert_eq!(tx.claim_of_key(site_id(1), &key(7))?.unwrap().ticket_id, None);
            assert!(!tx.claim_insert(&copy(2, 7, "boot-c"))?, "one claim for a key");
            tx.claim_end(team_id(1), claim_id(1), REJECTED, at(1))?;
            tx.claim_insert(&copy(3, 1, "boot-d"))?;
            tx.claim_end(team_id(1), claim_id(3), REJECTED, at(1))?;
            assert!(!tx.claim_fork(claim_id(3), &forked)?, "it does not wait");
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

    async fn what_is_seen_of_a_waiting_copy_is_kept(store: Store) {
        told(&store, |tx| {
            tx.claim_insert(&copy(1, 1, "boot-a"))?;
            let again = Sighting { holder_connected: true, ..sighting() };
            assert!(tx.claim_sighted(claim_id(1), &again)?);
            assert_eq!(tx.claim(team_id(1), claim_id(1))?.unwrap().sighting, Some(again));
            tx.claim_end(team_id(1), claim_id(1), REJECTED, at(1))?;
            assert!(!tx.claim_sighted(claim_id(1), &sighting())?);
            Ok(())
        })
        .await;
    }

    async fn b16_copies_take_no_place_of_those_that_contest_a_host(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.claim_insert(&copy(1, 7, "boot-a"))?;
            tx.claim_insert(&claim(3))?;
            tx.claim_insert(&ClaimRow { site_id: site_id(2), ..claim(4) })?;
            assert_eq!(tx.claims_on_host_of_its_site(team_id(1), host_id(1))?, 1);
            assert_eq!(tx.claims_on_host_of_its_site(team_id(2), host_id(1))?, 0);
            Ok(())
        })
        .await;
    }

    async fn that_no_more_claims_may_wait_is_told_once_in_a_while(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            assert_eq!((tx.site_full_at(team_id(1), site_id(1))?, tx.copies_full_at(team_id(1), host_id(1))?), (None, None));
            assert!(!tx.site_full_told(team_id(2), site_id(1), at(-9), at(0))?, "another team");
            assert!(!tx.copies_full_told(team_id(2), host_id(1), at(-9), at(0))?, "another team");
            for (since, now, expected) in [(-9, 0, true), (-8, 1, false), (-1, 8, false), (0, 9, true), (0, 9, false)] {
                assert_eq!(tx.site_full_told(team_id(1), site_id(1), at(since), at(now))?, expected, "{since}");
                assert_eq!(tx.copies_full_told(team_id(1), host_id(1), at(since), at(now))?, expected, "{since}");
            }
            assert_eq!(tx.site_full_at(team_id(1), site_id(1))?, Some(at(9)));
            assert_eq!(tx.copies_full_at(team_id(1), host_id(1))?, Some(at(9)));
            Ok(())
        })
        .await;
    }

    async fn a_secret_stays_exposed_when_the_claim_of_the_copy_is_dropped(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.host_key_insert(&host_key(1, 1))?;
            let repo = SecretRow {
                id: SecretId::from_uuid(uuid::Uuid::from_u128(1)),
                team_id: team_id(1),
                owner_kind: "host".to_owned(),
                owner_id: host_id(1).to_string(),
                name: "repo".to_owned(),
                version: 1,
                fields: Vec::new(),
                blob: vec![1],
                updated_at: at(0),
            };
            tx.secret_insert(&repo)?;
            tx.secret_sent(repo.id, 1, &key(1), at(-1))?;
            // Three copies of its key, and one of a key that received nothing.
            for n in 1..=3 {
                tx.claim_insert(&copy(n, n + 6, "boot-a"))?;
            }
            tx.claim_insert(&ClaimRow { former_key: Some(key(2)), ..copy(4, 10, "boot-b") })?;
            for n in 1..=4 {
                let closed = ClaimEnd { to: ClaimState::Closed, ..REJECTED };
                assert!(tx.claim_end(team_id(1), claim_id(n), closed, at(1))?);
            }
            let exposed = |tx: &mut muster_store::Tx<'_>| {
                Ok::<_, muster_store::StoreError>(tx.secrets_shown(team_id(1), host_id(1))?[0].exposed)
            };
            assert!(exposed(tx)?);
            assert_eq!(tx.claims_drop(at(90), 9)?, 3, "one of them says it as well as all");
            assert_eq!(tx.claims_drop(at(90), 9)?, 0);
            assert!(tx.claim(team_id(1), claim_id(3))?.is_some());
            assert!(exposed(tx)?, "until the value changes");
            tx.secret_replace(&SecretRow { version: 2, ..repo }, 1)?;
            assert!(!exposed(tx)?);
            assert_eq!(tx.claims_drop(at(90), 9)?, 1);
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
