//! Many hosts at once.

use muster_store::rows::{InHandRow, LossRow};
use muster_store::{Lock, LockKey, Store};
use muster_wire::claim::ClaimReason;
use muster_wire::ticket::TicketKind;

use crate::backends::both;
use crate::rows::{NOW, claim, host, host_id, host_key, key, tag, team_id, ticket, ticket_id, told};

both! {
    async fn hosts_stand_as_they_are_and_foreign_ones_are_not_there(store: Store) {
        told(&store, |tx| {
            for n in [1, 2] {
                tx.host_insert(&host(n))?;
            }
            tx.host_tags_set(team_id(1), host_id(2), &[tag("b"), tag("a")])?;
            tx.execute("UPDATE host SET held_at = $1 WHERE id = $2", muster_store::params![NOW, host_id(2)])?;
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
}
