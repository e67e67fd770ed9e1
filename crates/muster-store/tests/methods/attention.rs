//! What somebody should look at.

use muster_store::Store;
use muster_store::rows::{ClaimRow, Found, JobRow, TicketRow};
use muster_wire::claim::ClaimState;
use muster_wire::job::JobState;
use muster_wire::ticket::TicketKind;

use crate::backends::both;
use crate::endpoints::{endpoint, endpoint_id};
use crate::events::happen;
use crate::jobs::job;
use crate::rows::{at, claim, claim_id, host, host_id, team_id, ticket, ticket_id, told};

/// Expects so many, and these ids, names and seconds.
#[track_caller]
fn is(found: &Found, count: u64, items: &[(&str, &str, i64)]) {
    let items = items.iter().map(|(id, name, secs)| ((*id).to_owned(), (*name).to_owned(), at(*secs)));
    assert_eq!(*found, Found { count, items: items.collect() });
}

fn site_key(n: u32, lapses_secs: i64) -> TicketRow {
    let row = ticket(n, TicketKind::SiteKey);
    TicketRow {
        ticket: muster_domain::ticket::Ticket { expires_at: Some(at(lapses_secs)), ..row.ticket },
        ..row
    }
}

both! {
    async fn held_hosts_and_waiting_claims_are_found(store: Store) {
        told(&store, |tx| {
            for n in [1, 2, 3] {
                tx.host_insert(&host(n))?;
            }
            is(&tx.hosts_held(team_id(1), 9, 9)?, 0, &[]);
            for n in [3, 1] {
                tx.host_hold(team_id(1), host_id(n), at(n as i64))?;
            }
            let [first, third] = [1, 3].map(|n| host_id(n).to_string());
            is(&tx.hosts_held(team_id(1), 9, 9)?, 2, &[(&first, "Host 1", 1), (&third, "Host 3", 3)]);
            is(&tx.hosts_held(team_id(1), 1, 1)?, 1, &[(&first, "Host 1", 1)]);
            is(&tx.hosts_held(team_id(2), 9, 9)?, 0, &[]);
            tx.claim_insert(&claim(1))?;
            tx.claim_insert(&ClaimRow { state: ClaimState::Rejected, ..claim(2) })?;
            tx.claim_insert(&claim(3))?;
            let [first, third] = [1, 3].map(|n| claim_id(n).to_string());
            is(&tx.claims_waiting(team_id(1), 9, 9)?, 2, &[(&first, "m1", 0), (&third, "m3", 0)]);
            is(&tx.claims_waiting(team_id(1), 1, 1)?, 1, &[(&first, "m1", 0)]);
            is(&tx.claims_waiting(team_id(2), 9, 9)?, 0, &[]);
            let names = tx.host_names(team_id(1), &[host_id(2), host_id(9), host_id(1)])?;
            assert_eq!(names, [Some("Host 2".to_owned()), None, Some("Host 1".to_owned())]);
            assert_eq!(tx.host_names(team_id(2), &[host_id(2)])?, [None]);
            Ok(())
        })
        .await;
    }

    async fn what_failed_since_is_found_newest_first(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            for (n, state) in (1..).zip([JobState::Failed, JobState::Succeeded, JobState::Lost, JobState::Failed]) {
                tx.job_insert(&job(n, 1))?;
                tx.job_move(&JobRow { state, finished_at: Some(at(n as i64)), ..job(n, 1) }, JobState::Queued)?;
            }
            let [third, fourth] = [3, 4].map(|n| job(n, 1).id.to_string());
            is(&tx.jobs_gone_wrong(team_id(1), at(2), 9, 9)?, 2, &[(&fourth, "Host 1", 4), (&third, "Host 1", 3)]);
            is(&tx.jobs_gone_wrong(team_id(1), at(0), 2, 1)?, 2, &[(&fourth, "Host 1", 4)]);
            is(&tx.jobs_gone_wrong(team_id(2), at(0), 9, 9)?, 0, &[]);
            Ok(())
        })
        .await;
    }

    async fn site_keys_that_lapse_soon_are_found(store: Store) {
        told(&store, |tx| {
            for row in [site_key(1, 30), site_key(2, 20), site_key(3, 5), site_key(4, 99), site_key(5, 25)] {
                tx.ticket_insert(&row)?;
            }
            tx.ticket_insert(&ticket(6, TicketKind::EnrolmentToken))?;
            tx.ticket_revoke(team_id(1), &ticket_id(5), at(1))?;
            let [first, second] = [1, 2].map(|n| ticket_id(n).to_string());
            let found = tx.site_keys_lapsing(team_id(1), at(10), at(40), 9, 9)?;
            is(&found, 2, &[(&second, "default", 20), (&first, "default", 30)]);
            is(&tx.site_keys_lapsing(team_id(1), at(10), at(40), 1, 1)?, 1, &[(&second, "default", 20)]);
            is(&tx.site_keys_lapsing(team_id(2), at(10), at(40), 9, 9)?, 0, &[]);
            Ok(())
        })
        .await;
    }

    async fn endpoints_that_fail_and_records_that_do_not_open_are_found(store: Store) {
        told(&store, |tx| {
            for n in [1, 2] {
                assert!(tx.endpoint_insert(&endpoint(n))?);
            }
            assert!(tx.endpoint_gives_up(endpoint_id(2), at(7))?);
            let second = endpoint_id(2).to_string();
            is(&tx.endpoints_failing(team_id(1), 9, 9)?, 1, &[(&second, "endpoint 2", 7)]);
            is(&tx.endpoints_failing(team_id(2), 9, 9)?, 0, &[]);
            for (n, kind) in (1..).zip(["secret.unreadable", "host.back", "secret.unreadable"]) {
                happen(tx, n, 1, kind, None)?;
            }
            let found = tx.secrets_unreadable(team_id(1), at(0), 9, 1)?;
            is(&found, 2, &[("subject 3", "subject 3", 3)]);
            is(&tx.secrets_unreadable(team_id(1), at(2), 9, 9)?, 1, &[("subject 3", "subject 3", 3)]);
            is(&tx.secrets_unreadable(team_id(2), at(0), 9, 9)?, 0, &[]);
            Ok(())
        })
        .await;
    }
}
