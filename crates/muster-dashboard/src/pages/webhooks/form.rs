//! `/webhooks/new` and `/webhooks/{id}/change`: the form of an endpoint, and its test before it is saved.

mod request;

use askama::Template;
use axum::response::Response;
use http::HeaderMap;
use muster_ids::EndpointId;
use muster_wire::endpoint::{Endpoint, EndpointKind, EndpointTested, MadeEndpoint};
use muster_wire::event::EventKind;
use muster_wire::notification::Day;
use muster_wire::page::Page;
use serde_json::json;

use super::ending::SecretPage;
use super::path_of;
use crate::form::Form;
use crate::path::Named;
use crate::refusal::{Refusal, Refused};
use crate::respond::see_other;
use crate::shell::Shell;
use crate::telling::KindGroup;
use crate::visit::{Answered, Visit};
use crate::words::webhooks as words;

#[derive(Template)]
#[template(path = "webhook_kinds.html")]
pub(crate) struct KindsPage {
    shell: Shell,
}

#[derive(Template)]
#[template(path = "webhook_form.html")]
pub(crate) struct FormPage {
    shell: Shell,
    kind: EndpointKind,
    /// What is changed; nothing yet, when one is made.
    endpoint: Option<Endpoint>,
    form: Form,
    groups: Vec<KindGroup>,
    once: String,
    refusal: Option<Refusal>,
    tested: Option<EndpointTested>,
}

/// `GET /webhooks/new`
pub(crate) async fn new(visit: Visit) -> Answered {
    match kind_of(visit.query.text("kind")) {
        Some(kind) => show(&visit, FormPage::new(visit.shell("Add"), kind, None, fresh())).await,
        None => visit.page(&KindsPage { shell: visit.shell("Add") }),
    }
}

/// `POST /webhooks`
pub(crate) async fn create(visit: Visit, form: Form) -> Answered {
    let Some(kind) = kind_of(form.raw("kind")) else {
        return Ok(see_other("/webhooks/new", &HeaderMap::new()));
    };
    let page = |form| FormPage::new(visit.shell("Add"), kind, None, form);
    if form.raw("do") == "test" {
        return test(&visit, kind, "/v1/endpoints/test", page(form)).await;
    }
    let body = request::create(kind, &form);
    match visit.api.post_once::<MadeEndpoint>("/v1/endpoints", &body, form.key().as_ref()).await {
        Ok(answer) => made(&visit, answer.body),
        Err(refusal) if refusal.is_of_form() => {
            show(&visit, FormPage { refusal: Some(refusal), ..page(form) }).await
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// `GET /webhooks/{endpoint_id}/change`
pub(crate) async fn change(visit: Visit, Named(id): Named<EndpointId>) -> Answered {
    let endpoint: Endpoint = visit.api.get(&path_of(id)).await?;
    let form = request::form_of(&endpoint);
    show(&visit, FormPage::new(visit.shell("Change"), endpoint.kind, Some(endpoint), form)).await
}

/// `POST /webhooks/{endpoint_id}/change`
pub(crate) async fn set(visit: Visit, Named(id): Named<EndpointId>, form: Form) -> Answered {
    let path = path_of(id);
    let endpoint: Endpoint = visit.api.get(&path).await?;
    let kind = endpoint.kind;
    let page = |form| FormPage::new(visit.shell("Change"), kind, Some(endpoint), form);
    if form.raw("do") == "test" {
        let path = if request::names_target(kind, &form) {
            "/v1/endpoints/test".to_owned()
        } else {
            format!("{path}/test")
        };
        return test(&visit, kind, &path, page(form)).await;
    }
    match visit.api.put::<Endpoint>(&path, &request::change(kind, &form)).await {
        Ok(endpoint) => Ok(see_other(&format!("/webhooks/{}?done=changed", endpoint.id), &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => {
            show(&visit, FormPage { refusal: Some(refusal), ..page(form) }).await
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Shows a webhook's secret once; what has none is shown itself.
fn made(visit: &Visit, made: MadeEndpoint) -> Result<Response, Refused> {
    match made.signing_secret {
        Some(secret) => {
            visit.page(&SecretPage::new(visit.shell("Signing secret"), &made.endpoint, secret, None))
        }
        None => Ok(see_other(&format!("/webhooks/{}?done=made", made.endpoint.id), &HeaderMap::new())),
    }
}

/// Sends a test message to what is typed, and shows the form again.
async fn test(visit: &Visit, kind: EndpointKind, path: &str, page: FormPage) -> Answered {
    let body = match path {
        "/v1/endpoints/test" => json!({ "target": request::target(kind, &page.form) }),
        _ => json!({}),
    };
    let page = match visit.api.post::<EndpointTested>(path, &body).await {
        Ok(tested) => FormPage { tested: Some(tested), ..page },
        Err(refusal) if refusal.is_of_form() => FormPage { refusal: Some(refusal), ..page },
        Err(refusal) => return Err(refusal.into()),
    };
    show(visit, page).await
}

async fn show(visit: &Visit, page: FormPage) -> Answered {
    let kinds: Page<EventKind> = visit.api.get("/v1/event-kinds").await?;
    let kinds = kinds.items.into_iter().map(|kind| (kind.kind, kind.says));
    visit.page(&FormPage { groups: KindGroup::of(kinds, 0), once: visit.once(), ..page })
}

fn kind_of(word: &str) -> Option<EndpointKind> {
    words::KINDS.into_iter().find(|kind| kind.as_str() == word)
}

/// What the form shows before anybody typed.
fn fresh() -> Form {
    Form::of(&[
        ("port", "587"),
        ("security", "starttls"),
        ("url_ntfy", "https://ntfy.sh"),
        ("group_for_secs", "60"),
        ("quiet_zone", "UTC"),
        ("urgent", "yes"),
    ])
}

impl KindsPage {
    fn kinds(&self) -> [(&'static str, &'static str, &'static str); 6] {
        words::KINDS.map(|kind| (kind.as_str(), words::kind(kind), words::kind_says(kind)))
    }
}

impl FormPage {
    fn new(shell: Shell, kind: EndpointKind, endpoint: Option<Endpoint>, form: Form) -> Self {
        let (groups, once) = (Vec::new(), String::new());
        Self { shell, kind, endpoint, form, groups, once, refusal: None, tested: None }
    }

    fn kind_name(&self) -> &'static str {
        words::kind(self.kind)
    }

    fn kind_says(&self) -> &'static str {
        words::kind_says(self.kind)
    }

    fn is(&self, kind: &str) -> bool {
        self.kind.as_str() == kind
    }

    fn is_for_people(&self) -> bool {
        !self.kind.is_for_programs()
    }

    /// The address a field of the target begins with.
    fn url(&self) -> &str {
        let typed = self.form.raw("url");
        if typed.is_empty() && self.is("ntfy") { self.form.raw("url_ntfy") } else { typed }
    }

    fn has(&self, name: &str, value: &str) -> bool {
        self.form.all(name).iter().any(|chosen| chosen == value)
    }

    /// Why a field does not hold.
    fn error(&self, pointer: &str) -> Option<String> {
        self.refusal.as_ref()?.of_field(pointer)
    }

    /// Why a field of the target does not hold.
    fn target_error(&self, field: &str) -> Option<String> {
        self.error(&format!("/target/{}/{field}", self.kind))
    }

    /// Why the target does not hold, when no field of it is at fault.
    fn whole_target_error(&self) -> Option<String> {
        let fields =
            ["url", "topic", "token", "room", "server", "port", "security", "from", "to", "user", "password"];
        let of_fields = fields.into_iter().any(|field| self.target_error(field).is_some());
        self.error("/target").filter(|_| !of_fields)
    }

    fn tested_says(&self, tested: &EndpointTested) -> String {
        words::tested(tested)
    }

    fn days(&self) -> [(&'static str, &'static str); 7] {
        Day::ALL.map(words::day)
    }

    fn paces(&self) -> Vec<(String, String)> {
        let mut paces: Vec<u64> = vec![0, 60, 300, 900, 3_600, 86_400];
        // What was set by another way is kept, not rounded.
        if let Ok(other) = self.form.raw("group_for_secs").parse::<u64>() {
            paces.push(other);
        }
        paces.sort_unstable();
        paces.dedup();
        let word = |seconds: u64| {
            if seconds == 0 { "one message for each, at once".to_owned() } else { words::gathered(seconds) }
        };
        paces.into_iter().map(|seconds| (seconds.to_string(), word(seconds))).collect()
    }

    fn action(&self) -> String {
        self.endpoint
            .as_ref()
            .map_or_else(|| "/webhooks".to_owned(), |endpoint| format!("/webhooks/{}/change", endpoint.id))
    }

    fn back(&self) -> String {
        self.endpoint
            .as_ref()
            .map_or_else(|| "/webhooks".to_owned(), |endpoint| format!("/webhooks/{}", endpoint.id))
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use muster_wire::happening::Happening;

    use super::*;
    use crate::pages::webhooks::tests::endpoint;
    use crate::samples::{self, HOSTILE};

    fn page(kind: EndpointKind, endpoint: Option<Endpoint>, form: Form) -> FormPage {
        let told = Happening::ALL.iter().filter(|kind| kind.is_told());
        let kinds = told.map(|kind| (kind.as_str().to_owned(), kind.says().to_owned()));
        FormPage {
            groups: KindGroup::of(kinds, 0),
            once: "once".to_owned(),
            ..FormPage::new(Shell::sample("Add", "/webhooks/new"), kind, endpoint, form)
        }
    }

    fn refused(pointer: &str, code: &str) -> Refusal {
        let problem = samples::of(json!({
            "type": "urn:muster:problem:invalid_request", "title": "Bad Request", "status": 400, "detail": "the request is not valid",
            "instance": "urn:muster:req_1", "code": "invalid_request", "errors": [{ "pointer": pointer, "code": code }],
        }));
        Refusal { status: StatusCode::BAD_REQUEST, problem: Some(problem), retry_after_secs: None }
    }

    #[test]
    fn how_somebody_is_told() {
        samples::check("webhook_kinds", &KindsPage { shell: Shell::sample("Add", "/webhooks/new") });
    }

    #[test]
    fn a_refused_form_keeps_what_was_typed() {
        let form = Form::of(&[("name", HOSTILE), ("url", "ftp://hooks.example"), ("events", "host.back")]);
        let mut page = page(EndpointKind::Webhook, None, form);
        page.refusal = Some(refused("/target/webhook/url", "malformed"));
        let html = page.render().unwrap();
        assert!(
            html.contains("value=\"ftp://hooks.example\"") && html.contains("This has not the right form.")
        );
        assert!(html.contains("value=\"host.back\" checked"), "{html}");
        samples::check("webhook_form", &page);
    }

    #[test]
    fn a_change_of_what_people_get_shows_what_it_is_now() {
        let endpoint = endpoint("email", &["host.unreachable"], None, None);
        let form = request::form_of(&endpoint);
        let mut page = page(EndpointKind::Email, Some(endpoint), form);
        page.tested = Some(samples::of(json!({ "delivered": true, "status": 250 })));
        let html = page.render().unwrap();
        assert!(
            html.contains("value=\"friday\" checked") && html.contains("value=\"600\" selected"),
            "{html}"
        );
        samples::check("webhook_change", &page);
    }

    #[test]
    fn what_is_wrong_with_no_field_is_said_of_the_whole() {
        let mut page = page(EndpointKind::Ntfy, None, fresh());
        page.refusal = Some(refused("/target", "malformed"));
        assert!(page.whole_target_error().is_some() && page.target_error("url").is_none());
        assert_eq!(page.url(), "https://ntfy.sh");
    }
}
