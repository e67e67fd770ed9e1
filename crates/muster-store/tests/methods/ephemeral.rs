//! Ephemeral hosts.

use muster_store::Store;
use muster_wire::host::HostState;

use crate::backends::both;
use crate::leaks::admitted;
use crate::rows::{at, host_id, team_id, told};

both! {
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
}
