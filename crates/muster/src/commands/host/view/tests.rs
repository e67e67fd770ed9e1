use super::*;

const HOST: &str = r#"{
    "id": "host_0192f0c1a2b37c4d8e5f60718293a4b1", "team_id": "team_0192f0c1a2b37c4d8e5f60718293a4b2",
    "site_id": "site_0192f0c1a2b37c4d8e5f60718293a4b3", "kind": "team", "name": "web\u001b[2J-1", "state": "active",
    "presence": {"status": "online", "last_seen_at": "2026-01-02T03:04:05.000Z"}, "door": 1, "disposition": "new",
    "provider": null, "zone": null, "tags": ["env=prod", "web"], "keys": [], "ticket_id": "0aB1cD2eF3gH",
    "reported": {
        "hostname": "web-1", "machine_uid": "smbios:00112233445566778899aabbccddeeff", "owns_uid": false,
        "facts": {"os": "Debian 12", "arch": "x86_64", "cpu_cores": 2, "memory_mb": 4096, "disk_gb": 40,
            "address": "10.0.0.7", "versions": {"agent": "0.1.0", "restic": "0.14.0"}},
        "labels": {"company": "ACME"}
    },
    "created_at": "2026-01-01T00:00:00.000Z", "enrolled_at": "2026-01-01T00:00:01.000Z", "retired_at": null
}"#;

fn host() -> Host {
    serde_json::from_str(HOST).expect("a host")
}

fn now() -> Timestamp {
    "2026-01-02T03:04:15.000Z".parse().expect("a moment")
}

#[test]
fn a_row_holds_no_control_character() {
    let sites = SiteNames(BTreeMap::from([(host().site_id, "berlin".to_owned())]));
    insta::assert_snapshot!(crate::output::table(&HEADER, [row(&host(), &sites, now())]));
}

#[test]
fn what_a_machine_says_of_itself_has_its_own_heading() {
    insta::assert_snapshot!(describe(&host(), &SiteNames::default(), now()));
}

#[test]
fn how_a_machine_is_and_what_it_lets_jobs_do_is_its_own_word_too() {
    let mut host = host();
    host.vitals = serde_json::from_str(
        r#"{"at": "2026-01-02T03:04:05.000Z", "load_percent": 107, "disk_free_gb": 12, "disk_free_percent": 30,
            "clock_ahead_ms": -1250}"#,
    )
    .expect("vitals");
    host.policy = Some(vec!["backup".parse().expect("a tag")]);
    host.policy_at = Some("2026-01-02T00:00:00.000Z".parse().expect("a moment"));
    insta::assert_snapshot!(describe(&host, &SiteNames::default(), now()));
    host.reported = None;
    host.vitals = None;
    host.policy = Some(Vec::new());
    let shown = describe(&host, &SiteNames::default(), now());
    let last = shown.lines().last().unwrap_or_default();
    assert_eq!(last.split_whitespace().collect::<Vec<_>>()[..4], ["Lets", "jobs", "do", "nothing,"]);
}
