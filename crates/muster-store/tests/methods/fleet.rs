//! The fleet as it is counted, and what is noted of it.

use muster_ids::{JobId, SecretId};
use muster_store::rows::{HostRow, JobRow, KeyState, PresenceChange, PresenceRow, SecretRow};
use muster_store::{Store, StoreError, Tx};
use muster_wire::claim::ClaimState;
use muster_wire::host::{HostState, Presence};
use muster_wire::job::JobState;
use muster_wire::overview::{PresenceCounts, PresenceSample};
use uuid::Uuid;

use crate::backends::both;
use crate::jobs::job;
use crate::rows::{NOW, at, claim, host, host_id, host_key, key, team_id, told};
use crate::secrets::secret;

fn nobody() -> SecretId {
    SecretId::from_uuid(Uuid::nil())
}

fn change(host: u128, secs: i64, was: Presence, status: Presence) -> PresenceChange {
    PresenceChange { host_id: host_id(host), at: at(secs), was, status }
}

both! {
    async fn every_host_is_counted_in_its_turn_wherever_it_stands(store: Store) {
        told(&store, |tx| {
            let states = [HostState::Active, HostState::Invited, HostState::Suspended, HostState::Retired];
            for (n, state) in (1..).zip(states) {
                tx.host_insert(&HostRow { state, ..host(n) })?;
                tx.host_rows_insert(host_id(n.into()), 0)?;
            }
            tx.host_hold(team_id(1), host_id(1), at(3))?;
            let first = tx.hosts_counted(0, 3)?;
            let rest = tx.hosts_counted(first[2].seq, 3)?;
            let counted: Vec<_> = first.iter().chain(&rest).map(|row| (row.host_id, row.state)).collect();
            assert_eq!(counted, (1..).map(host_id).zip(states).collect::<Vec<_>>());
            assert_eq!((first[0].held_at, first[1].held_at), (Some(at(3)), None));
            assert_eq!((first[0].team_id, first[0].enrolled_at), (team_id(1), Some(NOW)));
            assert_eq!((first[0].seen_at, first[0].noted), (None, None));
            tx.presence_flush(&[PresenceRow { seq: first[0].seq, seen_at: at(9), said_goodbye: true }])?;
            tx.presence_note(&[change(1, 10, Presence::Online, Presence::Offline)])?;
            let seen = tx.hosts_counted(0, 1)?.remove(0);
            assert_eq!((seen.seen_at, seen.said_goodbye), (Some(at(9)), true));
            assert_eq!(seen.noted, Some((Presence::Offline, at(10))));
            Ok(())
        })
        .await;
    }

    async fn a_configuration_is_told_of_an_active_host_that_has_not_confirmed_it(store: Store) {
        told(&store, |tx| {
            for n in [1, 2] {
                let state = if n == 1 { HostState::Active } else { HostState::Suspended };
                tx.host_insert(&HostRow { state, ..host(n) })?;
                tx.host_rows_insert(host_id(n.into()), 3)?;
                assert!(tx.host_config_bump(host_id(n.into()), at(5))?);
            }
            let lacking = |tx: &mut Tx<'_>| -> Result<Vec<bool>, StoreError> {
                Ok(tx.hosts_counted(0, 9)?.iter().map(|row| row.lacking.is_some()).collect())
            };
            assert_eq!(lacking(tx)?, [true, false]);
            assert_eq!(tx.hosts_counted(0, 1)?[0].lacking.unwrap().changed_at, Some(at(5)));
            let version = tx.host_config(host_id(1))?.unwrap().version;
            assert!(tx.host_config_applied(host_id(1), version, at(6))?);
            assert_eq!(lacking(tx)?, [false, false]);
            Ok(())
        })
        .await;
    }

    async fn work_is_counted_by_team(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            let states = [JobState::Queued, JobState::Running, JobState::Failed, JobState::Lost, JobState::Succeeded];
            for (n, state) in (1..).zip(states) {
                let finished_at = matches!(n, 3..=5).then(|| at(n as i64));
                tx.job_insert(&job(n, 1))?;
                tx.job_move(&JobRow { state, finished_at, ..job(n, 1) }, JobState::Queued)?;
            }
            let other = JobRow { id: JobId::from_uuid(Uuid::from_u128(9)), team_id: team_id(2), ..job(9, 1) };
            tx.job_insert(&other)?;
            let mut open = tx.jobs_open_by_team()?;
            open.sort_unstable();
            assert_eq!(open, [(team_id(1), 2), (team_id(2), 1)]);
            assert_eq!(tx.jobs_failed_by_team(at(0))?, [(team_id(1), 2)]);
            assert_eq!(tx.jobs_failed_by_team(at(4))?, [(team_id(1), 1)]);
            tx.claim_insert(&claim(1))?;
            tx.claim_insert(&muster_store::rows::ClaimRow { state: ClaimState::Rejected, ..claim(2) })?;
            assert_eq!(tx.claims_open_by_team()?, [(team_id(1), 1)]);
            Ok(())
        })
        .await;
    }

    async fn exposed_secrets_are_found_page_by_page(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.host_key_insert(&host_key(1, 1))?;
            for (n, name) in (1..).zip(["a", "b", "c"]) {
                tx.secret_insert(&secret(n, 1, name))?;
            }
            let of_ticket = SecretRow { owner_kind: "ticket".to_owned(), owner_id: "x".to_owned(), ..secret(4, 1, "d") };
            tx.secret_insert(&of_ticket)?;
            for n in [2, 4] {
                tx.secret_sent(secret(n, 1, "b").id, 1, &key(1), at(1))?;
            }
            assert_eq!(tx.secrets_exposed(nobody(), 10)?, (vec![], None), "its key is good");
            tx.host_key_end(&key(1), KeyState::Revoked, "user_x", at(2))?;
            let (found, last) = tx.secrets_exposed(nobody(), 2)?;
            let found: Vec<_> = found.into_iter().map(|row| (row.team_id, row.host_id, row.name, row.since)).collect();
            assert_eq!(found, [(team_id(1), host_id(1), "b".to_owned(), at(2))], "since its key ended");
            assert_eq!(last, Some(secret(2, 1, "b").id));
            let (found, last) = tx.secrets_exposed(last.unwrap(), 2)?;
            assert_eq!((found, last), (vec![], Some(secret(4, 1, "d").id)), "that of a ticket is not shown");
            assert_eq!(tx.secrets_exposed(secret(4, 1, "d").id, 2)?, (vec![], None));
            Ok(())
        })
        .await;
    }

    async fn what_was_noted_of_a_host_is_found_newest_first_and_dropped(store: Store) {
        use Presence::{NeverSeen, Offline, Online, Unreachable};
        told(&store, |tx| {
            for n in [1, 2] {
                tx.host_insert(&host(n))?;
            }
            assert_eq!(tx.presence_noted(host_id(1))?, None);
            tx.presence_note(&[change(1, 10, NeverSeen, Online), change(2, 10, NeverSeen, Online)])?;
            tx.presence_note(&[change(1, 20, Online, Unreachable)])?;
            tx.presence_note(&[change(1, 20, Online, Offline)])?;
            assert_eq!(tx.presence_noted(host_id(1))?, Some((Offline, at(20))));
            let [first, last] = [change(1, 10, NeverSeen, Online), change(1, 20, Online, Offline)];
            assert_eq!(tx.presence_changes(host_id(1), at(0), 9)?, [last, first]);
            assert_eq!(tx.presence_changes(host_id(1), at(0), 1)?, [last]);
            assert_eq!(tx.presence_changes(host_id(1), at(10), 9)?, [last], "what came before is not after it");
            assert_eq!(tx.presence_changes_drop(at(20), 1)?, 1);
            assert_eq!(tx.presence_changes_drop(at(20), 9)?, 1);
            assert_eq!(tx.presence_changes_drop(at(20), 9)?, 0);
            assert_eq!(tx.presence_changes(host_id(1), at(0), 9)?, [last]);
            assert_eq!(tx.presence_noted(host_id(2))?, Some((Online, at(10))), "it stays noted");
            Ok(())
        })
        .await;
    }

    async fn a_sample_of_a_fleet_is_kept_once_and_dropped(store: Store) {
        told(&store, |tx| {
            let counts = |online| PresenceCounts { online, unreachable: 2, offline: 3, never_seen: 4 };
            assert_eq!(tx.fleet_samples_add(at(0), &[(team_id(1), counts(1)), (team_id(2), counts(9))])?, 2);
            assert_eq!(tx.fleet_samples_add(at(0), &[(team_id(1), counts(5))])?, 0, "another counted it");
            assert_eq!(tx.fleet_samples_add(at(300), &[(team_id(1), counts(7))])?, 1);
            let sample = |secs, online| {
                PresenceSample { at: at(secs), online, unreachable: 2, offline: 3, never_seen: 4 }
            };
            assert_eq!(tx.fleet_samples(team_id(1), at(0))?, [sample(0, 1), sample(300, 7)]);
            assert_eq!(tx.fleet_samples(team_id(1), at(1))?, [sample(300, 7)]);
            assert_eq!(tx.fleet_samples_drop(at(300), 1)?, 1);
            assert_eq!(tx.fleet_samples_drop(at(300), 9)?, 1);
            assert_eq!(tx.fleet_samples(team_id(2), at(0))?, []);
            assert_eq!(tx.fleet_samples(team_id(1), at(0))?.len(), 1);
            Ok(())
        })
        .await;
    }
}
