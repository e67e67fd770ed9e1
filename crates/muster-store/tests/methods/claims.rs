//! Claims.

use muster_store::Store;
use muster_store::rows::{ClaimEnd, ClaimFilter, ClaimRow, WaitingClaim};
use muster_wire::claim::{ClaimReason, ClaimState};

use crate::backends::both;
use crate::rows::{at, claim, claim_id, host_id, key, site_id, team_id, ticket_id, told};

const REJECTED: ClaimEnd<'_> =
    ClaimEnd { from: ClaimState::Waiting, to: ClaimState::Rejected, by: "user_x", result: None };

fn waiting(n: u32) -> WaitingClaim {
    let row = claim(n);
    WaitingClaim {
        id: claim_id(n.into()),
        team_id: team_id(1),
        ticket_id: Some(ticket_id(1)),
        key: key(n),
        host_id: row.host_id,
        reason: row.reason,
    }
}

both! {
    async fn a_key_has_one_open_claim_at_a_site(store: Store) {
        told(&store, |tx| {
            assert!(tx.claim_insert(&claim(1))?);
            assert_eq!(tx.claim(team_id(1), claim_id(1))?, Some(claim(1)));
            assert_eq!(tx.claim(team_id(2), claim_id(1))?, None);
            let again = ClaimRow { id: claim_id(9), ..claim(1) };
            assert!(!tx.claim_insert(&again)?);
            let known = tx.claim_of_key(site_id(1), &key(1))?.unwrap();
            assert_eq!((known.id, known.ticket_id, known.state), (claim_id(1), Some(ticket_id(1)), ClaimState::Waiting));
            assert_eq!(tx.claim_of_key(site_id(2), &key(1))?, None);
            assert!(tx.claim_end(team_id(1), claim_id(1), REJECTED, at(1))?);
            assert_eq!(tx.claim_of_key(site_id(1), &key(1))?.unwrap().state, ClaimState::Rejected);
            assert!(!tx.claim_insert(&again)?, "rejected until it is cleared");
            let cleared = ClaimEnd { from: ClaimState::Rejected, to: ClaimState::Closed, ..REJECTED };
            assert!(tx.claim_end(team_id(1), claim_id(1), cleared, at(2))?);
            assert_eq!(tx.claim_of_key(site_id(1), &key(1))?, None);
            assert!(tx.claim_insert(&again)?);
            Ok(())
        })
        .await;
    }

    async fn a_claim_ends_once(store: Store) {
        told(&store, |tx| {
            tx.claim_insert(&claim(1))?;
            assert!(!tx.claim_end(team_id(2), claim_id(1), REJECTED, at(1))?);
            let new = ClaimEnd { to: ClaimState::New, result: Some(host_id(7)), ..REJECTED };
            assert!(tx.claim_end(team_id(1), claim_id(1), new, at(1))?);
            assert!(!tx.claim_end(team_id(1), claim_id(1), REJECTED, at(2))?);
            let ended = tx.claim(team_id(1), claim_id(1))?.unwrap();
            assert_eq!((ended.state, ended.decided_at), (ClaimState::New, Some(at(1))));
            assert_eq!((ended.decided_by.as_deref(), ended.result_host_id), (Some("user_x"), Some(host_id(7))));
            Ok(())
        })
        .await;
    }

    async fn waiting_claims_are_found_by_host_ticket_and_site(store: Store) {
        told(&store, |tx| {
            for n in 1..=3 {
                tx.claim_insert(&claim(n))?;
            }
            tx.claim_insert(&ClaimRow { host_id: None, ticket_id: Some(ticket_id(2)), ..claim(4) })?;
            tx.claim_end(team_id(1), claim_id(3), REJECTED, at(1))?;
            assert_eq!(tx.claims_on_host(team_id(1), host_id(1))?, [waiting(1), waiting(2)]);
            assert_eq!(tx.claims_on_host(team_id(2), host_id(1))?, []);
            assert_eq!(tx.claims_with_ticket(team_id(1), &ticket_id(1), 9)?, [waiting(1), waiting(2)]);
            assert_eq!(tx.claims_with_ticket(team_id(1), &ticket_id(1), 1)?, [waiting(1)]);
            assert_eq!(tx.claims_with_ticket(team_id(2), &ticket_id(1), 9)?, []);
            assert_eq!(tx.claims_at_site(site_id(1), 9)?, 3);
            assert_eq!(tx.claims_at_site(site_id(1), 2)?, 2);
            assert_eq!(tx.claims_at_site(site_id(2), 9)?, 0);
            assert!(tx.claim_waits_since(site_id(1), ClaimReason::Collision, at(-1))?);
            assert!(!tx.claim_waits_since(site_id(1), ClaimReason::Collision, at(0))?);
            assert!(!tx.claim_waits_since(site_id(1), ClaimReason::Surge, at(-1))?);
            Ok(())
        })
        .await;
    }

    async fn claims_are_listed_by_state_and_site(store: Store) {
        told(&store, |tx| {
            for n in 1..=3 {
                tx.claim_insert(&claim(n))?;
            }
            tx.claim_end(team_id(1), claim_id(2), REJECTED, at(1))?;
            let mut ids = |team: u128, filter, after: Option<u128>, limit| {
                let found = tx.claims(team_id(team), filter, after.map(claim_id), limit)?;
                Ok::<_, muster_store::StoreError>(
                    found.iter().map(|row| row.id.uuid().as_u128()).collect::<Vec<_>>(),
                )
            };
            let any = ClaimFilter::default();
            assert_eq!(ids(1, any, None, 9)?, [1, 2, 3]);
            assert_eq!(ids(1, any, Some(1), 1)?, [2]);
            assert_eq!(ids(1, ClaimFilter { state: Some(ClaimState::Waiting), ..any }, None, 9)?, [1, 3]);
            assert_eq!(ids(1, ClaimFilter { site_id: Some(site_id(2)), ..any }, None, 9)?, [0; 0]);
            assert_eq!(ids(2, any, None, 9)?, [0; 0]);
            Ok(())
        })
        .await;
    }

    async fn lapsed_claims_are_found_where_they_stand_in_the_way(store: Store) {
        told(&store, |tx| {
            tx.claim_insert(&claim(1))?;
            tx.claim_insert(&ClaimRow { ticket_id: Some(ticket_id(2)), ..claim(2) })?;
            let mut ids = |key_number, ticket, now| {
                let found = tx.claims_lapsed_at(site_id(1), &key(key_number), &ticket_id(ticket), now)?;
                Ok::<_, muster_store::StoreError>(
                    found.iter().map(|row| row.id.uuid().as_u128()).collect::<Vec<_>>(),
                )
            };
            assert_eq!(ids(1, 9, at(59))?, [0; 0]);
            assert_eq!(ids(1, 9, at(60))?, [1], "by its key");
            assert_eq!(ids(9, 2, at(60))?, [2], "by its ticket");
            assert_eq!(ids(9, 9, at(60))?, [0; 0]);
            Ok(())
        })
        .await;
    }
}
