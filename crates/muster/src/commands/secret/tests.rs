use super::*;
use crate::output::table;

const SECRET: &str = r#"{
    "id": "secret_0192f0c1a2b37c4d8e5f60718293a4b1", "name": "repo", "version": 2, "fields": ["password", "url"],
    "updated_at": "2026-01-02T03:04:05.000Z", "exposed": true,
    "deliveries": [{"version": 1, "key": "agk:0aB1cD2eF3gH", "delivered_at": "2026-01-02T03:04:06.000Z"}]
}"#;

fn secret() -> SecretMetadata {
    serde_json::from_str(SECRET).expect("a secret")
}

#[test]
fn an_older_version_is_no_delivery_of_this_one() {
    let mut secret = secret();
    assert_eq!(delivered(&secret), "version 1 only");
    secret.version = 1;
    assert_eq!(delivered(&secret), "2026-01-02 03:04:06Z");
    secret.deliveries.clear();
    assert_eq!(delivered(&secret), "no");
}

#[test]
fn names_and_versions_are_shown() {
    insta::assert_snapshot!(table(
        &["NAME", "VERSION", "FIELDS", "CHANGED", "DELIVERED", "EXPOSED"],
        [row(&secret())]
    ));
    insta::assert_snapshot!(describe(&secret()));
}
