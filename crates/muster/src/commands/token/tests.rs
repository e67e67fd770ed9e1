use super::*;

#[test]
fn a_scope_is_a_permission_of_this_version() {
    assert_eq!(permission("see_fleet"), Ok(Permission::SeeFleet));
    let refused = permission("everything").unwrap_err();
    assert!(refused.contains("see_fleet, manage_sites"), "{refused}");
}

#[test]
fn a_row_shows_no_more_than_the_server_says() {
    let token = ApiToken {
        id: "0aB1cD2eF3gH".parse().unwrap(),
        user_id: "user_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5".parse().unwrap(),
        user_name: "Ada".to_owned(),
        name: None,
        scopes: None,
        team_id: None,
        status: muster_wire::token::ApiTokenStatus::Live,
        created_at: Timestamp::from_millis(0),
        expires_at: None,
        revoked_at: None,
        last_used_at: Some(Timestamp::from_millis(3_600_000)),
        last_used_from: Some("192.0.2.1".to_owned()),
    };
    let shown = row(&token, Timestamp::from_millis(3_605_000));
    assert_eq!(shown, ["0aB1cD2eF3gH", "", "Ada", "live", "all", "never", "5s ago", "192.0.2.1"]);
    let scoped = ApiToken { scopes: Some(vec![Permission::SeeFleet, Permission::RunJobs]), ..token };
    assert_eq!(scopes(&scoped), "see_fleet, run_jobs");
}
