//! What a leaked ticket admitted.

use muster_ids::Timestamp;
use muster_store::rows::LeakRow;
use muster_store::{Store, Tx};
use muster_wire::host::HostState;
use muster_wire::people::Role;
use muster_wire::ticket::TicketKind;

use crate::backends::both;
use crate::rows::{at, host, host_id, host_key, team_id, ticket, ticket_id, told};

/// Hosts 1 to `count`, admitted with ticket 1 at their second.
pub(crate) fn admitted(tx: &mut Tx<'_>, count: u32) -> Result<(), muster_store::StoreError> {
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
    async fn what_a_ticket_admitted_is_counted_and_paged_by_its_own_team(store: Store) {
        told(&store, |tx| {
            tx.ticket_insert(&ticket(1, TicketKind::SiteKey))?;
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
            tx.ticket_insert(&ticket(1, TicketKind::SiteKey))?;
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
