//! What is only added to: refusals, revocations, replies kept for a retry.

use muster_store::rows::{IdempotentReplyRow, RefusalRow};
use muster_store::{Store, StoreError};

use crate::backends::both;
use crate::rows::{at, team_id, ticket_id, told};

both! {
    async fn refusals_are_counted_by_cause(store: Store) {
        told(&store, |tx| {
            let mut count = |cause, secs: i64| {
                let source = format!("192.0.2.{secs}");
                tx.refusal_count(&ticket_id(1), cause, &source, "req_x", at(secs))
            };
            assert_eq!((count("expired", 1)?, count("expired", 2)?, count("revoked", 3)?), (1, 2, 1));
            let rows = tx.refusals(&ticket_id(1))?;
            assert_eq!(rows[0], RefusalRow {
                ticket_id: ticket_id(1),
                cause: "expired".to_owned(),
                count: 2,
                first_at: at(1),
                last_at: at(2),
                last_source: "192.0.2.2".to_owned(),
                last_request_id: "req_x".to_owned(),
            });
            assert_eq!(rows.len(), 2);
            let gathered = RefusalRow { count: 40, first_at: at(8), last_at: at(9), ..rows[0].clone() };
            assert_eq!(tx.refusals_count(&gathered)?, 42);
            let expected = RefusalRow { count: 42, last_at: at(9), ..rows[0].clone() };
            assert_eq!(tx.refusals(&ticket_id(1))?[0], expected);
            assert_eq!(tx.refusals(&ticket_id(2))?, []);
            Ok(())
        })
        .await;
    }

    async fn revocations_are_read_in_order(store: Store) {
        told(&store, |tx| {
            for subject in ["jkt:a", "host_b", "ticket:c"] {
                tx.revocation_insert(team_id(1), subject, "retired", at(1))?;
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
