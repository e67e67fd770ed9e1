use std::collections::BTreeMap;

use http::StatusCode;
use muster_wire::problem::FieldError;

use super::*;

fn refused(status: u16, code: &str, retry_after_secs: Option<u64>) -> Failure {
    let problem = ProblemBody {
        kind: format!("urn:muster:problem:{code}"),
        title: "title".into(),
        status,
        detail: "it did not work".into(),
        instance: "urn:muster:req_0192f0c1a2b37c4d8e5f60718293a4b5".into(),
        code: code.into(),
        errors: Vec::new(),
        extensions: BTreeMap::new(),
    };
    let status = StatusCode::from_u16(status).expect("a status");
    ApiError::Refused { status, problem: Some(Box::new(problem)), retry_after_secs }.into()
}

#[test]
fn a_refusal_says_cause_request_and_next_step() {
    let failure = refused(401, "unauthorized", None);
    assert_eq!(
        failure.to_string(),
        "error: it did not work [unauthorized, req_0192f0c1a2b37c4d8e5f60718293a4b5]\n \
         next: run `muster login` with a valid token, or ask an admin for one"
    );
    assert_eq!(failure.exit(), Exit::Failed);
}

#[test]
fn every_refusal_has_a_next_step() {
    let cases = [
        (404, "not_found", "--team"),
        (409, "claim_stale", "muster claim show"),
        (409, "preview_stale", "preview"),
        (409, "something_new", "current state"),
        (410, "already_configured", "muster login"),
        (403, "wrong_setup_code", "--code-file"),
        (500, "internal", "req_0192f0c1a2b37c4d8e5f60718293a4b5"),
        (418, "teapot", "--help"),
        (409, "own_role", "another admin"),
        (409, "last_admin", "people invite"),
        (409, "host_has_key_pair", "--rejoin"),
    ];
    for (status, code, expected) in cases {
        let next_step = refused(status, code, None).next_step.expect("a next step");
        assert!(next_step.contains(expected), "{code}: {next_step}");
    }
}

#[test]
fn a_busy_server_says_when_to_come_back() {
    assert_eq!(refused(503, "unavailable", Some(7)).next_step.as_deref(), Some("try again in 7 s"));
    assert_eq!(refused(429, "too_many_requests", None).next_step.as_deref(), Some("try again later"));
}

#[test]
fn a_command_may_know_better() {
    let failure =
        refused(409, "claim_stale", None).advise("claim_stale", "look again").advise("gone", "never");
    assert_eq!(failure.next_step.as_deref(), Some("look again"));
}

#[test]
fn fields_at_fault_are_named_and_escaped() {
    let problem = ProblemBody {
        kind: String::new(),
        title: String::new(),
        status: 422,
        detail: "the request has fields that do not hold".into(),
        instance: "urn:muster:req_1".into(),
        code: "validation".into(),
        errors: vec![FieldError { pointer: "/na\u{1b}[2Jme".into(), code: "too_long".into() }],
        extensions: BTreeMap::new(),
    };
    let cause = of_problem(&problem, None).cause;
    assert_eq!(
        cause,
        "the request has fields that do not hold: /na\\u{1b}[2Jme too_long [validation, req_1]"
    );
}

#[test]
fn a_field_at_fault_may_know_better() {
    let next_step = |pointer: &str, code: &str| {
        let failure = ProblemBody {
            kind: String::new(),
            title: String::new(),
            status: 422,
            detail: "the request has fields that do not hold".into(),
            instance: "urn:muster:req_1".into(),
            code: "validation".into(),
            errors: vec![FieldError { pointer: pointer.into(), code: code.into() }],
            extensions: BTreeMap::new(),
        };
        of_problem(&failure, None).next_step.expect("a next step")
    };
    assert!(next_step("/new", "too_short").contains("15 characters"));
    assert!(next_step("/name", "too_short").contains("--help"));
    assert!(next_step("/target/webhook/url", "address_not_allowed").contains("--allow-outbound"));
    assert!(next_step("/role", "does_not_fit_team").contains("owner"));
}

#[test]
fn a_server_that_is_not_there_ends_with_three() {
    let source = io::Error::from(io::ErrorKind::ConnectionRefused);
    let failure: Failure = DialError::Refused { authority: "127.0.0.1:8600".into(), source }.into();
    assert_eq!(failure.exit(), Exit::Unreachable);
    assert_eq!(
        failure.to_string(),
        "error: cannot connect to 127.0.0.1:8600\n next: is `muster serve` running there? start it, or name another \
         server with --url"
    );
    let plain: Failure = DialError::PlainHttp { authority: "example.com:80".into() }.into();
    assert_eq!(plain.exit(), Exit::Usage);
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let failure: Failure = io::Error::from(io::ErrorKind::BrokenPipe).into();
    assert_eq!(failure.exit(), Exit::ClosedPipe);
}
