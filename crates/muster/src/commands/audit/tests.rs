use super::*;
use crate::output::table;

#[test]
fn a_row_says_who_did_what_to_what() {
    let entry: AuditEntry = serde_json::from_str(
        r#"{"id": "audit_0192f0c1a2b37c4d8e5f60718293a4b1", "position": 7,
            "team_id": "team_0192f0c1a2b37c4d8e5f60718293a4b4", "host_id": null, "at": "2026-01-02T03:04:05.678Z",
            "actor": "user_0192f0c1a2b37c4d8e5f60718293a4b2", "role": "operator", "source": "203.0.113.9", "action": "claim.decided",
            "target": "claim_0192f0c1a2b37c4d8e5f60718293a4b3", "outcome": "ok", "changed": [],
            "details": {"verdict": "new"}}"#,
    )
    .expect("an entry");
    insta::assert_snapshot!(table(&HEADER, [row(&entry)]));
}
