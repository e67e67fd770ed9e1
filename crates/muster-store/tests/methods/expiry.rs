//! What time takes away.

use muster_domain::ticket::Rotation;
use muster_ids::SecretId;
use muster_store::rows::{ClaimRow, OperatorTokenRow, SecretRow, TicketFilter};
use muster_store::{Store, StoreError, Tx, params};
use muster_wire::claim::ClaimState;
use muster_wire::page::Order;
use muster_wire::ticket::{TicketKind, TicketStatus};
use uuid::Uuid;

use crate::backends::both;
use crate::invitations::invitation;
use crate::operator_tokens::token;
use crate::rows::{at, claim, host, key, team_id, ticket, ticket_id, told, user_id};
use crate::web_sessions::sessions;

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

    async fn c08_a_ticket_that_lapsed_is_ended_as_of_then_and_one_that_is_held_is_not(store: Store) {
        told(&store, |tx| {
            for n in 1..=4 {
                tx.ticket_insert(&ticket(n, TicketKind::SiteKey))?;
            }
            tx.ticket_revoke(team_id(1), &ticket_id(1), at(1))?;
            assert!(tx.ticket_reserve(&ticket_id(2), &key(7))?);
            let rotation = Rotation { to: ticket_id(9), at: at(1), ends_at: at(50) };
            assert!(tx.ticket_rotate(team_id(1), &ticket_id(3), &rotation)?);
            assert!(tx.tickets_lapsed(at(49), 9)?.is_empty());
            assert_eq!(tx.tickets_lapsed(at(50), 9)?, [ticket_id(3)]);
            assert!(tx.ticket_lapse(&ticket_id(3), at(50))?);
            assert_eq!(tx.tickets_lapsed(at(3600), 9)?, [ticket_id(4)], "2 is held for a claim");
            assert!(!tx.ticket_lapse(&ticket_id(2), at(3600))?);
            assert!(tx.ticket_lapse(&ticket_id(4), at(3700))?);
            assert!(!tx.ticket_lapse(&ticket_id(4), at(3700))?);
            for (n, status, revoked_at) in
                [(3, TicketStatus::RotatedOut, 50), (4, TicketStatus::Expired, 3600), (1, TicketStatus::Revoked, 1)]
            {
                let row = tx.ticket_by_id(&ticket_id(n))?.unwrap();
                // By a clock that was set back.
                assert_eq!((row.ticket.status(at(2)), row.ticket.revoked_at), (status, Some(at(revoked_at))), "{n}");
                let filter = TicketFilter { statuses: vec![status], ..TicketFilter::default() };
                let found = tx.tickets_shown(team_id(1), &filter, Order::Asc, None, 9, at(2))?;
                assert_eq!(found.iter().map(|shown| shown.row.ticket.id).collect::<Vec<_>>(), [ticket_id(n)]);
            }
            // A claim that came while it was good may still be decided; not by one that a person ended.
            tx.execute("UPDATE ticket SET max_uses = 5", params![])?;
            assert_eq!([1, 3, 4].map(|n| tx.ticket_count_use(&ticket_id(n)).unwrap()), [false, true, true]);
            // Somebody may still revoke it, or make the next key of it.
            assert!(tx.ticket_rotate(team_id(1), &ticket_id(4), &rotation)?);
            assert!(tx.ticket_revoke(team_id(1), &ticket_id(3), at(4000))?);
            Ok(())
        })
        .await;
    }

    async fn c08_credentials_that_lapsed_are_ended(store: Store) {
        told(&store, |tx| {
            sessions(tx, 2)?;
            for n in 1..=3 {
                tx.invitation_insert(&invitation(n))?;
                tx.operator_token_insert(&OperatorTokenRow { bound_team_id: None, ..token(n, 1) })?;
            }
            tx.execute("UPDATE web_session SET expires_at = $1, seen_at = $1", params![at(500)])?;
            tx.execute("UPDATE invitation SET revoked_at = $1 WHERE name = 'guest 3'", params![at(7)])?;
            tx.execute("UPDATE operator_token SET expires_at = NULL WHERE name = 'token 2'", params![])?;
            let ended = |tx: &mut Tx<'_>| {
                tx.query_one(
                    "SELECT (SELECT count(*) FROM invitation WHERE revoked_at = expires_at),
                            (SELECT count(*) FROM operator_token WHERE revoked_at = expires_at),
                            (SELECT count(*) FROM web_session WHERE ended_at IS NOT NULL)",
                    params![],
                    |row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?, row.get::<i64>(2)?)),
                )
            };
            assert_eq!(tx.credentials_lapse(at(99), at(0), 9)?, 0);
            assert_eq!((tx.credentials_lapse(at(101), at(0), 1)?, ended(tx)?), (1, (1, 1, 0)));
            assert_eq!((tx.credentials_lapse(at(102), at(500), 9)?, ended(tx)?), (2, (2, 2, 2)), "idle sessions");
            assert_eq!(tx.credentials_lapse(at(499), at(500), 9)?, 0);
            // Somebody may still revoke it, and what it made with it.
            let row = tx.operator_token(team_id(1), &token(1, 1).id)?.map(|row| row.revoked_at);
            assert_eq!(row, Some(Some(at(100))));
            assert!(tx.operator_token_revoke(user_id(1), &token(1, 1).id, at(499))?);
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
