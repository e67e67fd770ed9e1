//! `/tickets/{ticket_id}/arrival`: whether the machine came. Holds nothing that is secret, and mints nothing.

use askama::Template;
use muster_ids::TicketId;
use muster_wire::claim::Claim;
use muster_wire::host::{Host, Presence};
use muster_wire::page::Page;
use muster_wire::refusal::TicketRefusal;
use muster_wire::ticket::Ticket;

use crate::path::Named;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};
use crate::words::joining;

/// What came of a ticket until now.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) ticket: Ticket,
    /// The host it last made or re-keyed.
    pub(crate) host: Option<Host>,
    /// Machines that showed it and wait for a person.
    pub(crate) claims: Vec<Claim>,
    /// Why machines were turned away.
    pub(crate) refusals: Vec<TicketRefusal>,
}

#[derive(Template)]
#[template(path = "tickets_arrival.html")]
pub(crate) struct ArrivalPage {
    shell: Shell,
    arrival: Arrival,
}

/// `GET /tickets/{ticket_id}/arrival`
pub(crate) async fn get(visit: Visit, Named(id): Named<TicketId>) -> Answered {
    let arrival = Arrival::load(&visit, id).await?;
    visit.page(&ArrivalPage { shell: visit.shell(arrival.heading()), arrival })
}

impl Arrival {
    pub(crate) async fn load(visit: &Visit, id: TicketId) -> Result<Self, Refusal> {
        let path = format!("/v1/tickets/{id}");
        let refusals = format!("/v1/tickets/{id}/refusals");
        let (ticket, refusals) =
            tokio::join!(visit.api.get::<Ticket>(&path), visit.api.get::<Page<TicketRefusal>>(&refusals));
        let (ticket, refusals) = (ticket?, refusals?.items);
        let (claims, host) = tokio::join!(waiting(visit, &ticket), last_host(visit, &ticket));
        Ok(Self { claims: claims?, host: host?, refusals: turned_away(refusals), ticket })
    }

    /// What is known of a ticket that was minted just now.
    pub(crate) fn awaited(ticket: Ticket) -> Self {
        Self { ticket, host: None, claims: Vec::new(), refusals: Vec::new() }
    }

    /// What a page is called that shows this alone.
    pub(crate) fn heading(&self) -> &'static str {
        match (&self.host, self.claims.is_empty()) {
            (Some(_), _) => "A machine joined",
            (None, false) => "A machine waits for your decision",
            (None, true) => "Waiting for the machine",
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        joining::is_alive(self.ticket.status)
    }

    /// Whether the host is admitted, but its agent does not run yet.
    pub(crate) fn is_silent(&self) -> bool {
        self.host.as_ref().is_some_and(|host| host.presence.status == Presence::NeverSeen)
    }
}

/// A machine that waits for a person is told of as a claim, not as a refusal.
fn turned_away(refusals: Vec<TicketRefusal>) -> Vec<TicketRefusal> {
    refusals.into_iter().filter(|refusal| !joining::waits(refusal.cause)).collect()
}

/// Returns the claims that wait with a ticket.
pub(crate) async fn waiting(visit: &Visit, ticket: &Ticket) -> Result<Vec<Claim>, Refusal> {
    let path = format!("/v1/claims?state=waiting&limit=200&site_id={}", ticket.site_id);
    let claims: Page<Claim> = visit.api.get(&path).await?;
    Ok(claims.items.into_iter().filter(|claim| claim.machine.ticket_id == Some(ticket.id)).collect())
}

async fn last_host(visit: &Visit, ticket: &Ticket) -> Result<Option<Host>, Refusal> {
    match ticket.last_host_id {
        Some(id) => visit.api.get_if_shown(&format!("/v1/hosts/{id}")).await,
        None => Ok(None),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::super::tests::{ticket, token};
    use super::*;
    use crate::samples;

    pub(crate) fn refusals() -> Vec<TicketRefusal> {
        samples::of(json!([{
            "cause": "spent_by_another_key", "count": 2, "first_at": samples::ago(600), "last_at": samples::ago(20),
            "last_source": "198.51.100.7", "last_request_id": "req_01890a5dac96774bbcceb302099a8007",
        }, {
            "cause": "waits_reimage", "count": 1, "first_at": samples::ago(900), "last_at": samples::ago(900),
            "last_source": "198.51.100.8", "last_request_id": "req_01890a5dac96774bbcceb302099a8008",
        }]))
    }

    impl Arrival {
        pub(crate) fn nobody() -> Self {
            Self::awaited(token())
        }
    }

    fn rendered(arrival: Arrival) -> String {
        ArrivalPage { shell: Shell::sample("Waiting", "/tickets/8mBQFVraP1gr/arrival"), arrival }
            .render()
            .unwrap()
    }

    #[test]
    fn the_page_of_an_arrival() {
        let mut host = samples::host();
        host.name = samples::HOSTILE.to_owned();
        let arrival = Arrival {
            ticket: ticket("site_key", "open"),
            host: Some(host),
            claims: vec![crate::pages::approvals::tests::collision()],
            refusals: turned_away(refusals()),
        };
        let shell = Shell::sample("A machine joined", "/tickets/8mBQFVraP1gr/arrival");
        samples::check("tickets_arrival", &ArrivalPage { shell, arrival });
    }

    #[test]
    fn each_end_of_waiting_says_what_is_next() {
        assert!(rendered(Arrival::nobody()).contains("Waiting for the machine"));
        let expired = Arrival { ticket: ticket("enrolment_token", "expired"), ..Arrival::nobody() };
        assert!(rendered(expired).contains("admits nobody any more"));
        let mut host = samples::host();
        host.presence.status = Presence::NeverSeen;
        assert!(rendered(Arrival { host: Some(host), ..Arrival::nobody() }).contains("muster-agent run"));
        let refused = Arrival { refusals: turned_away(refusals()), ..Arrival::nobody() };
        let html = rendered(refused);
        assert!(html.contains("another machine used the ticket"));
        assert!(!html.contains("looks installed anew"), "a claim is no refusal");
    }
}
