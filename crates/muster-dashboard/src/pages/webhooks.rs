//! `/webhooks`: who hears of events, whether it arrives, and what was delivered.

pub(crate) mod detail;
pub(crate) mod ending;
pub(crate) mod form;

use askama::Template;
use futures_util::future::join_all;
use muster_ids::EndpointId;
use muster_wire::endpoint::{Endpoint, EventDelivery};
use muster_wire::page::Page;

use crate::markup::{self, Markup};
use crate::query::Query;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::telling::label;
use crate::visit::{Answered, Visit};
use crate::words::webhooks as words;

const LIST: &[&str] = &["limit", "cursor"];

#[derive(Template)]
#[template(path = "webhooks.html")]
pub(crate) struct WebhooksPage {
    shell: Shell,
    rows: Vec<Row>,
    done: Option<&'static str>,
    next: Option<String>,
    first: Option<String>,
}

/// An endpoint with its last delivery.
pub(crate) struct Row {
    endpoint: Endpoint,
    last: Option<EventDelivery>,
}

/// `GET /webhooks`
pub(crate) async fn list(visit: Visit) -> Answered {
    let path = visit.query.only(LIST).on("/v1/endpoints");
    let endpoints: Page<Endpoint> = visit.api.get(&path).await?;
    let logs = join_all(endpoints.items.iter().map(|endpoint| last(&visit, endpoint.id))).await;
    let rows = endpoints.items.into_iter().zip(logs);
    let rows: Result<Vec<Row>, Refusal> =
        rows.map(|(endpoint, last)| Ok(Row { endpoint, last: last? })).collect();
    visit.page(&WebhooksPage::new(visit.shell("Webhooks"), &visit.query, rows?, endpoints.next_cursor))
}

/// Returns the last delivery of an endpoint, if there is one; it may have been removed meanwhile.
async fn last(visit: &Visit, id: EndpointId) -> Result<Option<EventDelivery>, Refusal> {
    let log: Option<Page<EventDelivery>> =
        visit.api.get_if_shown(&format!("/v1/endpoints/{id}/deliveries?limit=1")).await?;
    Ok(log.and_then(|log| log.items.into_iter().next()))
}

/// Returns the path of an endpoint in the API.
fn path_of(id: EndpointId) -> String {
    format!("/v1/endpoints/{id}")
}

impl WebhooksPage {
    fn new(shell: Shell, query: &Query, rows: Vec<Row>, next: Option<String>) -> Self {
        let done = match query.text("done") {
            "removed" => Some("The endpoint is removed, with its credentials and its log."),
            _ => None,
        };
        Self {
            shell,
            rows,
            done,
            next: next.map(|cursor| query.without("done").and("cursor", &cursor).on("/webhooks")),
            first: query.get("cursor").map(|_| "/webhooks".to_owned()),
        }
    }
}

impl Row {
    fn kind(&self) -> &'static str {
        words::kind(self.endpoint.kind)
    }

    fn state(&self) -> Markup {
        state(&self.endpoint)
    }

    fn hears(&self) -> String {
        hears(&self.endpoint)
    }
}

/// Shows how it stands with an endpoint.
fn state(endpoint: &Endpoint) -> Markup {
    let (word, tone) = words::state(endpoint);
    markup::tinted(word, tone)
}

/// Says what an endpoint hears of.
fn hears(endpoint: &Endpoint) -> String {
    match endpoint.events.as_slice() {
        [] => "everything".to_owned(),
        [only] => label(only),
        [first, rest @ ..] => format!("{} and {} more", label(first), rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::samples::{self, HOST, HOSTILE, ago};

    pub(super) const ENDPOINT: &str = "endpoint_01890a5dac96774bbcceb302099a8030";

    pub(super) fn endpoint(
        kind: &str,
        events: &[&str],
        paused: Option<u64>,
        failing: Option<u64>,
    ) -> Endpoint {
        let mut json = json!({
            "id": ENDPOINT, "kind": kind, "name": HOSTILE, "shown_target": "https://hooks.example",
            "events": events, "group_for_secs": if kind == "webhook" { 0 } else { 600 },
            "created_by": "user_01890a5dac96774bbcceb302099a8006",
            "created_at": ago(800_000), "updated_at": ago(4_000),
            "paused_at": paused.map(ago), "failing_since": failing.map(ago),
        });
        if kind != "webhook" {
            json["quiet_hours"] =
                json!({ "from": "22:00", "to": "06:30", "time_zone": "Europe/Berlin", "days": ["friday"] });
        }
        samples::of(json)
    }

    pub(super) fn delivery(position: u64, state: &str, error: Option<&str>) -> EventDelivery {
        samples::of(json!({
            "id": "delivery_01890a5dac96774bbcceb302099a8031", "event_id": "event_01890a5dac96774bbcceb302099a8010",
            "position": position, "kind": if position == 7 { Value::Null } else { "host.unreachable".into() }, "host_id": HOST,
            "state": state, "attempts": 3, "next_at": if state == "waiting" { json!(samples::NOW.plus(std::time::Duration::from_secs(90))) } else { Value::Null },
            "last_at": ago(30), "last_status": if error.is_some() { json!(503) } else { json!(200) }, "last_error": error,
            "created_at": ago(400), "done_at": if state == "waiting" { Value::Null } else { json!(ago(30)) },
        }))
    }

    impl WebhooksPage {
        pub(crate) fn sample() -> Self {
            let rows = vec![
                Row {
                    endpoint: endpoint("webhook", &[], None, None),
                    last: Some(delivery(900, "delivered", None)),
                },
                Row {
                    endpoint: endpoint("email", &["host.unreachable", "host.back"], None, Some(900)),
                    last: Some(delivery(880, "failed", Some(HOSTILE))),
                },
                Row { endpoint: endpoint("matrix", &["claim.opened"], Some(60), None), last: None },
            ];
            Self::new(Shell::sample("Webhooks", "/webhooks"), &Query::parse("done=removed"), rows, None)
        }
    }

    #[test]
    fn who_hears_of_events() {
        samples::check("webhooks", &WebhooksPage::sample());
    }

    #[test]
    fn an_empty_list_says_what_to_do() {
        let shell = Shell::sample("Webhooks", "/webhooks");
        let html = WebhooksPage::new(shell, &Query::default(), Vec::new(), None).render().unwrap();
        assert!(html.contains("/webhooks/new?kind=email"));
    }
}
