//! `/webhooks/{id}/rotate` and `/remove`: another signing secret, and the end of an endpoint, each with its preview.

use askama::Template;
use http::HeaderMap;
use muster_ids::{EndpointId, Timestamp};
use muster_wire::endpoint::{Endpoint, EventDelivery, RotatedSigningSecret};
use muster_wire::page::Page;
use serde_json::{Value, json};

use super::path_of;
use crate::form::Form;
use crate::path::Named;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

#[derive(Template)]
#[template(path = "webhook_remove.html")]
pub(crate) struct RemovePage {
    shell: Shell,
    endpoint: Endpoint,
    /// How many deliveries wait; at most as many as one page holds.
    waiting: usize,
    waits_more: bool,
    refusal: Option<Refusal>,
}

#[derive(Template)]
#[template(path = "webhook_rotate.html")]
pub(crate) struct RotatePage {
    shell: Shell,
    endpoint: Endpoint,
    once: String,
    overlap: String,
    refusal: Option<Refusal>,
}

/// The signing secret, shown once.
#[derive(Template)]
#[template(path = "webhook_secret.html")]
pub(crate) struct SecretPage {
    shell: Shell,
    id: String,
    name: String,
    secret: String,
    /// Until when messages are signed with the former one, too.
    former_until: Option<Timestamp>,
}

/// `GET /webhooks/{endpoint_id}/remove`
pub(crate) async fn preview(visit: Visit, Named(id): Named<EndpointId>) -> Answered {
    show_removal(&visit, id, None).await
}

/// `POST /webhooks/{endpoint_id}/remove`
pub(crate) async fn remove(visit: Visit, Named(id): Named<EndpointId>, _: Form) -> Answered {
    let path = format!("{}/remove", path_of(id));
    match visit.api.post::<Value>(&path, &json!({})).await {
        Ok(_) => Ok(see_other("/webhooks?done=removed", &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => show_removal(&visit, id, Some(refusal)).await,
        Err(refusal) => Err(refusal.into()),
    }
}

/// `GET /webhooks/{endpoint_id}/rotate`
pub(crate) async fn rotate_preview(visit: Visit, Named(id): Named<EndpointId>) -> Answered {
    show_rotation(&visit, id, "86400", None).await
}

/// `POST /webhooks/{endpoint_id}/rotate`
pub(crate) async fn rotate(visit: Visit, Named(id): Named<EndpointId>, form: Form) -> Answered {
    let own = path_of(id);
    // The secret is shown once: what stands beside it is asked for before it is made.
    let endpoint: Endpoint = visit.api.get(&own).await?;
    let body = json!({ "overlap_secs": form.number("overlap_secs") });
    let path = format!("{own}/rotate-secret");
    let rotated = match visit.api.post_once::<RotatedSigningSecret>(&path, &body, form.key().as_ref()).await {
        Ok(answer) => answer.body,
        Err(refusal) if refusal.is_of_form() => {
            return show_rotation(&visit, id, form.raw("overlap_secs"), Some(refusal)).await;
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let shell = visit.shell("Signing secret");
    visit.page(&SecretPage::new(shell, &endpoint, rotated.signing_secret, Some(rotated.former_until)))
}

async fn show_removal(visit: &Visit, id: EndpointId, refusal: Option<Refusal>) -> Answered {
    let path = path_of(id);
    let waiting = format!("{path}/deliveries?state=waiting&limit=200");
    let (endpoint, waiting) =
        tokio::join!(visit.api.get::<Endpoint>(&path), visit.api.get::<Page<EventDelivery>>(&waiting));
    let waiting = waiting?;
    visit.page(&RemovePage {
        shell: visit.shell("Remove"),
        endpoint: endpoint?,
        waiting: waiting.items.len(),
        waits_more: waiting.next_cursor.is_some(),
        refusal,
    })
}

async fn show_rotation(visit: &Visit, id: EndpointId, overlap: &str, refusal: Option<Refusal>) -> Answered {
    let endpoint: Endpoint = visit.api.get(&path_of(id)).await?;
    let (shell, once) = (visit.shell("Signing secret"), visit.once());
    visit.page(&RotatePage { shell, endpoint, once, overlap: overlap.to_owned(), refusal })
}

impl SecretPage {
    pub(crate) fn new(
        shell: Shell,
        endpoint: &Endpoint,
        secret: String,
        former_until: Option<Timestamp>,
    ) -> Self {
        let (id, name) = (endpoint.id.to_string(), endpoint.name.clone());
        Self { shell, id, name, secret, former_until }
    }
}

impl RotatePage {
    fn overlaps(&self) -> [(&'static str, &'static str); 4] {
        [
            ("0", "not at all: the former one is not to be trusted any more"),
            ("3600", "for an hour"),
            ("86400", "for a day"),
            ("604800", "for a week"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::webhooks::tests::endpoint;
    use crate::samples;

    fn webhook() -> Endpoint {
        endpoint("webhook", &[], None, None)
    }

    #[test]
    fn what_goes_when_an_endpoint_is_removed() {
        let shell = Shell::sample("Remove", "/webhooks/x/remove");
        let page = RemovePage { shell, endpoint: webhook(), waiting: 3, waits_more: false, refusal: None };
        samples::check("webhook_remove", &page);
    }

    #[test]
    fn another_signing_secret_is_shown_once() {
        let shell = || Shell::sample("Signing secret", "/webhooks/x/rotate");
        let rotate = RotatePage {
            shell: shell(),
            endpoint: webhook(),
            once: "once".to_owned(),
            overlap: "86400".to_owned(),
            refusal: None,
        };
        samples::check("webhook_rotate", &rotate);
        let secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".to_owned();
        let until = samples::NOW.plus(std::time::Duration::from_secs(86_400));
        samples::check("webhook_secret", &SecretPage::new(shell(), &webhook(), secret, Some(until)));
    }
}
