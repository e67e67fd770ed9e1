//! What time takes away.

use muster_ids::SecretId;
use muster_store::rows::{ClaimRow, SecretRow};
use muster_store::{Store, StoreError, Tx};
use muster_wire::claim::ClaimState;
use muster_wire::ticket::TicketKind;
use uuid::Uuid;

use crate::backends::both;
use crate::rows::{at, claim, host, key, team_id, ticket, ticket_id, told};

fn carries(tx: &mut Tx<'_>, n: u32) -> Result<(), StoreError> {
    tx.ticket_insert(&ticket(n, TicketKind::EnrolmentToken))?;
    assert!(tx.secret_insert(&SecretRow {
        id: SecretId::from_uuid(Uuid::from_u128(n.into())),
        team_id: team_id(1),
        owner_kind: "ticket".to_owned(),
        owner_id: ticket_id(n).to_string(),
        name: "repo".to_owned(),
        version: 1,
        fields: Vec::new(),
        blob: vec![1],
        updated_at: at(0),
    })?);
    Ok(())
}

both! {
    async fn tickets_that_open_no_door_are_found_while_they_carry_secrets(store: Store) {
        told(&store, |tx| {
            for n in 1..=3 {
                carries(tx, n)?;
            }
            tx.ticket_insert(&ticket(4, TicketKind::EnrolmentToken))?;
            assert!(tx.tickets_with_leftovers(at(3599), 9)?.is_empty());
            tx.ticket_revoke(team_id(1), &ticket_id(1), at(1))?;
            assert_eq!(tx.tickets_with_leftovers(at(2), 9)?, [(team_id(1), ticket_id(1))]);
            assert!(!tx.ticket_may_open(&ticket_id(1), at(2))?);
            assert!(tx.ticket_may_open(&ticket_id(2), at(2))?);
            assert!(tx.ticket_reserve(&ticket_id(2), &key(7))?);
            let mut found = tx.tickets_with_leftovers(at(3600), 9)?;
            found.sort();
            assert_eq!(found, [(team_id(1), ticket_id(1)), (team_id(1), ticket_id(3))], "2 is held for a claim");
            assert!(tx.ticket_may_open(&ticket_id(2), at(3600))?);
            assert!(!tx.ticket_may_open(&ticket_id(3), at(3600))?);
            Ok(())
        })
        .await;
    }

    async fn a_claim_lapses_once_and_frees_its_ticket(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.ticket_insert(&ticket(1, TicketKind::EnrolmentToken))?;
            tx.claim_insert(&claim(1))?;
            tx.claim_insert(&ClaimRow { expires_at: at(90), ..claim(2) })?;
            tx.ticket_reserve(&ticket_id(1), &key(1))?;
            assert!(tx.claims_lapsed(at(59), 9)?.is_empty());
            let lapsed = tx.claims_lapsed(at(60), 9)?;
            assert_eq!((lapsed.len(), lapsed[0].id, lapsed[0].key), (1, claim(1).id, key(1)));
            assert_eq!(lapsed[0].host_id, claim(1).host_id);
            assert!(!tx.claim_lapse(&lapsed[0], at(59))?);
            assert!(tx.claim_lapse(&lapsed[0], at(60))?);
            assert!(!tx.claim_lapse(&lapsed[0], at(60))?);
            assert_eq!(tx.claim(team_id(1), claim(1).id)?.unwrap().state, ClaimState::Expired);
            assert!(!tx.ticket_free(&ticket_id(1), &key(2))?);
            assert!(tx.ticket_free(&ticket_id(1), &key(1))?);
            Ok(())
        })
        .await;
    }

    async fn old_replies_are_forgotten_in_batches(store: Store) {
        told(&store, |tx| {
            for n in 0..3 {
                tx.execute(
                    "INSERT INTO idempotent_reply (principal, key, request, reply, created_at)
                     VALUES ('p', $1, $2, $2, $3)",
                    muster_store::params![format!("k{n}"), vec![1_u8], at(n)],
                )?;
            }
            assert_eq!(tx.idempotent_replies_forget(at(2), 1)?, 1);
            assert_eq!(tx.idempotent_replies_forget(at(2), 9)?, 1);
            assert_eq!(tx.idempotent_replies_forget(at(2), 9)?, 0);
            Ok(())
        })
        .await;
    }
}
