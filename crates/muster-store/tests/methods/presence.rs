//! The narrow table of signs of life.

use muster_store::Store;
use muster_store::rows::{HostRow, PresenceRow};
use muster_wire::host::HostState;

use crate::backends::both;
use crate::rows::{at, host, host_id, host_key, key, site_id, team_id, told};

both! {
    async fn an_older_sign_never_replaces_a_newer_one(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.host_rows_insert(host_id(1), 0)?;
            tx.host_key_insert(&host_key(1, 1))?;
            let seq = tx.agent_by_key(&key(1))?.unwrap().seq;
            let sign = |secs, said_goodbye| PresenceRow { seq, seen_at: at(secs), said_goodbye };
            tx.presence_flush(&[sign(10, false), sign(20, true), sign(15, false)])?;
            let row = tx.presence_page(0, 10)?[0];
            assert_eq!((row.seq, row.seen_at, row.said_goodbye), (seq, Some(at(20)), true));
            assert_eq!((row.host_id, row.team_id, row.site_id), (host_id(1), team_id(1), site_id(1)));
            Ok(())
        })
        .await;
    }

    async fn active_hosts_are_watched_in_order_and_told_of_once(store: Store) {
        told(&store, |tx| {
            for n in 1..=4 {
                let state = if n == 3 { HostState::Suspended } else { HostState::Active };
                tx.host_insert(&HostRow { state, ..host(n) })?;
                tx.host_rows_insert(host_id(n.into()), 0)?;
            }
            let first = tx.presence_page(0, 2)?;
            assert_eq!(first.iter().map(|row| row.host_id).collect::<Vec<_>>(), [host_id(1), host_id(2)]);
            let rest = tx.presence_page(first[1].seq, 2)?;
            assert_eq!(rest.iter().map(|row| row.host_id).collect::<Vec<_>>(), [host_id(4)]);
            let seq = first[0].seq;
            assert!(!first[0].told_unreachable);
            assert!(!tx.presence_told(seq, false)?);
            assert!(tx.presence_told(seq, true)?);
            assert!(!tx.presence_told(seq, true)?);
            assert!(tx.presence_page(0, 1)?[0].told_unreachable);
            assert_eq!(tx.active_hosts_at_site(team_id(1), site_id(1))?, 3);
            assert_eq!(tx.active_hosts_at_site(team_id(2), site_id(1))?, 0);
            Ok(())
        })
        .await;
    }
}
