//! What a restore ends.

use muster_store::rows::{ClaimRow, IdempotentReplyRow};
use muster_store::{Store, params};
use muster_wire::claim::ClaimState;
use muster_wire::ticket::TicketKind;

use crate::backends::both;
use crate::invitations::invitation;
use crate::rows::{at, claim, host, host_id, host_key, key, team_id, ticket, ticket_id, told};
use crate::web_sessions::sessions;

both! {
    async fn open_tickets_are_void_and_used_ones_stay_what_they_are(store: Store) {
        told(&store, |tx| {
            for n in 1..=5 {
                tx.ticket_insert(&ticket(n, TicketKind::EnrolmentToken))?;
            }
            let mut endless = ticket(6, TicketKind::SiteKey);
            endless.ticket.expires_at = None;
            tx.ticket_insert(&endless)?;
            // 1 is spent, 2 revoked, 3 expired, 4 held for a claim beyond its time, 5 and 6 are open.
            tx.execute(
                "UPDATE ticket SET spent_by_key = $1, spent_by_host = $2, spent_disposition = 'new' WHERE id = $3",
                params![key(1), host_id(1), ticket_id(1)],
            )?;
            tx.ticket_revoke(team_id(1), &ticket_id(2), at(1))?;
            tx.execute("UPDATE ticket SET expires_at = $1 WHERE id IN ($2, $3)",
                params![at(5), ticket_id(3), ticket_id(4)])?;
            assert!(tx.ticket_reserve(&ticket_id(4), &key(4))?);
            let mut void = tx.open_tickets_void(at(10))?;
            void.sort();
            let expected = [(4, TicketKind::EnrolmentToken), (5, TicketKind::EnrolmentToken), (6, TicketKind::SiteKey)];
            assert_eq!(void, expected.map(|(n, kind)| (ticket_id(n), kind)));
            assert!(tx.open_tickets_void(at(10))?.is_empty());
            let revoked = |row: muster_store::rows::TicketRow| row.ticket.revoked_at;
            assert_eq!(tx.ticket_by_id(&ticket_id(1))?.map(revoked), Some(None));
            assert_eq!(tx.ticket_by_id(&ticket_id(5))?.map(revoked), Some(Some(at(10))));
            assert!(tx.ticket_by_id(&ticket_id(4))?.unwrap().ticket.reserved_for.is_none());
            Ok(())
        })
        .await;
    }

    async fn c26_a_restore_with_the_clock_ahead_leaves_nothing_that_opens_later(store: Store) {
        told(&store, |tx| {
            // To this clock everything is over; to the right one nothing is.
            let (over, ahead) = (at(50), at(1000));
            for n in 1..=3 {
                tx.ticket_insert(&ticket(n, TicketKind::SiteKey))?;
            }
            tx.execute("UPDATE ticket SET expires_at = $1 WHERE id = $2", params![over, ticket_id(1)])?;
            tx.execute(
                "UPDATE ticket SET expires_at = NULL, rotated_out_at = $1 WHERE id = $2",
                params![over, ticket_id(2)],
            )?;
            tx.execute("UPDATE ticket SET expires_at = NULL WHERE id = $1", params![ticket_id(3)])?;
            sessions(tx, 2)?;
            tx.invitation_insert(&invitation(1))?;
            let told = tx.open_tickets_void(ahead)?;
            assert_eq!(told, [(ticket_id(3), TicketKind::SiteKey)], "what is over is not told of");
            assert_eq!((tx.open_invitations_void(ahead)?, tx.web_sessions_void(ahead)?), (0, 0));
            let open = tx.query_one(
                "SELECT (SELECT count(*) FROM ticket WHERE revoked_at IS NULL)
                      + (SELECT count(*) FROM invitation WHERE revoked_at IS NULL)
                      + (SELECT count(*) FROM web_session WHERE ended_at IS NULL)",
                params![],
                |row| row.get::<i64>(0),
            )?;
            assert_eq!(open, 0);
            Ok(())
        })
        .await;
    }

    async fn waiting_claims_close_unless_they_are_of_copies(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.claim_insert(&claim(1))?;
            tx.claim_insert(&ClaimRow { state: ClaimState::Rejected, ..claim(2) })?;
            tx.claim_insert(&ClaimRow { ticket_id: None, former_key: Some(key(9)), ..claim(3) })?;
            assert_eq!(tx.waiting_claims_void("restore", at(5))?, 1);
            let state = |tx: &mut muster_store::Tx<'_>, n| tx.claim(team_id(1), claim(n).id).map(|row| row.unwrap().state);
            assert_eq!(state(tx, 1)?, ClaimState::Closed);
            assert_eq!(state(tx, 2)?, ClaimState::Rejected);
            assert_eq!(state(tx, 3)?, ClaimState::Waiting);
            Ok(())
        })
        .await;
    }

    async fn configurations_go_on_in_another_epoch_and_the_rest_ends(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.host_key_insert(&host_key(1, 1))?;
            tx.host_rows_insert(host_id(1), 0)?;
            assert!(tx.host_config_bump(host_id(1), at(1))?);
            assert_eq!(tx.host_configs_begin_epoch(7, at(1))?, 1);
            let version = tx.host_config(host_id(1))?.unwrap().version;
            assert_eq!((version.epoch, version.n), (7, 2));
            assert_eq!(tx.host_keys_good()?, 1);
            let reply = IdempotentReplyRow {
                principal: "p".to_owned(),
                key: "k".to_owned(),
                request: vec![1],
                reply: vec![2],
                created_at: at(0),
            };
            assert!(tx.idempotent_reply_insert(&reply)?);
            assert_eq!(tx.idempotent_replies_void()?, 1);
            for voided in [
                tx.open_invitations_void(at(1))?,
                tx.web_sessions_void(at(1))?,
                tx.queued_jobs_void("restored", at(1))?,
                tx.operator_tokens_good(at(1))?,
            ] {
                assert_eq!(voided, 0);
            }
            tx.installation_set("fact", b"1")?;
            tx.installation_remove("fact")?;
            assert_eq!(tx.installation("fact")?, None);
            Ok(())
        })
        .await;
    }
}
