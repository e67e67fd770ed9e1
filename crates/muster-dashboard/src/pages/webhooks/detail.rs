//! `/webhooks/{id}`: an endpoint, the log of its deliveries, and what is done at once: a test, a pause, once more.

use askama::Template;
use axum::response::Response;
use http::HeaderMap;
use muster_ids::{DeliveryId, EndpointId, Timestamp};
use muster_wire::endpoint::{
    DeliveryState, Endpoint, EndpointKind, EndpointTested, EventDelivery, Redelivering,
};
use muster_wire::page::Page;
use serde_json::{Value, json};

use super::path_of;
use crate::form::Form;
use crate::markup::Markup;
use crate::path::Named;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::telling::label;
use crate::visit::{Answered, Visit};
use crate::words::webhooks as words;

const LOG: &[&str] = &["state", "limit", "cursor"];

#[derive(Template)]
#[template(path = "webhook.html")]
pub(crate) struct WebhookPage {
    shell: Shell,
    query: Query,
    endpoint: Endpoint,
    log: Vec<EventDelivery>,
    notice: Option<Notice>,
    path: String,
    next: Option<String>,
    first: Option<String>,
}

/// What came of what was just done.
pub(crate) struct Notice {
    is_good: bool,
    says: String,
}

/// `GET /webhooks/{endpoint_id}`
pub(crate) async fn get(visit: Visit, Named(id): Named<EndpointId>) -> Answered {
    let done = match visit.query.text("done") {
        "made" => {
            Some("It is made, and hears of what happens from now on. Send a test to see that it arrives.")
        }
        "changed" => Some("It is changed."),
        "paused" => Some("Nothing is sent to it until you resume it; what happens meanwhile waits."),
        "resumed" => Some("It is told again, first what waited."),
        "again" => Some("The delivery is made again."),
        _ => None,
    };
    show(&visit, id, done.map(|says| Notice { is_good: true, says: says.to_owned() })).await
}

/// `POST /webhooks/{endpoint_id}/test`
pub(crate) async fn test(visit: Visit, Named(id): Named<EndpointId>, _: Form) -> Answered {
    let path = format!("{}/test", path_of(id));
    let notice = match visit.api.post::<EndpointTested>(&path, &json!({})).await {
        Ok(tested) => Notice { is_good: tested.delivered, says: words::tested(&tested) },
        Err(refusal) => Notice::refused(refusal)?,
    };
    show(&visit, id, Some(notice)).await
}

/// `POST /webhooks/{endpoint_id}/pause`
pub(crate) async fn pause(visit: Visit, Named(id): Named<EndpointId>, _: Form) -> Answered {
    act(&visit, id, "pause", "paused").await
}

/// `POST /webhooks/{endpoint_id}/resume`
pub(crate) async fn resume(visit: Visit, Named(id): Named<EndpointId>, _: Form) -> Answered {
    act(&visit, id, "resume", "resumed").await
}

/// `POST /webhooks/{endpoint_id}/deliveries/{delivery_id}/redeliver`
pub(crate) async fn redeliver(
    visit: Visit,
    Named((id, delivery_id)): Named<(EndpointId, DeliveryId)>,
    _: Form,
) -> Answered {
    act(&visit, id, &format!("deliveries/{delivery_id}/redeliver"), "again").await
}

/// `POST /webhooks/{endpoint_id}/redeliver`
pub(crate) async fn redeliver_since(visit: Visit, Named(id): Named<EndpointId>, form: Form) -> Answered {
    let path = format!("{}/redeliver", path_of(id));
    let since = since(form.raw("hours"), visit.now);
    let notice = match visit.api.post::<Redelivering>(&path, &json!({ "since": since })).await {
        Ok(Redelivering { count: 0 }) => {
            Notice { is_good: true, says: "There was nothing to deliver again in this time.".to_owned() }
        }
        Ok(Redelivering { count: 1 }) => {
            Notice { is_good: true, says: "1 delivery is made again.".to_owned() }
        }
        Ok(Redelivering { count }) => {
            Notice { is_good: true, says: format!("{count} deliveries are made again.") }
        }
        Err(refusal) => Notice::refused(refusal)?,
    };
    show(&visit, id, Some(notice)).await
}

/// Returns the moment so many hours ago; what is no number stays text, and the API says what is wrong with it.
fn since(hours: &str, now: Timestamp) -> Value {
    match hours.trim().parse::<u32>() {
        Ok(hours) => json!(now.minus(std::time::Duration::from_secs(u64::from(hours) * 3600))),
        Err(_) => Value::from(hours),
    }
}

async fn act(
    visit: &Visit,
    id: EndpointId,
    what: &str,
    done: &str,
) -> Result<Response, crate::refusal::Refused> {
    let path = format!("{}/{what}", path_of(id));
    match visit.api.post::<Value>(&path, &json!({})).await {
        Ok(_) => Ok(see_other(&format!("/webhooks/{id}?done={done}"), &HeaderMap::new())),
        Err(refusal) => show(visit, id, Some(Notice::refused(refusal)?)).await,
    }
}

async fn show(visit: &Visit, id: EndpointId, notice: Option<Notice>) -> Answered {
    let path = path_of(id);
    let log = visit.query.only(LOG).on(&format!("{path}/deliveries"));
    let (endpoint, log) =
        tokio::join!(visit.api.get::<Endpoint>(&path), visit.api.get::<Page<EventDelivery>>(&log));
    let page = WebhookPage::new(visit.shell("Webhook"), &visit.query, endpoint?, log?);
    visit.page(&WebhookPage { notice, ..page })
}

impl Notice {
    /// Says what the API refused; what is no answer to a form stays a refusal of the page.
    fn refused(refusal: Refusal) -> Result<Self, Refusal> {
        if refusal.is_of_form() { Ok(Self { is_good: false, says: refusal.says() }) } else { Err(refusal) }
    }
}

impl WebhookPage {
    fn new(shell: Shell, query: &Query, endpoint: Endpoint, log: Page<EventDelivery>) -> Self {
        let own = format!("/webhooks/{}", endpoint.id);
        let query = query.without("done");
        Self {
            shell: Shell { title: endpoint.name.clone(), ..shell },
            log: log.items,
            notice: None,
            path: query.only(LOG).on(&own),
            next: log.next_cursor.map(|cursor| query.and("cursor", &cursor).on(&own)),
            first: query.get("cursor").map(|_| query.without("cursor").on(&own)),
            endpoint,
            query,
        }
    }

    fn state(&self) -> Markup {
        super::state(&self.endpoint)
    }

    fn kind(&self) -> &'static str {
        words::kind(self.endpoint.kind)
    }

    fn is_webhook(&self) -> bool {
        self.endpoint.kind == EndpointKind::Webhook
    }

    fn pace(&self) -> String {
        words::gathered(self.endpoint.group_for_secs)
    }

    fn label(&self, kind: &str) -> String {
        label(kind)
    }

    fn quiet_days(&self) -> String {
        let hours = self.endpoint.quiet_hours.iter();
        let days: Vec<&str> =
            hours.flat_map(|hours| hours.days.iter()).map(|day| words::day(*day).1).collect();
        if days.is_empty() { "every day".to_owned() } else { days.join(", ") }
    }

    fn tabs(&self) -> [(&'static str, &'static str, String); 4] {
        let own = format!("/webhooks/{}", self.endpoint.id);
        let to = |state: &str| Query::parse(&format!("state={state}")).on(&own);
        [
            ("", "All", own.clone()),
            ("failed", "Given up", to("failed")),
            ("waiting", "Waiting", to("waiting")),
            ("delivered", "Delivered", to("delivered")),
        ]
    }

    /// Why a delivery was not taken the last time.
    fn why(&self, delivery: &EventDelivery) -> String {
        let error = delivery.last_error.as_deref().filter(|_| delivery.state != DeliveryState::Delivered);
        let status = delivery.last_status.map(|status| format!("answered {status}"));
        [status, error.map(str::to_owned)].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn is_over(&self, delivery: &EventDelivery) -> bool {
        delivery.state != DeliveryState::Waiting && delivery.kind.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::webhooks::tests::{ENDPOINT, delivery, endpoint};
    use crate::samples::{self, HOSTILE, NOW};

    fn page(endpoint: Endpoint, items: Vec<EventDelivery>) -> WebhookPage {
        let shell = Shell::sample("Webhook", "/webhooks/x");
        let log = Page { items, next_cursor: Some("more".to_owned()) };
        WebhookPage::new(shell, &Query::parse("state=failed"), endpoint, log)
    }

    impl WebhookPage {
        pub(crate) fn sample() -> Self {
            let log = vec![
                delivery(900, "waiting", Some("nobody answers there")),
                delivery(890, "failed", Some(HOSTILE)),
                delivery(880, "delivered", None),
                delivery(7, "failed", Some("it took too long to answer")),
            ];
            let notice =
                Some(Notice { is_good: false, says: format!("The test message was not taken: {HOSTILE}.") });
            Self {
                notice,
                ..page(endpoint("webhook", &["host.unreachable", "claim.opened"], None, Some(900)), log)
            }
        }
    }

    #[test]
    fn an_endpoint_and_its_log() {
        samples::check("webhook", &WebhookPage::sample());
        samples::check("webhook_paused", &page(endpoint("email", &[], Some(90), None), Vec::new()));
    }

    #[test]
    fn what_was_delivered_since_is_counted_in_hours() {
        assert_eq!(since("24", NOW), json!(samples::ago(24 * 3600)));
        assert_eq!(since("soon", NOW), json!("soon"));
    }

    #[test]
    fn the_live_part_asks_for_the_page_and_not_for_the_form_it_came_from() {
        let html = WebhookPage::sample().render().unwrap();
        assert!(html.contains(&format!("hx-get=\"/webhooks/{ENDPOINT}?state=failed\"")), "{html}");
    }
}
