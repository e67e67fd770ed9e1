//! Hosts.

use muster_store::rows::{HOSTS_LOOKED_AT, HostFilter, HostRow};
use muster_store::{Store, StoreError, Tx, params};
use muster_wire::host::{HostKind, HostState};
use muster_wire::ticket::TicketKind;

use crate::backends::both;
use crate::rows::{
    NOW, arrival, at, host, host_id, host_key, key, machine, site_id, tag, team_id, ticket, ticket_id, told,
};

/// So many hosts that one page does not look at one more: numbers 1 to 1000.
fn crowd(tx: &mut Tx<'_>, each: impl Fn(HostRow) -> HostRow) -> Result<(), StoreError> {
    for n in 1..=HOSTS_LOOKED_AT {
        assert!(tx.host_insert(&each(host(n as u32)))?);
    }
    Ok(())
}

/// The numbers of the hosts that a page shows, and of the last one it looked at if there may be more.
fn page(
    tx: &mut Tx<'_>,
    filter: &HostFilter,
    after: Option<u128>,
) -> Result<(Vec<u128>, Option<u128>), StoreError> {
    let number = |id: muster_ids::HostId| id.uuid().as_u128();
    let found = tx.hosts_shown(team_id(1), filter, after.map(host_id), 9)?;
    let through = tx.hosts_looked_through(team_id(1), filter, after.map(host_id))?;
    Ok((found.iter().map(|shown| number(shown.row.id)).collect(), through.map(number)))
}

both! {
    async fn a_host_is_read_back_as_it_was_made(store: Store) {
        told(&store, |tx| {
            let invited = muster_store::rows::HostRow {
                state: HostState::Invited,
                provider: Some("Hetzner".to_owned()),
                zone: Some("fsn1".to_owned()),
                arrival: None,
                enrolled_at: None,
                ..host(2)
            };
            for row in [host(1), invited] {
                assert!(tx.host_insert(&row)?);
                assert_eq!(tx.host(team_id(1), row.id)?, Some(row.clone()));
                assert_eq!(tx.host(team_id(2), row.id)?, None);
            }
            Ok(())
        })
        .await;
    }

    async fn a_uid_has_one_living_owner_in_a_team(store: Store) {
        told(&store, |tx| {
            let uid = machine(1, 1).uid;
            assert!(tx.host_insert(&host(1))?);
            assert!(!tx.host_insert(&muster_store::rows::HostRow { id: host_id(2), ..host(1) })?);
            let mut guest = host(2);
            guest.arrival = Some(arrival(&machine(2, 1), false));
            assert!(tx.host_insert(&guest)?, "a host that does not own the uid it reports");
            assert_eq!(tx.owner_of_uid(team_id(1), &uid)?, Some(host_id(1)));
            assert_eq!(tx.owner_of_uid(team_id(2), &uid)?, None);
            let elsewhere = muster_store::rows::HostRow { team_id: team_id(2), site_id: site_id(2), ..host(3) };
            let elsewhere = muster_store::rows::HostRow { arrival: host(1).arrival, ..elsewhere };
            assert!(tx.host_insert(&elsewhere)?, "another team knows nothing of it");
            Ok(())
        })
        .await;
    }

    async fn b21_a_retired_host_releases_its_uid_and_stays_as_a_tombstone(store: Store) {
        told(&store, |tx| {
            let uid = machine(1, 1).uid;
            tx.host_insert(&host(1))?;
            assert!(!tx.uid_was_released(team_id(1), &uid)?);
            assert!(!tx.host_retire(team_id(2), host_id(1), at(1))?);
            assert!(tx.host_retire(team_id(1), host_id(1), at(1))?);
            assert!(!tx.host_retire(team_id(1), host_id(1), at(2))?);
            let tombstone = tx.host(team_id(1), host_id(1))?.unwrap();
            assert_eq!((tombstone.state, tombstone.retired_at), (HostState::Retired, Some(at(1))));
            assert_eq!(tombstone.arrival.unwrap().machine_uid, uid);
            assert_eq!(tx.owner_of_uid(team_id(1), &uid)?, None);
            assert!(tx.uid_was_released(team_id(1), &uid)?);
            let mut guest = host(2);
            guest.arrival = Some(arrival(&machine(2, 9), false));
            tx.host_insert(&guest)?;
            tx.host_retire(team_id(1), host_id(2), at(1))?;
            assert!(!tx.uid_was_released(team_id(1), &machine(2, 9).uid)?, "it never owned it");
            Ok(())
        })
        .await;
    }

    async fn a_host_arrives_from_where_it_stands(store: Store) {
        told(&store, |tx| {
            let invited = muster_store::rows::HostRow {
                state: HostState::Invited,
                arrival: None,
                enrolled_at: None,
                ..host(1)
            };
            tx.host_insert(&invited)?;
            let (first, second) = (arrival(&machine(1, 1), true), arrival(&machine(2, 2), true));
            assert!(!tx.host_arrive(team_id(1), host_id(1), HostState::Active, &first, at(1))?);
            assert!(!tx.host_arrive(team_id(2), host_id(1), HostState::Invited, &first, at(1))?);
            assert!(tx.host_arrive(team_id(1), host_id(1), HostState::Invited, &first, at(1))?);
            assert!(tx.host_arrive(team_id(1), host_id(1), HostState::Active, &second, at(2))?);
            let row = tx.host(team_id(1), host_id(1))?.unwrap();
            assert_eq!((row.state, row.enrolled_at), (HostState::Active, Some(at(1))));
            assert_eq!(row.arrival, Some(second));
            Ok(())
        })
        .await;
    }

    async fn only_an_active_host_is_refreshed(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            let news = machine(7, 7);
            let refresh = |tx: &mut muster_store::Tx<'_>, team: u128| -> Result<bool, StoreError> {
                tx.host_refresh(team_id(team), host_id(1), &news.hostname, &news.facts, &news.labels, at(9))
            };
            assert!(!refresh(tx, 2)?);
            assert!(refresh(tx, 1)?);
            let arrival = tx.host(team_id(1), host_id(1))?.unwrap().arrival.unwrap();
            assert_eq!((arrival.hostname, arrival.machine_uid), (news.hostname.clone(), machine(1, 1).uid));
            assert!(tx.host_move(team_id(1), host_id(1), HostState::Active, HostState::Suspended)?);
            assert!(!tx.host_move(team_id(1), host_id(1), HostState::Active, HostState::Suspended)?);
            assert!(!tx.host_move(team_id(2), host_id(1), HostState::Suspended, HostState::Active)?);
            assert!(!refresh(tx, 1)?);
            Ok(())
        })
        .await;
    }

    async fn hosts_are_listed_by_what_is_known_of_them(store: Store) {
        told(&store, |tx| {
            for n in 1..=3 {
                tx.host_insert(&host(n))?;
                tx.host_rows_insert(host_id(n.into()), 0)?;
            }
            tx.host_insert(&muster_store::rows::HostRow { name: "Äpfel".to_owned(), ..host(4) })?;
            tx.host_key_insert(&host_key(1, 1))?;
            tx.host_tags_set(team_id(1), host_id(2), &[tag("b"), tag("a"), tag("b")])?;
            tx.host_move(team_id(1), host_id(3), HostState::Active, HostState::Suspended)?;
            let mut ids = |filter: HostFilter, after: Option<u128>, limit| {
                let found = tx.hosts_shown(team_id(1), &filter, after.map(host_id), limit)?;
                Ok::<_, StoreError>(found.iter().map(|shown| shown.row.id.uuid().as_u128()).collect::<Vec<_>>())
            };
            let any = HostFilter::default;
            assert_eq!(ids(any(), None, 9)?, [1, 2, 3, 4]);
            assert_eq!(ids(any(), Some(1), 2)?, [2, 3]);
            assert_eq!(ids(HostFilter { tag: Some(tag("a")), ..any() }, None, 9)?, [2]);
            assert_eq!(ids(HostFilter { state: Some(HostState::Suspended), ..any() }, None, 9)?, [3]);
            assert_eq!(ids(HostFilter { site_id: Some(site_id(2)), ..any() }, None, 9)?, [0; 0]);
            let prefix = |text: &str| HostFilter { search: Some(text.to_owned()), ..any() };
            assert_eq!(ids(prefix("hOsT "), None, 9)?, [1, 2, 3]);
            assert_eq!(ids(prefix("M3"), None, 9)?, [3], "the machine's own name");
            assert_eq!(ids(prefix("Äp"), None, 9)?, [4]);
            for data in ["%", "_", "h_st", "host%", "\"", "\\"] {
                assert_eq!(ids(prefix(data), None, 9)?, [0; 0], "{data}");
            }
            assert_eq!(ids(prefix("smbios:00000000"), None, 9)?, [1, 2, 3, 4]);
            assert_eq!(ids(prefix(&format!("{:032X}", 3)), None, 9)?, [3], "without its source");
            assert_eq!(ids(prefix("b"), None, 9)?, [2], "a tag of that name");
            assert_eq!(ids(HostFilter { site_id: Some(site_id(1)), ..prefix("b") }, None, 9)?, [2]);
            assert_eq!(ids(HostFilter { tag: Some(tag("a")), ..prefix("b") }, None, 9)?, [2]);
            assert_eq!(ids(HostFilter { door: Some(3), ..any() }, Some(1), 2)?, [2, 3]);
            assert_eq!(ids(HostFilter { door: Some(1), ..any() }, None, 9)?, [0; 0]);
            assert_eq!(ids(HostFilter { kind: Some(HostKind::Shared), ..any() }, None, 9)?, [0; 0]);
            assert_eq!(ids(HostFilter { kind: Some(HostKind::Team), held: Some(false), ..any() }, None, 9)?, [1, 2, 3, 4]);
            assert_eq!(ids(HostFilter { held: Some(true), ..any() }, None, 9)?, [0; 0]);
            let shown = tx.host_shown(team_id(1), host_id(1))?.unwrap();
            assert_eq!((shown.keys, shown.tags.len()), (vec![key(1)], 0));
            assert_eq!(shown.sign.unwrap().seen_at, None);
            assert_eq!(tx.host_shown(team_id(1), host_id(2))?.unwrap().tags, [tag("a"), tag("b")]);
            assert_eq!(tx.host_shown(team_id(2), host_id(1))?, None);
            tx.host_tags_set(team_id(1), host_id(2), &[tag("c")])?;
            tx.host_tags_add(team_id(1), host_id(2), &[tag("b"), tag("c")])?;
            assert!(tx.host_rename(team_id(1), host_id(2), "Renamed")?);
            assert!(!tx.host_rename(team_id(2), host_id(2), "Stolen")?);
            let shown = tx.host_shown(team_id(1), host_id(2))?.unwrap();
            assert_eq!((shown.tags, shown.row.name.as_str()), (vec![tag("b"), tag("c")], "Renamed"));
            Ok(())
        })
        .await;
    }

    async fn hosts_are_found_by_what_they_report_and_when_they_were_seen(store: Store) {
        told(&store, |tx| {
            for n in 1..=3 {
                let mut row = host(n);
                let facts = [
                    r#"{"os":"Debian 12","arch":"x86_64","cpu_cores":2,"memory_mb":2048,"disk_gb":40,"address":"192.0.2.17","versions":{"agent":"0.1.0-RC1"}}"#,
                    r#"{"os":"\",\"agent\":\"9\"","arch":"x86_64","cpu_cores":2,"memory_mb":2048,"disk_gb":40,"address":"2001:db8::1","versions":{"agent":"0.1.0-rc1","kernel":"9"}}"#,
                    r#"{"os":"Debian 12","arch":"x86_64","cpu_cores":2,"memory_mb":2048,"disk_gb":40}"#,
                ][n as usize - 1];
                row.arrival.as_mut().unwrap().facts = serde_json::from_str(facts).unwrap();
                tx.host_insert(&row)?;
                tx.host_rows_insert(row.id, 0)?;
            }
            for (n, seen_at) in [(1, at(10)), (2, at(20))] {
                tx.execute(
                    "UPDATE presence SET seen_at = $1 WHERE host_id = $2",
                    muster_store::params![seen_at, host_id(n)],
                )?;
            }
            tx.execute("UPDATE host SET held_at = 5 WHERE id = $1", muster_store::params![host_id(3)])?;
            let mut ids = |filter: HostFilter| {
                let found = tx.hosts_shown(team_id(1), &filter, None, 9)?;
                Ok::<_, StoreError>(found.iter().map(|shown| shown.row.id.uuid().as_u128()).collect::<Vec<_>>())
            };
            let any = HostFilter::default;
            let search = |text: &str| HostFilter { search: Some(text.to_owned()), ..any() };
            assert_eq!(ids(search("192.0.2."))?, [1]);
            assert_eq!(ids(search("2001:DB8:"))?, [2]);
            assert_eq!(ids(search("92.0"))?, [0; 0]);
            let version = |text: &str| HostFilter { agent_version: Some(text.to_owned()), ..any() };
            assert_eq!(ids(version("0.1.0-RC1"))?, [1]);
            assert_eq!(ids(version("0.1.0-rc1"))?, [2], "a version is what it is");
            assert_eq!(ids(version("0.1.0"))?, [0; 0]);
            assert_eq!(ids(version("9"))?, [0; 0], "no value pretends to be a field");
            assert_eq!(ids(HostFilter { seen_before: Some(at(20)), ..any() })?, [1]);
            assert_eq!(ids(HostFilter { seen_after: Some(at(20)), ..any() })?, [2]);
            assert_eq!(ids(HostFilter { seen_after: Some(at(1)), seen_before: Some(at(99)), ..any() })?, [1, 2]);
            assert_eq!(ids(HostFilter { held: Some(true), site_id: Some(site_id(1)), ..any() })?, [3]);
            Ok(())
        })
        .await;
    }

    async fn a_name_finds_its_host_behind_any_number_of_others(store: Store) {
        told(&store, |tx| {
            crowd(tx, |row| HostRow { name: "twin".to_owned(), ..row })?;
            let last = HOSTS_LOOKED_AT as u32 + 1;
            tx.host_insert(&host(last))?;
            tx.host_tags_set(team_id(1), host_id(last.into()), &[tag("lab")])?;
            tx.host_insert(&HostRow { name: "twin".to_owned(), state: HostState::Suspended, ..host(last + 1) })?;
            let (last, any) = (u128::from(last), HostFilter::default);
            let named = |name: &str| HostFilter { name: Some(name.to_owned()), ..any() };
            let alone = (vec![last], None);
            assert_eq!(page(tx, &named("Host 1001"), None)?, alone);
            let active = HostFilter { state: Some(HostState::Active), ..named("Host 1001") };
            assert_eq!(page(tx, &active, None)?, alone);
            let filter = HostFilter { tag: Some(tag("lab")), site_id: Some(site_id(1)), ..named("Host 1001") };
            assert_eq!(page(tx, &filter, None)?, alone);
            assert_eq!(page(tx, &filter, Some(last))?, (vec![], None));
            assert_eq!(tx.hosts_shown(team_id(2), &named("Host 1001"), None, 9)?.len(), 0);
            for other in [
                named("host 1001"),
                named("Host 100"),
                HostFilter { tag: Some(tag("other")), ..named("Host 1001") },
                HostFilter { site_id: Some(site_id(2)), ..named("Host 1001") },
            ] {
                assert_eq!(page(tx, &other, None)?, (vec![], None), "{other:?}");
            }
            let twins = HostFilter { state: Some(HostState::Suspended), ..named("twin") };
            assert_eq!(page(tx, &twins, None)?, (vec![], Some(last - 1)), "of many of one name some at a time");
            assert_eq!(page(tx, &twins, Some(last - 1))?, (vec![last + 1], None));
            Ok(())
        })
        .await;
    }

    async fn a_search_for_a_tag_at_a_site_finds_what_stands_there_whoever_has_it_elsewhere(store: Store) {
        told(&store, |tx| {
            crowd(tx, |row| HostRow { site_id: site_id(2), ..row })?;
            let here = HOSTS_LOOKED_AT as u32 + 1;
            tx.host_insert(&host(here))?;
            tx.execute("INSERT INTO host_tag (host_id, team_id, tag) SELECT id, team_id, 'web' FROM host", params![])?;
            let search = HostFilter { search: Some("web".to_owned()), ..HostFilter::default() };
            let at_site = HostFilter { site_id: Some(site_id(1)), ..search };
            assert_eq!(page(tx, &at_site, None)?, (vec![u128::from(here)], None));
            Ok(())
        })
        .await;
    }

    async fn arrivals_are_counted_up_to_a_limit(store: Store) {
        told(&store, |tx| {
            for n in 1..=3 {
                let enrolled_at = Some(at(n.into()));
                tx.host_insert(&muster_store::rows::HostRow { enrolled_at, ..host(n) })?;
            }
            assert_eq!(tx.arrivals_since(site_id(1), NOW, 9)?, 3);
            assert_eq!(tx.arrivals_since(site_id(1), NOW, 2)?, 2);
            assert_eq!(tx.arrivals_since(site_id(1), at(2), 9)?, 1);
            assert_eq!(tx.arrivals_since(site_id(2), NOW, 9)?, 0);
            Ok(())
        })
        .await;
    }

    async fn the_door_sees_a_host_as_it_stands(store: Store) {
        told(&store, |tx| {
            assert_eq!(tx.host_view(host_id(1))?, None);
            tx.host_insert(&host(1))?;
            tx.host_rows_insert(host_id(1), 0)?;
            tx.host_key_insert(&host_key(5, 1))?;
            let view = tx.host_view(host_id(1))?.unwrap();
            assert_eq!((view.team_id, view.site_id, view.state), (team_id(1), site_id(1), HostState::Active));
            assert_eq!((view.seen_at, view.ever_connected), (Some(at(5)), false));
            assert!(!view.holds_secret && !view.last_key_revoked_by_person);
            let person = format!("user_{}", "0".repeat(32));
            tx.host_key_end(&key(5), muster_store::rows::KeyState::Revoked, &person, at(6))?;
            assert!(tx.host_view(host_id(1))?.unwrap().last_key_revoked_by_person);
            tx.host_key_insert(&host_key(6, 1))?;
            assert!(!tx.host_view(host_id(1))?.unwrap().last_key_revoked_by_person);
            // Of two agent keys the newest is the last: what a person took away is not forgotten over an older one.
            tx.host_key_insert(&host_key(7, 1))?;
            tx.host_key_end(&key(6), muster_store::rows::KeyState::Revoked, &person, at(8))?;
            assert!(!tx.host_view(host_id(1))?.unwrap().last_key_revoked_by_person, "rotation");
            tx.host_key_insert(&host_key(8, 1))?;
            tx.host_key_end(&key(8), muster_store::rows::KeyState::Revoked, &person, at(9))?;
            assert!(tx.host_view(host_id(1))?.unwrap().last_key_revoked_by_person);
            Ok(())
        })
        .await;
    }

    async fn a_living_host_moves_with_the_tickets_it_has_not_used(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            let of_host = |n| {
                let mut row = ticket(n, TicketKind::RegistrationToken);
                row.ticket.host_id = Some(host_id(1));
                row
            };
            tx.ticket_insert(&of_host(1))?;
            tx.ticket_insert(&of_host(2))?;
            tx.ticket_revoke(team_id(1), &ticket_id(2), at(1))?;
            assert!(!tx.host_relocate(team_id(2), host_id(1), site_id(1), site_id(2))?);
            assert!(!tx.host_relocate(team_id(1), host_id(1), site_id(2), site_id(1))?);
            assert!(tx.host_relocate(team_id(1), host_id(1), site_id(1), site_id(2))?);
            assert_eq!(tx.host(team_id(1), host_id(1))?.unwrap().site_id, site_id(2));
            assert_eq!(tx.ticket_by_id(&ticket_id(1))?.unwrap().ticket.site_id, site_id(2));
            assert_eq!(tx.ticket_by_id(&ticket_id(2))?.unwrap().ticket.site_id, site_id(1));
            assert!(tx.host_retire(team_id(1), host_id(1), at(2))?);
            assert!(!tx.host_relocate(team_id(1), host_id(1), site_id(2), site_id(1))?);
            assert!(!tx.host_admit(team_id(1), host_id(1), at(3))?);
            tx.host_insert(&muster_store::rows::HostRow {
                state: HostState::Invited,
                arrival: None,
                enrolled_at: None,
                ..host(2)
            })?;
            assert!(!tx.host_admit(team_id(2), host_id(2), at(3))?);
            assert!(tx.host_admit(team_id(1), host_id(2), at(3))?);
            let admitted = tx.host(team_id(1), host_id(2))?.unwrap();
            assert_eq!((admitted.state, admitted.enrolled_at), (HostState::Active, Some(at(3))));
            Ok(())
        })
        .await;
    }
}
