//! Tickets.

use muster_domain::ticket::{Rotation, Spent};
use muster_ids::TicketId;
use muster_store::rows::{ShownTicket, TicketFilter, TicketRow};
use muster_store::{Store, StoreError, Tx};
use muster_wire::enroll::Disposition;
use muster_wire::page::Order;
use muster_wire::ticket::{TicketKind, TicketStatus};

use crate::backends::both;
use crate::rows::{at, host, host_id, host_key, key, site_id, team_id, ticket, ticket_id, told};

const ONE_TIME: TicketKind = TicketKind::EnrolmentToken;

fn spent(by: u32) -> Spent {
    Spent { by_key: key(by), by_host: host_id(1), disposition: Disposition::New }
}

fn rotation(to: u32, ends: i64) -> Rotation {
    Rotation { to: ticket_id(to), at: at(1), ends_at: at(ends) }
}

fn ids(shown: &[ShownTicket]) -> Vec<TicketId> {
    shown.iter().map(|shown| shown.row.ticket.id).collect()
}

both! {
    async fn a_ticket_is_read_back_as_it_was_minted(store: Store) {
        told(&store, |tx| {
            let mut row = ticket(1, ONE_TIME);
            row.ticket.max_uses = Some(9);
            tx.ticket_insert(&row)?;
            assert_eq!(tx.ticket_by_id(&ticket_id(1))?, Some(row.clone()));
            assert_eq!(tx.ticket_by_id(&ticket_id(2))?, None);
            let shown = tx.ticket_shown(team_id(1), &ticket_id(1))?.unwrap();
            assert_eq!((shown.row, shown.uses, shown.last_used_at), (row, 0, None));
            assert_eq!(tx.ticket_shown(team_id(2), &ticket_id(1))?, None);
            Ok(())
        })
        .await;
    }

    async fn a_one_time_ticket_is_spent_once_for_ever(store: Store) {
        told(&store, |tx| {
            tx.ticket_insert(&ticket(1, ONE_TIME))?;
            assert!(tx.ticket_spend(&ticket_id(1), &spent(1))?);
            assert!(!tx.ticket_spend(&ticket_id(1), &spent(2))?);
            assert!(!tx.ticket_spend(&ticket_id(1), &spent(1))?);
            let row = tx.ticket_by_id(&ticket_id(1))?.unwrap();
            assert_eq!((row.ticket.spent, row.ticket.uses), (Some(spent(1)), 1));
            assert!(!tx.ticket_reserve(&ticket_id(1), &key(2))?);
            Ok(())
        })
        .await;
    }

    async fn a_reserved_ticket_is_spent_by_its_key_only(store: Store) {
        told(&store, |tx| {
            tx.ticket_insert(&ticket(1, ONE_TIME))?;
            assert!(tx.ticket_reserve(&ticket_id(1), &key(1))?);
            assert!(tx.ticket_reserve(&ticket_id(1), &key(1))?);
            assert!(!tx.ticket_reserve(&ticket_id(1), &key(2))?);
            assert!(!tx.ticket_spend(&ticket_id(1), &spent(2))?);
            assert!(!tx.ticket_free(&ticket_id(1), &key(2))?);
            assert!(tx.ticket_free(&ticket_id(1), &key(1))?);
            assert!(tx.ticket_reserve(&ticket_id(1), &key(2))?);
            assert!(tx.ticket_spend(&ticket_id(1), &spent(2))?);
            assert_eq!(tx.ticket_by_id(&ticket_id(1))?.unwrap().ticket.reserved_for, None);
            Ok(())
        })
        .await;
    }

    async fn uses_are_counted_up_to_their_number(store: Store) {
        told(&store, |tx| {
            let mut row = ticket(1, TicketKind::SiteKey);
            row.ticket.max_uses = Some(2);
            tx.ticket_insert(&row)?;
            tx.ticket_insert(&ticket(2, TicketKind::SiteKey))?;
            assert!(tx.ticket_count_use(&ticket_id(1))?);
            assert!(tx.ticket_count_use(&ticket_id(1))?);
            assert!(!tx.ticket_count_use(&ticket_id(1))?);
            assert!(!tx.ticket_count_use(&ticket_id(2))?, "an unlimited ticket writes no row");
            Ok(())
        })
        .await;
    }

    async fn a_revoked_ticket_is_void_and_lets_go_of_its_key(store: Store) {
        told(&store, |tx| {
            let mut row = ticket(1, ONE_TIME);
            row.ticket.max_uses = Some(2);
            tx.ticket_insert(&row)?;
            tx.ticket_reserve(&ticket_id(1), &key(1))?;
            assert!(!tx.ticket_revoke(team_id(2), &ticket_id(1), at(1))?);
            assert!(tx.ticket_revoke(team_id(1), &ticket_id(1), at(1))?);
            assert!(!tx.ticket_revoke(team_id(1), &ticket_id(1), at(2))?);
            let ticket = tx.ticket_by_id(&ticket_id(1))?.unwrap().ticket;
            assert_eq!((ticket.revoked_at, ticket.reserved_for), (Some(at(1)), None));
            assert!(!tx.ticket_spend(&ticket_id(1), &spent(1))?);
            assert!(!tx.ticket_count_use(&ticket_id(1))?);
            Ok(())
        })
        .await;
    }

    async fn tickets_made_for_a_host_are_found_while_they_can_be_used(store: Store) {
        told(&store, |tx| {
            for n in 1..=4 {
                let mut row = ticket(n, TicketKind::RegistrationToken);
                row.ticket.host_id = Some(host_id(if n == 4 { 2 } else { 1 }));
                tx.ticket_insert(&row)?;
            }
            assert_eq!(tx.tickets_of_host(team_id(1), host_id(1))?, [1, 2, 3].map(ticket_id));
            tx.ticket_revoke(team_id(1), &ticket_id(1), at(1))?;
            tx.ticket_spend(&ticket_id(2), &spent(1))?;
            assert_eq!(tx.tickets_of_host(team_id(1), host_id(1))?, [ticket_id(3)]);
            assert_eq!(tx.tickets_of_host(team_id(2), host_id(1))?, []);
            Ok(())
        })
        .await;
    }

    async fn a_use_is_a_key_that_was_admitted(store: Store) {
        told(&store, |tx| {
            tx.ticket_insert(&ticket(1, TicketKind::SiteKey))?;
            for n in 1..=2 {
                tx.host_insert(&host(n))?;
                tx.host_key_insert(&host_key(n, n))?;
            }
            let shown = tx.ticket_shown(team_id(1), &ticket_id(1))?.unwrap();
            assert_eq!((shown.uses, shown.last_used_at), (2, Some(at(2))));
            assert_eq!(shown.last_host_id, Some(host_id(2)));
            Ok(())
        })
        .await;
    }

    async fn the_list_says_of_each_ticket_what_the_domain_says(store: Store) {
        told(&store, every_combination).await;
    }

    async fn the_list_goes_on_where_it_ended_from_either_end(store: Store) {
        told(&store, |tx| {
            for n in [3, 1, 2] {
                let kind = if n == 2 { ONE_TIME } else { TicketKind::SiteKey };
                tx.ticket_insert(&ticket(n, kind))?;
            }
            // Minted in the same moment: the id decides.
            tx.ticket_insert(&TicketRow { created_at: at(2), ..ticket(4, TicketKind::SiteKey) })?;
            let any = TicketFilter::default;
            let page = |tx: &mut Tx<'_>, order, after: Option<(i64, u32)>, limit| {
                let after = after.map(|(secs, n)| (at(secs), ticket_id(n)));
                Ok::<_, StoreError>(ids(&tx.tickets_shown(team_id(1), &any(), order, after, limit, at(0))?))
            };
            assert_eq!(page(tx, Order::Asc, None, 9)?, [1, 2, 4, 3].map(ticket_id), "as they were minted");
            assert_eq!(page(tx, Order::Asc, None, 2)?, [1, 2].map(ticket_id));
            assert_eq!(page(tx, Order::Asc, Some((2, 2)), 1)?, [ticket_id(4)]);
            assert_eq!(page(tx, Order::Asc, Some((3, 3)), 9)?, []);
            assert_eq!(page(tx, Order::Desc, None, 9)?, [3, 4, 2, 1].map(ticket_id), "the newest first");
            assert_eq!(page(tx, Order::Desc, None, 2)?, [3, 4].map(ticket_id));
            assert_eq!(page(tx, Order::Desc, Some((2, 4)), 1)?, [ticket_id(2)]);
            assert_eq!(page(tx, Order::Desc, Some((1, 1)), 9)?, []);
            for order in [Order::Asc, Order::Desc] {
                let of_door_1 = TicketFilter { kind: Some(ONE_TIME), ..any() };
                assert_eq!(ids(&tx.tickets_shown(team_id(1), &of_door_1, order, None, 9, at(0))?), [ticket_id(2)]);
                assert!(tx.tickets_shown(team_id(2), &any(), order, None, 9, at(0))?.is_empty());
            }
            Ok(())
        })
        .await;
    }

    async fn tickets_are_listed_by_site_and_by_several_statuses(store: Store) {
        told(&store, |tx| {
            for n in 1..=4 {
                let mut row = ticket(n, TicketKind::SiteKey);
                row.ticket.site_id = site_id(if n == 4 { 2 } else { 1 });
                tx.ticket_insert(&row)?;
            }
            tx.ticket_revoke(team_id(1), &ticket_id(1), at(1))?;
            tx.ticket_rotate(team_id(1), &ticket_id(2), &rotation(3, 9))?;
            let page = |tx: &mut Tx<'_>, filter: &TicketFilter| {
                let oldest = ids(&tx.tickets_shown(team_id(1), filter, Order::Asc, None, 9, at(5))?);
                let mut newest = ids(&tx.tickets_shown(team_id(1), filter, Order::Desc, None, 9, at(5))?);
                newest.reverse();
                assert_eq!(oldest, newest);
                Ok::<_, StoreError>(oldest)
            };
            let at_site = |n| TicketFilter { site_id: Some(site_id(n)), ..TicketFilter::default() };
            assert_eq!(page(tx, &at_site(1))?, [1, 2, 3].map(ticket_id));
            assert_eq!(page(tx, &at_site(2))?, [ticket_id(4)]);
            assert_eq!(page(tx, &at_site(3))?, []);
            let statuses = vec![TicketStatus::Rotated, TicketStatus::Revoked];
            assert_eq!(page(tx, &TicketFilter { statuses, ..TicketFilter::default() })?, [1, 2].map(ticket_id));
            // A word is not taken for another that it begins.
            let statuses = vec![TicketStatus::RotatedOut, TicketStatus::Open];
            assert_eq!(page(tx, &TicketFilter { statuses: statuses.clone(), ..at_site(1) })?, [ticket_id(3)]);
            assert_eq!(page(tx, &TicketFilter { statuses, ..TicketFilter::default() })?, [3, 4].map(ticket_id));
            Ok(())
        })
        .await;
    }

    async fn a_site_key_is_rotated_once_and_only_while_it_is_not_revoked(store: Store) {
        told(&store, |tx| {
            for n in 1..=3 {
                tx.ticket_insert(&ticket(n, TicketKind::SiteKey))?;
            }
            tx.ticket_insert(&ticket(4, TicketKind::EnrolmentToken))?;
            tx.ticket_revoke(team_id(1), &ticket_id(3), at(1))?;
            assert!(!tx.ticket_rotate(team_id(2), &ticket_id(1), &rotation(2, 9))?);
            assert!(tx.ticket_rotate(team_id(1), &ticket_id(1), &rotation(2, 9))?);
            assert!(!tx.ticket_rotate(team_id(1), &ticket_id(1), &rotation(3, 9))?);
            assert!(!tx.ticket_rotate(team_id(1), &ticket_id(3), &rotation(2, 9))?);
            assert!(!tx.ticket_rotate(team_id(1), &ticket_id(4), &rotation(2, 9))?);
            assert_eq!(tx.ticket_by_id(&ticket_id(1))?.unwrap().ticket.rotation, Some(rotation(2, 9)));
            assert_eq!(tx.ticket_by_id(&ticket_id(2))?.unwrap().ticket.rotation, None);
            Ok(())
        })
        .await;
    }

    async fn the_list_and_the_ticket_agree_on_where_a_ticket_stands(store: Store) {
        told(&store, |tx| {
            let now = at(100);
            for n in 1..=7 {
                let mut row = ticket(n, TicketKind::SiteKey);
                match n {
                    2 | 3 => (row.ticket.max_uses, row.ticket.uses) = (Some(2), u64::from(n)),
                    4 => row.ticket.expires_at = Some(now),
                    _ => {}
                }
                tx.ticket_insert(&row)?;
            }
            tx.ticket_rotate(team_id(1), &ticket_id(5), &rotation(6, 101))?;
            tx.ticket_rotate(team_id(1), &ticket_id(7), &rotation(6, 100))?;
            tx.ticket_revoke(team_id(1), &ticket_id(3), at(1))?;
            for status in [
                TicketStatus::Open, TicketStatus::UsedUp, TicketStatus::Expired, TicketStatus::Rotated,
                TicketStatus::RotatedOut, TicketStatus::Revoked,
            ] {
                let filter = TicketFilter { statuses: vec![status], ..TicketFilter::default() };
                let rows = tx.tickets_shown(team_id(1), &filter, Order::Asc, None, 9, now)?;
                assert!(!rows.is_empty(), "{status:?}");
                assert!(rows.iter().all(|shown| shown.row.ticket.status(now) == status), "{status:?}");
            }
            Ok(())
        })
        .await;
    }
}

/// The status in SQL and `Ticket::status` are one rule written twice: here they are compared.
fn every_combination(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    for n in 0..48_u32 {
        let mut row = ticket(n, ONE_TIME);
        row.ticket.revoked_at = (n & 1 != 0).then(|| at(1));
        row.ticket.expires_at = (n & 2 != 0).then(|| at(100));
        row.ticket.max_uses = (n & 4 != 0).then_some(1);
        tx.ticket_insert(&row)?;
        match n / 8 {
            1 => drop(tx.ticket_reserve(&row.ticket.id, &key(1))?),
            2 => drop(tx.ticket_spend(&row.ticket.id, &spent(1))?),
            3 => drop(tx.ticket_count_use(&row.ticket.id)?),
            _ => {}
        }
    }
    for now in [at(99), at(100)] {
        let mut seen = 0;
        for status in [
            TicketStatus::Open,
            TicketStatus::Reserved,
            TicketStatus::Spent,
            TicketStatus::UsedUp,
            TicketStatus::Expired,
            TicketStatus::Revoked,
        ] {
            let filter = TicketFilter { statuses: vec![status], ..TicketFilter::default() };
            for order in [Order::Asc, Order::Desc] {
                let found = tx.tickets_shown(team_id(1), &filter, order, None, 100, now)?;
                assert!(found.iter().all(|shown| shown.row.ticket.status(now) == status), "{status:?}");
                seen += found.len();
            }
        }
        assert_eq!(seen, 2 * 48, "each once, from either end");
    }
    Ok(())
}
