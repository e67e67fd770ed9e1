//! `/tickets/{ticket_id}/rotate`: the next site key, while the former one still admits for a while.

use askama::Template;
use muster_ids::TicketId;
use muster_wire::ticket::{MintedTicket, Ticket};
use serde_json::{Value, json};

use super::minted;
use crate::form::Form;
use crate::path::Named;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};
use crate::words::joining;

/// Seconds in which both keys admit, that a person may choose.
const OVERLAPS: &[u64] = &[0, 3_600, 86_400, 604_800, 2_592_000];
/// What is chosen when nobody chose.
const USUAL_OVERLAP: u64 = 604_800;
/// Lives of a site key in seconds, that a person may choose.
pub(crate) const KEY_LIVES: &[u64] = &[86_400, 604_800, 2_592_000, 7_776_000, 31_536_000];

#[derive(Template)]
#[template(path = "tickets_rotate.html")]
pub(crate) struct RotatePage {
    shell: Shell,
    ticket: Ticket,
    once: String,
    overlap: String,
    life: String,
    max_uses: String,
    refusal: Option<Refusal>,
}

/// `GET /tickets/{ticket_id}/rotate`
pub(crate) async fn get(visit: Visit, Named(id): Named<TicketId>) -> Answered {
    page(&visit, id, &Form::default(), None).await
}

/// `POST /tickets/{ticket_id}/rotate`
pub(crate) async fn create(visit: Visit, Named(id): Named<TicketId>, form: Form) -> Answered {
    let path = format!("/v1/site-keys/{id}/rotate");
    match visit.api.post_once::<MintedTicket>(&path, &request(&form), form.key().as_ref()).await {
        Ok(minted) => {
            let overlap =
                form.text("overlap_secs").and_then(|secs| secs.parse().ok()).unwrap_or(USUAL_OVERLAP);
            minted::show(&visit, minted.body, Some(note(id, overlap))).await
        }
        Err(refusal) if refusal.is_of_form() => page(&visit, id, &form, Some(refusal)).await,
        Err(refusal) => Err(refusal.into()),
    }
}

fn note(former: TicketId, overlap: u64) -> String {
    match overlap {
        0 => {
            format!("The former key {former} admits nobody any more. Hosts that joined with it keep working.")
        }
        secs => format!(
            "The former key {former} still admits for {}. Put the new one wherever the former one is before that. \
             Hosts that joined keep working.",
            joining::life(secs)
        ),
    }
}

fn request(form: &Form) -> Value {
    let mut request = json!({});
    for name in ["overlap_secs", "expires_in_secs", "max_uses"] {
        if let Some(number) = form.number(name) {
            request[name] = number;
        }
    }
    request
}

async fn page(visit: &Visit, id: TicketId, form: &Form, refusal: Option<Refusal>) -> Answered {
    let ticket: Ticket = visit.api.get(&format!("/v1/tickets/{id}")).await?;
    visit.page(&RotatePage::new(visit.shell("Rotate a site key"), ticket, visit.once(), form, refusal))
}

impl RotatePage {
    fn new(shell: Shell, ticket: Ticket, once: String, form: &Form, refusal: Option<Refusal>) -> Self {
        let overlap = form.text("overlap_secs").unwrap_or_else(|| USUAL_OVERLAP.to_string());
        let life = form.raw("expires_in_secs").to_owned();
        let max_uses = form.raw("max_uses").to_owned();
        Self { shell, ticket, once, overlap, life, max_uses, refusal }
    }

    fn overlaps(&self) -> Vec<(u64, String)> {
        let says = |secs: &u64| match secs {
            0 => (0, "no overlap: the former key ends now".to_owned()),
            secs => (*secs, joining::life(*secs)),
        };
        OVERLAPS.iter().map(says).collect()
    }

    fn lives(&self) -> Vec<(u64, String)> {
        KEY_LIVES.iter().map(|secs| (*secs, joining::life(*secs))).collect()
    }

    fn error(&self, pointer: &str) -> Option<String> {
        self.refusal.as_ref()?.of_field(pointer)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{KEY, ticket};
    use super::*;
    use crate::samples;

    #[test]
    fn the_form_to_rotate_a_site_key() {
        let shell = Shell::sample("Rotate a site key", "/tickets/8mBQFVraP1gr/rotate");
        let ticket = ticket("site_key", "open");
        let page = RotatePage::new(shell, ticket, "once".to_owned(), &Form::default(), None);
        samples::check("tickets_rotate", &page);
    }

    #[test]
    fn what_was_typed_becomes_the_request() {
        let form = Form::of(&[("overlap_secs", "3600"), ("expires_in_secs", ""), ("max_uses", "many")]);
        assert_eq!(request(&form), json!({ "overlap_secs": 3600, "max_uses": "many" }));
        assert!(note(KEY.parse().unwrap(), 0).contains("admits nobody any more"));
        assert!(note(KEY.parse().unwrap(), 3600).contains("for 1 hour"));
    }
}
