//! Rotated site keys, ephemeral hosts, and what a leaked ticket admitted.

use muster_domain::ticket::Rotation;
use muster_ids::Timestamp;
use muster_store::rows::{LeakRow, TicketFilter};
use muster_store::{Store, Tx};
use muster_wire::host::HostState;
use muster_wire::people::Role;
use muster_wire::ticket::{TicketKind, TicketStatus};

use crate::backends::both;
use crate::rows::{at, host, host_id, host_key, team_id, ticket, ticket_id, told};

const SITE_KEY: TicketKind = TicketKind::SiteKey;

fn rotation(to: u32, ends: i64) -> Rotation {
    Rotation { to: ticket_id(to), at: at(1), ends_at: at(ends) }
}

/// Hosts 1 to `count`, admitted with ticket 1 at their second.
fn admitted(tx: &mut Tx<'_>, count: u32) -> Result<(), muster_store::StoreError> {
    for n in 1..=count {
        tx.host_insert(&host(n))?;
        tx.host_rows_insert(host_id(n.into()), 1)?;
        tx.host_key_insert(&host_key(n, n))?;
    }
    Ok(())
}

fn leak() -> LeakRow {
    LeakRow {
        ticket_id: ticket_id(1),
        team_id: team_id(1),
        since: at(5),
        actor: "user_x".to_owned(),
        role: Some(Role::Owner),
        source: "192.0.2.1".to_owned(),
        reported_at: at(9),
        after_host: None,
    }
}

both! {
    async fn a_site_key_is_rotated_once_and_only_while_it_is_not_revoked(store: Store) {
        told(&store, |tx| {
            for n in 1..=3 {
                tx.ticket_insert(&ticket(n, SITE_KEY))?;
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
                let mut row = ticket(n, SITE_KEY);
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
                let filter = TicketFilter { kind: None, status: Some(status) };
                let rows = tx.tickets_shown(team_id(1), filter, None, 9, now)?;
                assert!(!rows.is_empty(), "{status:?}");
                assert!(rows.iter().all(|shown| shown.row.ticket.status(now) == status), "{status:?}");
            }
            Ok(())
        })
        .await;
    }

    async fn ephemeral_hosts_are_those_that_are_active(store: Store) {
        told(&store, |tx| {
            admitted(tx, 4)?;
            for n in 1..=3_u32 {
                assert!(tx.host_set_ephemeral(team_id(1), host_id(n.into()), n.into())?);
            }
            assert!(!tx.host_set_ephemeral(team_id(2), host_id(1), 9)?);
            assert!(tx.host_resumed(team_id(1), host_id(1), at(77))?);
            tx.host_move(team_id(1), host_id(2), HostState::Active, HostState::Suspended)?;
            let rows = tx.hosts_ephemeral(None, 9)?;
            let seen: Vec<_> = rows.iter().map(|row| (row.id, row.hours)).collect();
            assert_eq!(seen, [(host_id(1), 1), (host_id(3), 3)]);
            assert_eq!((rows[0].admitted_at, rows[0].resumed_at), (Some(at(1)), Some(at(77))));
            assert_eq!(tx.hosts_ephemeral(Some(host_id(1)), 9)?, rows[1..]);
            assert_eq!(tx.host_ephemeral(host_id(1))?, Some(rows[0]));
            assert_eq!((tx.host_ephemeral(host_id(2))?, tx.host_ephemeral(host_id(4))?), (None, None));
            assert_eq!(tx.host(team_id(1), host_id(3))?.unwrap().ephemeral_hours, Some(3));
            Ok(())
        })
        .await;
    }

    async fn what_a_ticket_admitted_is_counted_and_paged_by_its_own_team(store: Store) {
        told(&store, |tx| {
            tx.ticket_insert(&ticket(1, SITE_KEY))?;
            admitted(tx, 5)?;
            tx.host_move(team_id(1), host_id(2), HostState::Active, HostState::Suspended)?;
            let all = Timestamp::from_millis(0);
            let counts = tx.admitted_counts(team_id(1), &ticket_id(1), all)?;
            assert_eq!(counts, [(HostState::Active, 4), (HostState::Suspended, 1)]);
            assert_eq!(tx.admitted_counts(team_id(1), &ticket_id(1), at(4))?, [(HostState::Active, 2)]);
            assert_eq!(tx.admitted_counts(team_id(2), &ticket_id(1), all)?, []);
            let mut page = |after: Option<u128>, limit| {
                let rows = tx.hosts_admitted(team_id(1), &ticket_id(1), at(2), after.map(host_id), limit)?;
                Ok::<_, muster_store::StoreError>(rows.into_iter().map(|row| row.host_id).collect::<Vec<_>>())
            };
            assert_eq!(page(None, 2)?, [host_id(2), host_id(3)]);
            assert_eq!(page(Some(3), 9)?, [host_id(4), host_id(5)]);
            assert_eq!(tx.hosts_admitted(team_id(2), &ticket_id(1), all, None, 9)?, []);
            Ok(())
        })
        .await;
    }

    async fn a_leak_is_open_until_it_is_done_and_never_covers_less(store: Store) {
        told(&store, |tx| {
            tx.ticket_insert(&ticket(1, SITE_KEY))?;
            tx.leak_insert(&leak())?;
            assert_eq!(tx.leaks_open(9)?, [leak()]);
            tx.leak_went_on(&ticket_id(1), Some(host_id(3)), None)?;
            assert_eq!(tx.leak_open(&ticket_id(1))?.unwrap().after_host, Some(host_id(3)));
            tx.leak_insert(&LeakRow { since: at(8), ..leak() })?;
            assert_eq!(tx.leak_open(&ticket_id(1))?, Some(leak()), "from the beginning, and since as before");
            tx.leak_went_on(&ticket_id(1), Some(host_id(5)), Some(at(10)))?;
            assert_eq!((tx.leaks_open(9)?, tx.leak_open(&ticket_id(1))?), (vec![], None));
            tx.leak_insert(&LeakRow { since: at(8), ..leak() })?;
            assert_eq!(tx.leak_open(&ticket_id(1))?.unwrap().since, at(8));
            Ok(())
        })
        .await;
    }
}
