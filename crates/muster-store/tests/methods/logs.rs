//! What is only added to: refusals, revocations, replies kept for a retry.

use muster_store::rows::{IdempotentReplyRow, REQUESTS_KEPT, RefusalRow, RefusedRequestRow};
use muster_store::{Store, StoreError};
use muster_wire::refusal::RefusalCause;
use muster_wire::ticket::TicketKind;

use crate::backends::both;
use crate::rows::{at, team_id, ticket, ticket_id, told};

fn refusal(cause: RefusalCause, secs: i64) -> RefusalRow {
    RefusalRow {
        ticket_id: ticket_id(1),
        cause,
        count: 1,
        first_at: at(secs),
        last_at: at(secs),
        last_source: format!("192.0.2.{secs}"),
        last_request_id: "req_x".to_owned(),
    }
}

fn request(n: u64) -> RefusedRequestRow {
    RefusedRequestRow { request_id: format!("req_{n}"), at: at(n as i64), source: "192.0.2.1".to_owned() }
}

both! {
    async fn refusals_are_counted_by_cause(store: Store) {
        told(&store, |tx| {
            let mut count = |cause, secs| tx.refusals_count(&refusal(cause, secs), &[]);
            let (expired, revoked) = (RefusalCause::Expired, RefusalCause::Revoked);
            assert_eq!((count(expired, 1)?, count(expired, 2)?, count(revoked, 3)?), (1, 2, 1));
            let rows = tx.refusals(&ticket_id(1))?;
            assert_eq!(rows[0], RefusalRow { count: 2, first_at: at(1), ..refusal(expired, 2) });
            assert_eq!(rows.len(), 2);
            let gathered = RefusalRow { count: 40, first_at: at(8), last_at: at(9), ..rows[0].clone() };
            assert_eq!(tx.refusals_count(&gathered, &[])?, 42);
            let expected = RefusalRow { count: 42, last_at: at(9), ..rows[0].clone() };
            assert_eq!(tx.refusals(&ticket_id(1))?[0], expected);
            assert_eq!(tx.refusals(&ticket_id(2))?, []);
            Ok(())
        })
        .await;
    }

    async fn the_last_requests_of_a_cause_are_found_by_what_their_machines_quote(store: Store) {
        told(&store, |tx| {
            tx.ticket_insert(&ticket(1, TicketKind::SiteKey))?;
            let mut ask = |first: u64, last: u64| {
                let requests: Vec<_> = (first..=last).map(request).collect();
                let count = last - first + 1;
                tx.refusals_count(&RefusalRow { count, ..refusal(RefusalCause::Expired, 1) }, &requests)
            };
            assert_eq!((ask(1, 1)?, ask(2, 3)?, ask(4, REQUESTS_KEPT + 1)?), (1, 3, REQUESTS_KEPT + 1));
            let mut find = |team, n: u64| tx.refused_requests(team_id(team), &format!("req_{n}"));
            let found = find(1, 2)?;
            assert_eq!((found.len(), &found[0].request), (1, &request(2)));
            assert_eq!((found[0].ticket_id, found[0].cause), (ticket_id(1), RefusalCause::Expired));
            assert_eq!(find(1, 1)?, [], "the oldest made place");
            assert_eq!(find(1, REQUESTS_KEPT + 1)?.len(), 1);
            assert_eq!(find(2, 2)?, [], "of another team");
            Ok(())
        })
        .await;
    }

    async fn revocations_are_read_in_order(store: Store) {
        told(&store, |tx| {
            assert_eq!(tx.revocations_last()?, 0);
            for subject in ["jkt:a", "host_b", "ticket:c"] {
                let number = tx.revocation_insert(team_id(1), subject, "retired", at(1))?;
                assert_eq!(tx.revocations_last()?, number);
            }
            let rows = tx.revocations_after(0, 2)?;
            let subjects: Vec<_> = rows.iter().map(|row| row.subject.as_str()).collect();
            assert_eq!(subjects, ["jkt:a", "host_b"]);
            let rest = tx.revocations_after(rows[1].seq, 9)?;
            assert_eq!((rest.len(), rest[0].subject.as_str()), (1, "ticket:c"));
            assert_eq!((rest[0].team_id, rest[0].reason.as_str(), rest[0].revoked_at), (team_id(1), "retired", at(1)));
            Ok(())
        })
        .await;
    }

    async fn a_key_keeps_its_first_reply(store: Store) {
        told(&store, |tx| {
            let row = |principal: &str, reply: u8| IdempotentReplyRow {
                principal: principal.to_owned(),
                key: "key-1".to_owned(),
                request: vec![1; 32],
                reply: vec![reply],
                created_at: at(1),
            };
            assert!(tx.idempotent_reply_insert(&row("user_a", 1))?);
            assert!(!tx.idempotent_reply_insert(&row("user_a", 2))?);
            assert!(tx.idempotent_reply_insert(&row("user_b", 3))?);
            assert_eq!(tx.idempotent_reply("user_a", "key-1")?, Some(row("user_a", 1)));
            assert_eq!(tx.idempotent_reply("user_a", "key-2")?, None);
            Ok::<_, StoreError>(())
        })
        .await;
    }
}
