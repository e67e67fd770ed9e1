use super::*;

const KEY: &str = r#"{
    "name": "agk:0aB1cD2eF3gH", "kind": "agent_key", "state": "revoked",
    "created_by": "user_0192f0c1a2b37c4d8e5f60718293a4b1", "ticket_id": null,
    "created_at": "2026-01-02T03:04:05.000Z", "first_used_at": "2026-01-02T03:05:05.000Z",
    "last_used_at": "2026-01-03T03:04:05.000Z", "ended_at": "2026-01-04T03:04:05.000Z",
    "ended_by": "user_0192f0c1a2b37c4d8e5f60718293a4b2"
}"#;

fn key() -> HostKey {
    serde_json::from_str(KEY).expect("a key")
}

#[test]
fn a_key_says_who_made_and_who_ended_it() {
    let shown = describe(&key());
    for part in
        ["agk:0aB1cD2eF3gH", "revoked", "293a4b1", "2026-01-02 03:05:05Z", "2026-01-04 03:04:05Z by user_"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let ticket_id = Some("0aB1cD2eF3gH".parse().expect("a ticket"));
    let own = HostKey { created_by: None, ticket_id, state: HostKeyState::Active, ..key() };
    assert_eq!((made_by(&own).as_str(), ended(&own).as_str()), ("machine, ticket 0aB1cD2eF3gH", ""));
    assert_eq!(row(&own, own.created_at).len(), HEADER.len());
}

#[test]
fn a_minted_key_is_written_and_never_debugged() {
    let minted = MintedAgentKey { key: key(), token: "msa_0aB1cD2eF3gH_secret".to_owned() };
    assert!(describe_minted(&minted).ends_with("msa_0aB1cD2eF3gH_secret"));
    assert!(!format!("{minted:?}").contains("secret"));
}
