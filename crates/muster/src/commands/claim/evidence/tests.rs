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
