//! What is over goes in batches; what must stay a fact does not go at all.

use muster_ids::{JobId, SecretId};
use muster_store::rows::{ClaimRow, SecretRow};
use muster_store::{Store, StoreError, Tx, params};
use muster_wire::claim::ClaimState;
use muster_wire::ticket::TicketKind;
use uuid::Uuid;

use crate::backends::both;
use crate::rows::{at, claim, host, host_id, host_key, key, team_id, ticket, ticket_id, told};

fn job_id(n: u128) -> JobId {
    JobId::from_uuid(Uuid::from_u128(n))
}

/// A job with so many lines, which ended then or did not.
fn job(tx: &mut Tx<'_>, n: u128, lines: i64, ended: Option<i64>) -> Result<(), StoreError> {
    let state = if ended.is_some() { "succeeded" } else { "running" };
    tx.execute(
        "INSERT INTO job (id, team_id, host_id, work, state, attempt, secret_version, time_limit_secs, late, log_lines,
                          log_bytes, created_by, created_at, finished_at)
         VALUES ($1, $2, $3, '{}', $4, 1, 0, 60, 0, $5, $5, 'user_x', 0, $6)",
        params![job_id(n), team_id(1), host_id(1), state, lines, ended.map(at)],
    )?;
    for line in 0..lines {
        tx.execute(
            "INSERT INTO job_log (job_id, n, at, line) VALUES ($1, $2, 0, 'x')",
            params![job_id(n), line],
        )?;
    }
    Ok(())
}

fn jobs_and_lines(tx: &mut Tx<'_>) -> Result<(i64, i64), StoreError> {
    let count = |tx: &mut Tx<'_>, sql: &'static str| tx.query_one(sql, params![], |row| row.get::<i64>(0));
    Ok((count(tx, "SELECT count(*) FROM job")?, count(tx, "SELECT count(*) FROM job_log")?))
}

both! {
    async fn logs_go_before_their_jobs_and_running_jobs_stay(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            job(tx, 1, 5, Some(10))?;
            job(tx, 2, 0, Some(20))?;
            job(tx, 3, 3, Some(90))?;
            job(tx, 4, 3, None)?;
            assert_eq!(tx.jobs_drop(at(50), 9)?, 1, "the one without a log");
            assert_eq!(tx.job_logs_drop(at(50), 2)?, 2);
            assert_eq!(jobs_and_lines(tx)?, (3, 9));
            assert!(tx.job_logs_drop(at(50), 9)? >= 3);
            assert_eq!(tx.job_logs_drop(at(50), 9)?, 0);
            assert_eq!(jobs_and_lines(tx)?, (3, 6));
            assert_eq!(tx.jobs_drop(at(50), 9)?, 1);
            assert_eq!(tx.jobs_drop(at(50), 9)?, 0);
            assert_eq!(jobs_and_lines(tx)?, (2, 6));
            Ok(())
        })
        .await;
    }

    async fn claims_that_ended_go_and_rejected_ones_keep_their_machines_out(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            for (n, state) in [ClaimState::Waiting, ClaimState::Rejected, ClaimState::New, ClaimState::Closed]
                .into_iter()
                .enumerate()
            {
                let n = n as u32 + 1;
                tx.claim_insert(&ClaimRow { state, ..claim(n) })?;
                tx.execute("UPDATE claim SET decided_at = $1 WHERE id = $2", params![at(n.into()), claim(n).id])?;
            }
            assert_eq!(tx.claims_drop(at(4), 9)?, 1);
            assert_eq!(tx.claims_drop(at(9), 9)?, 1);
            assert_eq!(tx.claims_drop(at(9), 9)?, 0);
            assert!(tx.claim(team_id(1), claim(1).id)?.is_some() && tx.claim(team_id(1), claim(2).id)?.is_some());
            Ok(())
        })
        .await;
    }

    async fn b15_only_tickets_that_admitted_nobody_go(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            for n in 1..=7 {
                let kind = if n == 3 { TicketKind::SiteKey } else { TicketKind::EnrolmentToken };
                tx.ticket_insert(&ticket(n, kind))?;
            }
            // 2 is spent, 3 admitted a host without counting, 4 is held, 5 is revoked, 6 carries a secret, 7 leaked.
            tx.execute(
                "UPDATE ticket SET spent_by_key = $1, spent_by_host = $2, spent_disposition = 'new', uses = 1
                  WHERE id = $3",
                params![key(2), host_id(1), ticket_id(2)],
            )?;
            let mut admitted = host_key(3, 1);
            admitted.ticket_id = Some(ticket_id(3));
            tx.host_key_insert(&admitted)?;
            assert!(tx.ticket_reserve(&ticket_id(4), &key(4))?);
            tx.ticket_revoke(team_id(1), &ticket_id(5), at(10))?;
            assert!(tx.secret_insert(&SecretRow {
                id: SecretId::from_uuid(Uuid::from_u128(6)),
                team_id: team_id(1),
                owner_kind: "ticket".to_owned(),
                owner_id: ticket_id(6).to_string(),
                name: "repo".to_owned(),
                version: 1,
                fields: Vec::new(),
                blob: vec![1],
                updated_at: at(0),
            })?);
            tx.execute(
                "INSERT INTO leak (ticket_id, team_id, since, actor, source, reported_at) VALUES ($1, $2, 0, 'x', '-', 0)",
                params![ticket_id(7), team_id(1)],
            )?;
            assert_eq!(tx.unused_tickets_drop(at(10), 9)?, 0);
            assert_eq!(tx.unused_tickets_drop(at(3600), 9)?, 1, "5 was revoked at 10");
            assert_eq!(tx.unused_tickets_drop(at(9999), 9)?, 1);
            assert_eq!(tx.unused_tickets_drop(at(9999), 9)?, 0);
            let left: Vec<bool> =
                (1..=7).map(|n| tx.ticket_by_id(&ticket_id(n)).map(|row| row.is_some())).collect::<Result<_, _>>()?;
            assert_eq!(left, [false, true, true, true, false, true, true]);
            Ok(())
        })
        .await;
    }

    async fn logs_of_refusals_and_revocations_go_by_their_age(store: Store) {
        told(&store, |tx| {
            for n in 0..4_i64 {
                tx.execute(
                    "INSERT INTO refusal (ticket_id, cause, count, first_at, last_at, last_source, last_request_id)
                     VALUES ($1, 'expired', 1, 0, $2, '-', 'req')",
                    params![ticket_id(n as u32), at(n)],
                )?;
                tx.execute(
                    "INSERT INTO refused_request (ticket_id, cause, slot, request_id, at, source)
                     VALUES ($1, 'expired', 0, 'req', $2, '-')",
                    params![ticket_id(n as u32), at(n)],
                )?;
                tx.revocation_insert(team_id(1), "host_x", "why", at(n))?;
            }
            assert_eq!(tx.refusals_drop(at(2), 3)?, 3);
            assert_eq!(tx.refusals_drop(at(2), 3)?, 1);
            assert_eq!(tx.refusals_drop(at(2), 3)?, 0);
            assert_eq!(tx.refusals(&ticket_id(1))?.len() + tx.refusals(&ticket_id(2))?.len(), 1);
            assert_eq!((tx.revocations_drop(at(3), 2)?, tx.revocations_drop(at(3), 2)?), (2, 1));
            let left = tx.revocations_after(0, 9)?;
            assert_eq!((left.len(), left[0].seq), (1, 4), "what is left keeps its place");
            Ok(())
        })
        .await;
    }

    async fn the_ledger_of_a_secret_keeps_its_last_versions(store: Store) {
        told(&store, |tx| {
            let id = SecretId::from_uuid(Uuid::from_u128(1));
            assert!(tx.secret_insert(&SecretRow {
                id,
                team_id: team_id(1),
                owner_kind: "host".to_owned(),
                owner_id: host_id(1).to_string(),
                name: "repo".to_owned(),
                version: 6,
                fields: Vec::new(),
                blob: vec![1],
                updated_at: at(0),
            })?);
            for version in 1..=6 {
                assert!(tx.secret_sent(id, version, &key(1), at(version))?);
            }
            assert_eq!((tx.secret_ledger_drop(id, 4, 3)?, tx.secret_ledger_drop(id, 4, 3)?), (3, 1));
            assert_eq!(tx.secret_ledger_drop(id, 4, 3)?, 0);
            let left = tx.query("SELECT version FROM secret_delivery ORDER BY version", params![], |row| row.get::<i64>(0))?;
            assert_eq!(left, [5, 6]);
            Ok(())
        })
        .await;
    }
}
