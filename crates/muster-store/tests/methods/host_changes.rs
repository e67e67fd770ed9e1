//! Many hosts at once.

use muster_ids::SecretId;
use muster_store::rows::{ClaimEnd, InHandRow, JobRow, KeyState, LossRow};
use muster_store::{Lock, LockKey, Store, params};
use muster_wire::claim::{ClaimReason, ClaimState};
use muster_wire::host::HostState;
use muster_wire::job::JobState;
use muster_wire::ticket::TicketKind;

use crate::backends::both;
use crate::jobs::job;
use crate::rows::{
    NOW, at, claim, claim_id, host, host_id, host_key, key, tag, team_id, ticket, ticket_id, told,
};
use crate::secrets::secret;

both! {
    async fn hosts_stand_as_they_are_and_foreign_ones_are_not_there(store: Store) {
        told(&store, |tx| {
            for n in [1, 2] {
                tx.host_insert(&host(n))?;
            }
            tx.host_tags_set(team_id(1), host_id(2), &[tag("b"), tag("a")])?;
            tx.execute("UPDATE host SET held_at = $1 WHERE id = $2", params![NOW, host_id(2)])?;
            tx.ticket_insert(&ticket(1, TicketKind::SiteKey))?;
            let waiting = muster_store::rows::ClaimRow { reason: ClaimReason::Clone, host_id: Some(host_id(2)), ..claim(7) };
            tx.claim_insert(&waiting)?;
            let found = tx.hosts_standing(team_id(1), &[host_id(2), host_id(9), host_id(1)])?;
            assert_eq!(found[1], None);
            let (two, one) = (found[0].clone().unwrap(), found[2].clone().unwrap());
            assert_eq!((two.row, two.tags, two.held_at, two.copy_waits), (host(2), vec![tag("a"), tag("b")], Some(NOW), true));
            assert_eq!((one.row, one.tags.len(), one.held_at, one.copy_waits), (host(1), 0, None, false));
            assert_eq!(tx.hosts_standing(team_id(2), &[host_id(1)])?, [None]);
            Ok(())
        })
        .await;
    }

    async fn what_hosts_would_lose_and_have_in_hand(store: Store) {
        told(&store, |tx| {
            for n in [1, 2] {
                tx.host_insert(&host(n))?;
            }
            tx.host_key_insert(&host_key(2, 1))?;
            tx.host_key_insert(&host_key(1, 1))?;
            tx.ticket_insert(&ticket(1, TicketKind::SiteKey))?;
            let mut own = ticket(2, TicketKind::RegistrationToken);
            own.ticket.host_id = Some(host_id(1));
            tx.ticket_insert(&own)?;
            tx.claim_insert(&claim(7))?;
            let hosts = [host_id(1), host_id(2)];
            let loss = LossRow { keys: vec![key(1), key(2)], secrets: Vec::new(), open_jobs: 0, open_claims: 1 };
            assert_eq!(tx.hosts_losses(team_id(1), &hosts)?, [loss, LossRow::default()]);
            let in_hand = InHandRow { tickets: vec![ticket_id(2)], keys: vec![key(1), key(2)] };
            assert_eq!(tx.hosts_in_hand(team_id(1), &hosts)?, [in_hand, InHandRow::default()]);
            tx.lock(&[Lock::exclusive(LockKey::Host(host_id(1)))])?;
            Ok(())
        })
        .await;
    }

    async fn tags_of_many_are_added_and_removed(store: Store) {
        told(&store, |tx| {
            for n in [1, 2] {
                tx.host_insert(&host(n))?;
            }
            let of = |n, text: &str| (host_id(n), tag(text));
            assert_eq!(tx.hosts_tags_add(team_id(1), &[of(1, "a"), of(2, "a"), of(2, "b"), of(2, "a")])?, 3);
            assert_eq!(tx.hosts_tags_remove(team_id(1), &[of(1, "a"), of(1, "b"), of(2, "b")])?, 2);
            assert_eq!(tx.hosts_tags_remove(team_id(2), &[of(2, "a")])?, 0, "another team");
            let tags: Vec<_> = tx.hosts_standing(team_id(1), &[host_id(1), host_id(2)])?.into_iter().flatten().collect();
            assert_eq!((tags[0].tags.len(), tags[1].tags.clone()), (0, vec![tag("a")]));
            Ok(())
        })
        .await;
    }

    async fn what_hosts_have_is_read_and_taken_away_at_once(store: Store) {
        told(&store, |tx| {
            for n in [1, 2, 3] {
                tx.host_insert(&host(n))?;
                tx.host_key_insert(&host_key(n, n))?;
                tx.host_tags_set(team_id(1), host_id(n.into()), &[tag("a"), tag("b")])?;
            }
            tx.host_key_insert(&host_key(9, 1))?;
            let hosts = [host_id(2), host_id(7), host_id(1)];
            let active = tx.hosts_keys_active(&hosts)?;
            assert_eq!(active.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 2]);
            assert_eq!(tx.hosts_keys_live(&hosts)?, active);
            let ended = tx.host_keys_end(&[key(2), key(7), key(1), key(2)], KeyState::Revoked, "user_x", at(9))?;
            assert_eq!(ended, [true, false, true, false]);
            assert_eq!(tx.hosts_keys_active(&hosts)?.concat(), [host_key(9, 1)]);
            let logged = tx.revocations_insert(team_id(1), &["host_b".to_owned(), "host_a".to_owned()], "retired", at(1))?;
            let rows = tx.revocations_after(0, 9)?;
            assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), logged);
            assert_eq!(rows.iter().map(|row| row.subject.as_str()).collect::<Vec<_>>(), ["host_b", "host_a"]);
            tx.hosts_tags_clear(team_id(2), &hosts)?;
            tx.hosts_tags_clear(team_id(1), &hosts)?;
            let standing = tx.hosts_standing(team_id(1), &[host_id(1), host_id(2), host_id(3)])?;
            let tags: Vec<_> = standing.into_iter().map(|row| row.unwrap().tags.len()).collect();
            assert_eq!(tags, [0, 0, 2]);
            assert_eq!(tx.hosts_retire(team_id(2), &hosts, at(5))?, [false; 3]);
            assert_eq!(tx.hosts_retire(team_id(1), &hosts, at(5))?, [true, false, true]);
            assert_eq!(tx.host_states(team_id(1), &[host_id(1), host_id(3)])?, [Some(HostState::Retired), Some(HostState::Active)]);
            Ok(())
        })
        .await;
    }

    async fn what_waits_for_hosts_is_read_and_ended_at_once(store: Store) {
        told(&store, |tx| {
            for n in [1, 2] {
                tx.host_insert(&host(n))?;
            }
            for (n, of) in [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(2))] {
                let mut made = ticket(n, TicketKind::RegistrationToken);
                made.ticket.host_id = of.map(host_id);
                tx.ticket_insert(&made)?;
            }
            let hosts = [host_id(2), host_id(1), host_id(7)];
            let tickets = tx.tickets_of_hosts(team_id(1), &hosts)?;
            assert_eq!(tickets, [vec![ticket_id(3), ticket_id(4)], vec![ticket_id(2)], Vec::new()]);
            assert_eq!(tx.tickets_of_hosts(team_id(2), &hosts)?.concat(), []);
            for n in [7, 8] {
                tx.claim_insert(&claim(n))?;
            }
            let waiting = tx.claims_on_hosts(team_id(1), &hosts)?;
            assert_eq!(waiting.iter().map(Vec::len).collect::<Vec<_>>(), [0, 2, 0]);
            assert_eq!(tx.claims_with_tickets(team_id(1), &[ticket_id(2), ticket_id(1)], 1)?, [vec![], vec![waiting[1][0]]]);
            tx.ticket_reserve(&ticket_id(1), &key(7))?;
            assert_eq!(tx.tickets_free(&[(ticket_id(1), key(7)), (ticket_id(1), key(7))])?, [true, false]);
            let end = ClaimEnd { from: ClaimState::Waiting, to: ClaimState::Closed, by: "user_x", result: None };
            let ended = tx.claims_end(team_id(1), &[claim_id(8), claim_id(9), claim_id(8)], end, at(1))?;
            assert_eq!(ended, [true, false, false]);
            let revoked = tx.tickets_revoke(team_id(1), &[ticket_id(2), ticket_id(9), ticket_id(2)], at(1))?;
            assert_eq!(revoked, [true, false, false]);
            let jobs = [(1, 1), (2, 2), (3, 2)].map(|(n, of)| job(n, of));
            jobs.iter().try_for_each(|job| tx.job_insert(job))?;
            let open = tx.hosts_jobs_open(&hosts, 1)?;
            assert_eq!(open, [vec![jobs[1].clone()], vec![jobs[0].clone()], Vec::new()]);
            let lost = |job: &JobRow| (JobRow { state: JobState::Lost, ..job.clone() }, JobState::Queued);
            let moves = [lost(&jobs[2]), lost(&jobs[2]), lost(&jobs[0])];
            assert_eq!(tx.jobs_move(&moves)?, [true, false, true]);
            assert_eq!(tx.hosts_jobs_open(&hosts, 9)?.concat(), [jobs[1].clone()]);
            Ok(())
        })
        .await;
    }

    async fn secrets_of_owners_go_with_their_ledger(store: Store) {
        told(&store, |tx| {
            tx.secrets_insert(&[&secret(1, 1, "repo"), &secret(2, 1, "api"), &secret(3, 2, "repo")])?;
            for n in [1, 3] {
                assert!(tx.secret_sent(secret(n, 1, "").id, 1, &key(1), at(1))?);
            }
            let owners = [1, 7].map(|n| host_id(n).to_string());
            assert_eq!(tx.secrets_delete_owned(team_id(2), "host", &owners)?, [0, 0]);
            assert_eq!(tx.secrets_delete_owned(team_id(1), "ticket", &owners)?, [0, 0]);
            assert_eq!(tx.secrets_delete_owned(team_id(1), "host", &owners)?, [2, 0]);
            let ledger: Vec<SecretId> = tx.query("SELECT secret_id FROM secret_delivery", params![], |row| row.get(0))?;
            assert_eq!(ledger, [secret(3, 2, "repo").id]);
            Ok(())
        })
        .await;
    }
}
