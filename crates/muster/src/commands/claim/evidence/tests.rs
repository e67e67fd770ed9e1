use super::*;

const CLAIM: &str = r#"{
    "id": "claim_0192f0c1a2b37c4d8e5f60718293a4b1", "site_id": "site_0192f0c1a2b37c4d8e5f60718293a4b2",
    "reason": "collision", "state": "waiting", "verdicts": ["replace", "new", "reject"],
    "machine": {
        "hostname": "web-1", "machine_uid": "smbios:00112233445566778899aabbccddeeff", "key": "agk:0aB1cD2eF3gH",
        "facts": {"os": "Debian 12", "arch": "x86_64", "cpu_cores": 2, "memory_mb": 4096, "disk_gb": 40},
        "labels": {}, "source_address": "203.0.113.9", "ticket_id": "0aB1cD2eF3gH"
    },
    "contested": {
        "id": "host_0192f0c1a2b37c4d8e5f60718293a4b3", "name": "web-1", "state": "active", "presence": "online",
        "last_seen_at": "2026-01-02T03:04:05.000Z", "hostname": "web-1",
        "site_id": "site_0192f0c1a2b37c4d8e5f60718293a4b2", "keys": ["agk:1aB1cD2eF3gH"], "secrets": ["repo"]
    },
    "differences": [{"fact": "os", "host": "Debian 11\u001b[31m", "machine": "Debian 12"}],
    "evidence_version": "ev-7", "created_at": "2026-01-02T03:05:05.000Z", "expires_at": "2026-01-09T03:05:05.000Z",
    "decided_at": null, "result_host_id": null
}"#;

fn claim() -> Claim {
    serde_json::from_str(CLAIM).expect("a claim")
}

#[test]
fn the_machine_stands_beside_the_host_it_contests() {
    insta::assert_snapshot!(describe(&claim()));
}

#[test]
fn a_claim_without_contest_shows_the_machine_alone() {
    let claim = Claim { contested: None, differences: Vec::new(), reason: ClaimReason::Approval, ..claim() };
    insta::assert_snapshot!(describe(&claim));
}

/// A copy found out by the channel: with a key of its own, and before it made one.
fn copy(key: &str, verdicts: &str) -> Claim {
    let mut copy: serde_json::Value = serde_json::from_str(CLAIM).expect("a claim");
    copy["reason"] = "clone".into();
    copy["verdicts"] = serde_json::from_str(verdicts).expect("verdicts");
    copy["differences"] = serde_json::json!([]);
    copy["machine"]["ticket_id"] = serde_json::Value::Null;
    copy["machine"]["key"] = key.into();
    copy["machine"]["former_key"] = "agk:1aB1cD2eF3gH".into();
    copy["sighting"] = serde_json::json!({
        "cause": "generation_stale", "consequence": "held", "shown": {"epoch": 0, "counter": 4},
        "known": {"epoch": 1, "counter": 9}, "boot_id": "boot-a", "holder_boot_id": "boot-b",
        "source": "203.0.113.9", "holder_source": null, "holder_connected": false,
        "holder_seen_at": "2026-01-01T01:02:03.000Z", "at": "2026-01-02T03:05:05.000Z"
    });
    serde_json::from_value(copy).expect("a copy")
}

#[test]
fn a_copy_is_told_in_words_with_both_sides() {
    insta::assert_snapshot!(describe(&copy("agk:2aB1cD2eF3gH", r#"["replace", "new", "reject"]"#)));
}

#[test]
fn a_copy_without_a_key_can_only_be_rejected_and_that_is_said() {
    insta::assert_snapshot!(describe(&copy("agk:1aB1cD2eF3gH", r#"["reject"]"#)));
}
