use http::StatusCode;

use super::*;
use crate::pages::tickets::admits::tests::admits;
use crate::query::Query;
use crate::samples;

fn typed(query: &str) -> Typed {
    Typed::of_query(&Query::parse(query), TicketKind::EnrolmentToken)
}

fn page(query: &str) -> AddPage {
    AddPage::new(Shell::sample("Add a host", "/hosts/add"), typed(query), vec![samples::site()], &|_| true)
}

fn preview(query: &str, admits: Admits) -> PreviewPage {
    PreviewPage {
        shell: Shell::sample("Add a host", "/hosts/add/preview"),
        typed: typed(query),
        site: "Bremen".to_owned(),
        admits,
        once: "once".to_owned(),
        may_give_secrets: true,
        repo_url: String::new(),
        repo_user: String::new(),
        refusal: None,
    }
}

fn refusal(pointer: &str) -> Refusal {
    let problem = samples::of(json!({
        "type": "urn:muster:problem:invalid_request", "title": "Bad Request", "status": 400,
        "detail": "the request does not hold", "instance": "urn:muster:req_1", "code": "invalid_request",
        "errors": [{ "pointer": pointer, "code": "too_long" }],
    }));
    Refusal { status: StatusCode::BAD_REQUEST, problem: Some(problem), retry_after_secs: None }
}

#[test]
fn the_form_of_a_one_time_token() {
    samples::check("add_host", &page("host_name=%3Cscript%3Ealert(1)%3C/script%3E&tags=web+eu"));
}

#[test]
fn the_form_of_an_invitation() {
    samples::check("add_host_invite", &page("door=2"));
}

#[test]
fn the_form_of_a_site_key() {
    samples::check("add_host_site_key", &page("door=3"));
}

#[test]
fn what_it_will_admit_is_shown_before_it_is_made() {
    let page = preview("door=1&host_name=web-01&tags=web", admits("enrolment_token"));
    samples::check("add_host_preview", &page);
}

#[test]
fn an_invitation_says_what_will_be_made() {
    let admits = Admits::of_invitation(admits("enrolment_token").explanation);
    let page = preview("door=2&host_name=db-1&provider=hetzner", admits);
    samples::check("add_host_preview_invite", &page);
    let html = page.render().unwrap();
    assert!(html.contains("becomes the invited host") && !html.contains("becomes a new host"));
}

#[test]
fn a_role_that_may_not_is_told_whom_to_ask() {
    let shell = Shell::sample("Add a host", "/hosts/add");
    let page = AddPage::new(shell, typed(""), vec![samples::site()], &|_| false);
    let html = page.render().unwrap();
    assert!(html.contains("Ask an owner of your team") && !html.contains("action=\"/hosts/add/preview\""));
}

#[test]
fn a_team_without_a_site_makes_one_first() {
    let shell = Shell::sample("Add a host", "/hosts/add");
    let page = AddPage::new(shell, typed(""), Vec::new(), &|_| true);
    assert!(page.render().unwrap().contains("/sites/add"));
}

#[test]
fn a_refused_field_says_why_beside_it_and_keeps_what_was_typed() {
    let mut page = page("host_name=long-name");
    page.refusal = Some(refusal("/enrolment_token/host_name"));
    let html = page.render().unwrap();
    assert!(html.contains("This is too long.") && html.contains("long-name"));
    let mut page = preview("door=1", admits("enrolment_token"));
    page.refusal = Some(refusal("/secrets/repo/url"));
    assert!(page.render().unwrap().contains("This is too long."));
}

#[test]
fn what_was_typed_becomes_the_request_of_its_door() {
    let all = "host_name=a&site_id=s&tags=x,y+z&life=900&max_uses=5&ephemeral_hours=48&provider=p&zone=q";
    let expected = json!({ "require_key": false, "site_id": "s", "host_name": "a", "tags": ["x", "y", "z"],
        "expires_in_secs": 900, "ephemeral_hours": 48 });
    assert_eq!(typed(all).request(), expected);
    let expected = json!({ "require_key": false, "site_id": "s", "name": "a", "provider": "p", "zone": "q",
        "tags": ["x", "y", "z"], "expires_in_secs": 900, "ephemeral_hours": 48 });
    assert_eq!(typed(&format!("door=2&{all}")).request(), expected);
    let expected = json!({ "require_key": true, "site_id": "s", "max_uses": "many" });
    assert_eq!(typed("door=3&site_id=s&max_uses=many&require_key=on").request(), expected);
}

#[test]
fn secrets_are_what_was_typed_and_never_shown_again() {
    assert_eq!(secrets(&Form::of(&[("repo_url", " ")])), None);
    let form =
        Form::of(&[("repo_url", "rest:https://b.example/x"), ("repo_password", " p "), ("repo_user", "")]);
    let expected = json!({ "repo": { "url": "rest:https://b.example/x", "password": " p " } });
    assert_eq!(secrets(&form), Some(expected));
    let html = preview("door=1", admits("enrolment_token")).render().unwrap();
    assert!(html.contains("name=\"repo_password\" type=\"password\" autocomplete=\"off\">"));
}

#[test]
fn one_may_go_back_and_change_what_was_typed() {
    assert_eq!(
        typed("door=3&site_id=s&require_key=on").edit_path(),
        "/hosts/add?door=3&site_id=s&require_key=on"
    );
}
