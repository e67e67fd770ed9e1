use super::*;

#[test]
fn the_preview_names_what_is_lost() {
    let preview: RetirementPreview = serde_json::from_str(
        r#"{"host_id": "host_0192f0c1a2b37c4d8e5f60718293a4b1", "name": "web-1", "connected": true,
            "keys": ["agk:0aB1cD2eF3gH"], "secrets": [], "open_jobs": 2, "open_claims": 0, "preview_version": "v"}"#,
    )
    .expect("a preview");
    insta::assert_snapshot!(describe(&preview));
}
