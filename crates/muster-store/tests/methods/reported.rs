//! What a machine says about itself, and what it said before.

use muster_store::rows::FACT_CHANGES_KEPT;
use muster_store::{Store, StoreError, Tx};
use muster_wire::channel::Report;
use muster_wire::overview::FactChange;

use crate::backends::both;
use crate::rows::{arrival, at, host, host_id, machine, tag, team_id, told};

fn report(hostname: &str) -> Report {
    Report {
        hostname: hostname.parse().unwrap(),
        facts: machine(1, 1).facts,
        config_version: None,
        config_digest: None,
        running: Vec::new(),
        policy: Default::default(),
        pins_issued_at: None,
    }
}

fn change(secs: i64, fact: &str, was: Option<&str>, is: Option<&str>) -> FactChange {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    FactChange { at: at(secs), fact: fact.to_owned(), was: owned(was), is: owned(is) }
}

fn policy(words: &[&str]) -> Report {
    let words = serde_json::to_value(words).unwrap();
    Report { policy: serde_json::from_value(words).unwrap(), ..report("m1") }
}

both! {
    async fn what_a_machine_reports_is_written_only_when_it_changed(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            assert!(tx.host_reported(host_id(1), &report("m1"), at(1))?, "its policy is news");
            assert!(!tx.host_reported(host_id(1), &report("m1"), at(2))?);
            assert!(tx.host_reported(host_id(1), &report("renamed"), at(3))?);
            assert!(!tx.host_reported(host_id(9), &report("m1"), at(3))?, "no such host");
            let arrival = tx.host(team_id(1), host_id(1))?.unwrap().arrival.unwrap();
            assert_eq!((arrival.hostname.as_str(), arrival.machine_uid), ("renamed", machine(1, 1).uid));
            assert_eq!(tx.platform_team_id()?, None);
            assert_eq!(tx.fact_changes(host_id(1))?, [change(3, "hostname", Some("m1"), Some("renamed"))]);
            Ok(())
        })
        .await;
    }

    async fn a_policy_is_kept_with_when_it_was_first_said(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            let shown = |tx: &mut Tx<'_>| -> Result<_, StoreError> {
                Ok(tx.host_shown(team_id(1), host_id(1))?.unwrap().policy)
            };
            assert_eq!(shown(tx)?, None);
            tx.host_reported(host_id(1), &policy(&["restore", "backup"]), at(1))?;
            tx.host_reported(host_id(1), &policy(&["restore", "backup"]), at(2))?;
            assert_eq!(shown(tx)?, Some((vec![tag("backup"), tag("restore")], at(1))));
            tx.host_reported(host_id(1), &policy(&[]), at(3))?;
            assert_eq!(shown(tx)?, Some((vec![], at(3))));
            let listed = tx.hosts_shown(team_id(1), &Default::default(), None, 9)?.remove(0);
            assert_eq!(listed.policy, Some((vec![], at(3))));
            Ok(())
        })
        .await;
    }

    async fn facts_that_change_at_the_door_are_kept_each_by_its_name(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            let mut news = machine(1, 1);
            news.facts = serde_json::from_str(
                r#"{"os":"Debian 13","arch":"x86_64","cpu_cores":2,"memory_mb":4096,"disk_gb":40,
                    "address":"10.0.0.7","versions":{"agent":"0.2.0"}}"#,
            )
            .unwrap();
            tx.host_refresh(team_id(1), host_id(1), &news.hostname, &news.facts, &news.labels, at(5))?;
            let expected = [
                change(5, "versions.agent", None, Some("0.2.0")),
                change(5, "os", Some("Debian 12"), Some("Debian 13")),
                change(5, "memory_mb", Some("2048"), Some("4096")),
                change(5, "address", None, Some("10.0.0.7")),
            ];
            assert_eq!(tx.fact_changes(host_id(1))?, expected);
            let active = muster_wire::host::HostState::Active;
            assert!(tx.host_arrive(team_id(1), host_id(1), active, &arrival(&machine(1, 1), true), at(6))?);
            let changes = tx.fact_changes(host_id(1))?;
            assert_eq!(changes.len(), 8);
            assert_eq!(changes[0], change(6, "versions.agent", Some("0.2.0"), None));
            assert_eq!(tx.fact_changes_drop(at(6), 3)?, 3);
            assert_eq!(tx.fact_changes_drop(at(6), 3)?, 1);
            assert_eq!(tx.fact_changes(host_id(1))?, changes[..4]);
            Ok(())
        })
        .await;
    }

    async fn only_the_last_changes_of_a_host_are_kept(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            for n in 0..FACT_CHANGES_KEPT + 20 {
                tx.host_reported(host_id(1), &report(&format!("m{n}-new")), at(n))?;
            }
            let changes = tx.fact_changes(host_id(1))?;
            assert_eq!(changes.len() as i64, FACT_CHANGES_KEPT);
            assert_eq!((changes[0].at, changes[99].at), (at(119), at(20)));
            assert_eq!(tx.fact_changes_drop(at(1000), 1000)?, 100, "what is not shown is not kept");
            Ok(())
        })
        .await;
    }
}
