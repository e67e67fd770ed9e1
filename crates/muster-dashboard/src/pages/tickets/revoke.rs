//! `/tickets/{ticket_id}/revoke`: what revoking ends, and doing it.

use askama::Template;
use axum::response::Response;
use http::HeaderMap;
use muster_ids::TicketId;
use muster_wire::claim::Claim;
use muster_wire::ticket::{Ticket, TicketKind};
use serde_json::json;

use super::arrival::waiting;
use super::title;
use crate::form::Form;
use crate::path::Named;
use crate::refusal::{Refusal, Refused};
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};
use crate::words::joining;

#[derive(Template)]
#[template(path = "tickets_revoke.html")]
pub(crate) struct RevokePage {
    shell: Shell,
    ticket: Ticket,
    claims: Vec<Claim>,
    refusal: Option<String>,
}

/// `GET /tickets/{ticket_id}/revoke`
pub(crate) async fn get(visit: Visit, Named(id): Named<TicketId>) -> Answered {
    page(&visit, id, None).await
}

/// `POST /tickets/{ticket_id}/revoke`
pub(crate) async fn create(visit: Visit, Named(id): Named<TicketId>, _: Form) -> Result<Response, Refused> {
    match visit.api.post::<Ticket>(&format!("/v1/tickets/{id}/revoke"), &json!({})).await {
        Ok(_) => Ok(see_other(&format!("/tickets/{id}"), &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => page(&visit, id, Some(refusal)).await,
        Err(refusal) => Err(refusal.into()),
    }
}

async fn page(visit: &Visit, id: TicketId, refusal: Option<Refusal>) -> Answered {
    let ticket: Ticket = visit.api.get(&format!("/v1/tickets/{id}")).await?;
    let claims = waiting(visit, &ticket).await?;
    let refusal = refusal.map(|refusal| refusal.says());
    visit.page(&RevokePage { shell: visit.shell("Revoke a ticket"), ticket, claims, refusal })
}

impl RevokePage {
    fn title(&self) -> String {
        title(&self.ticket)
    }

    fn is_alive(&self) -> bool {
        joining::is_alive(self.ticket.status)
    }

    fn is_site_key(&self) -> bool {
        self.ticket.kind == TicketKind::SiteKey
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ticket, token};
    use super::*;
    use crate::samples;

    fn page(ticket: Ticket) -> RevokePage {
        let shell = Shell::sample("Revoke a ticket", "/tickets/8mBQFVraP1gr/revoke");
        RevokePage { shell, ticket, claims: vec![crate::pages::approvals::tests::collision()], refusal: None }
    }

    #[test]
    fn what_revoking_ends_is_said_first() {
        samples::check("tickets_revoke", &page(token()));
    }

    #[test]
    fn what_ended_already_cannot_be_revoked_here() {
        let html = page(ticket("site_key", "revoked")).render().unwrap();
        assert!(!html.contains("Revoke it"));
        assert!(html.contains("opens no door any more"));
    }
}
