//! The form of an endpoint as a request of the API, and back.

use muster_wire::endpoint::{Endpoint, EndpointKind};
use serde_json::{Map, Value, json};

use crate::form::Form;
use crate::words::webhooks as words;

/// The fields that say where an endpoint is.
const fn fields(kind: EndpointKind) -> &'static [&'static str] {
    match kind {
        EndpointKind::Webhook | EndpointKind::Slack | EndpointKind::Teams => &["url"],
        EndpointKind::Email => &["server", "from", "to", "user", "password"],
        EndpointKind::Ntfy => &["url", "topic", "token"],
        EndpointKind::Matrix => &["url", "room", "token"],
    }
}

/// Whether the form says where the endpoint is: a change without it leaves that as it was.
pub(super) fn names_target(kind: EndpointKind, form: &Form) -> bool {
    fields(kind).iter().any(|field| form.text(field).is_some())
}

/// Returns where the endpoint is. What is not filled in is not there, and the API says what it needs.
pub(super) fn target(kind: EndpointKind, form: &Form) -> Value {
    let mut config = Map::new();
    for field in fields(kind) {
        if let Some(text) = form.text(field) {
            config.insert((*field).to_owned(), text.into());
        }
    }
    if kind == EndpointKind::Email {
        if config.contains_key("to") {
            config.insert("to".to_owned(), form.words("to").into());
        }
        if let Some(port) = form.number("port") {
            config.insert("port".to_owned(), port);
        }
        config.insert("security".to_owned(), form.raw("security").into());
        // The API says it when a password begins or ends with a space: nothing is cut off it here.
        if config.contains_key("password") {
            config.insert("password".to_owned(), form.raw("password").into());
        }
    }
    json!({ kind.as_str(): config })
}

/// Returns the request that makes an endpoint.
pub(super) fn create(kind: EndpointKind, form: &Form) -> Value {
    let mut request = settings(kind, form);
    request.insert("target".to_owned(), target(kind, form));
    Value::Object(request)
}

/// Returns the request that changes an endpoint.
pub(super) fn change(kind: EndpointKind, form: &Form) -> Value {
    let mut request = settings(kind, form);
    if names_target(kind, form) {
        request.insert("target".to_owned(), target(kind, form));
    }
    Value::Object(request)
}

fn settings(kind: EndpointKind, form: &Form) -> Map<String, Value> {
    let mut request = Map::new();
    request.insert("name".to_owned(), form.raw("name").trim().into());
    request.insert("events".to_owned(), form.all("events").into());
    if kind.is_for_programs() {
        return request;
    }
    if let Some(seconds) = form.number("group_for_secs") {
        request.insert("group_for_secs".to_owned(), seconds);
    }
    if form.is_ticked("quiet") {
        let hours = json!({
            "from": form.raw("quiet_from"), "to": form.raw("quiet_to"), "time_zone": form.raw("quiet_zone").trim(),
            "days": form.all("quiet_day"), "urgent_breaks_quiet": form.is_ticked("urgent"),
        });
        request.insert("quiet_hours".to_owned(), hours);
    }
    request
}

/// Returns what the form shows of an endpoint: never where it is, which the API does not tell.
pub(super) fn form_of(endpoint: &Endpoint) -> Form {
    let pace = endpoint.group_for_secs.to_string();
    let mut fields =
        vec![("name", endpoint.name.as_str()), ("group_for_secs", &pace), ("security", "starttls")];
    fields.extend(endpoint.events.iter().map(|kind| ("events", kind.as_str())));
    let hours = endpoint.quiet_hours.as_ref();
    let (from, to, zone) = hours.map_or_else(
        || (String::new(), String::new(), "UTC".to_owned()),
        |hours| (hours.from.to_string(), hours.to.to_string(), hours.time_zone.to_string()),
    );
    fields.extend([("quiet_from", from.as_str()), ("quiet_to", &to), ("quiet_zone", &zone)]);
    if let Some(hours) = hours {
        fields.push(("quiet", "yes"));
        fields.extend(hours.days.iter().map(|day| ("quiet_day", words::day(*day).0)));
    }
    if hours.is_none_or(|hours| hours.urgent_breaks_quiet) {
        fields.push(("urgent", "yes"));
    }
    Form::of(&fields)
}

#[cfg(test)]
mod tests {
    use muster_wire::endpoint::{CreateEndpoint, SetEndpoint};

    use super::*;
    use crate::pages::webhooks::tests::endpoint;
    use crate::samples;

    fn filled(kind: EndpointKind) -> Form {
        let targets: &[(&str, &str)] = match kind {
            EndpointKind::Webhook | EndpointKind::Slack | EndpointKind::Teams => {
                &[("url", "https://hooks.example/in")]
            }
            EndpointKind::Email => &[
                ("server", "mail.example"),
                ("port", "587"),
                ("security", "starttls"),
                ("from", "muster@example.com"),
                ("to", "ada@example.com, bob@example.com"),
                ("user", "muster"),
                ("password", "secret"),
            ],
            EndpointKind::Ntfy => &[("url", "https://ntfy.sh"), ("topic", "fleet")],
            EndpointKind::Matrix => {
                &[("url", "https://matrix.example"), ("room", "!room:example"), ("token", "abc")]
            }
        };
        let settings = [
            ("name", " Ops "),
            ("events", "host.back"),
            ("events", "claim.opened"),
            ("group_for_secs", "300"),
            ("quiet", "yes"),
            ("quiet_from", "22:00"),
            ("quiet_to", "06:00"),
            ("quiet_zone", "Europe/Berlin"),
            ("quiet_day", "monday"),
        ];
        Form::of(&[targets, settings.as_slice()].concat())
    }

    #[test]
    fn every_kind_of_form_is_a_request_the_api_understands() {
        for kind in words::KINDS {
            let request: CreateEndpoint = samples::of(create(kind, &filled(kind)));
            assert_eq!(request.target.kind(), kind);
            assert_eq!(request.name.as_str(), "Ops");
            assert_eq!(request.quiet_hours.is_some(), !kind.is_for_programs(), "{kind}");
        }
        let email = target(EndpointKind::Email, &filled(EndpointKind::Email));
        let spaced = target(EndpointKind::Email, &Form::of(&[("password", " secret ")]));
        assert_eq!(spaced["email"]["password"], " secret ");
        assert_eq!(email["email"]["to"], json!(["ada@example.com", "bob@example.com"]));
    }

    #[test]
    fn a_change_that_names_no_target_leaves_it_and_keeps_the_rest() {
        let before = endpoint("email", &["host.unreachable"], None, None);
        let request: SetEndpoint = samples::of(
            // The hostile name of the sample is a fair one, too.
            change(EndpointKind::Email, &form_of(&before)),
        );
        assert!(request.target.is_none());
        assert_eq!(request.quiet_hours, before.quiet_hours);
        assert_eq!(request.group_for_secs.map(|secs| secs.get()), Some(before.group_for_secs));
        assert_eq!(request.events.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(), ["host.unreachable"]);
    }
}
