//! `/tickets/{ticket_id}`: one ticket, without its secret: what it admits, who used it, whom it refused.

use askama::Template;
use muster_ids::TicketId;
use muster_wire::explanation::Explanation;
use muster_wire::page::Page;
use muster_wire::permission::Permission;
use muster_wire::refusal::TicketRefusal;
use muster_wire::ticket::{Ticket, TicketKind, TicketStatus};

use super::admits::Admits;
use super::{Names, title};
use crate::path::Named;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};
use crate::words::joining;

#[derive(Template)]
#[template(path = "ticket.html")]
pub(crate) struct TicketPage {
    shell: Shell,
    ticket: Ticket,
    names: Names,
    admits: Admits,
    refusals: Vec<TicketRefusal>,
    may: May,
}

/// What this person may do with the ticket.
#[derive(Debug, Clone, Copy)]
struct May {
    revoke: bool,
    rotate: bool,
    report: bool,
}

/// `GET /tickets/{ticket_id}`
pub(crate) async fn get(visit: Visit, Named(id): Named<TicketId>) -> Answered {
    let page = TicketPage::load(&visit, id).await?;
    visit.page(&page)
}

impl TicketPage {
    async fn load(visit: &Visit, id: TicketId) -> Result<Self, Refusal> {
        let paths = [
            format!("/v1/tickets/{id}"),
            format!("/v1/tickets/{id}/explain"),
            format!("/v1/tickets/{id}/refusals"),
        ];
        let (ticket, explanation, refusals) = tokio::join!(
            visit.api.get::<Ticket>(&paths[0]),
            visit.api.get::<Explanation>(&paths[1]),
            visit.api.get::<Page<TicketRefusal>>(&paths[2]),
        );
        let ticket = ticket?;
        let names = Names::of(visit, ticket.last_host_id.into_iter().chain(ticket.host_id)).await?;
        let may = May::of(visit, &ticket);
        Ok(Self {
            shell: visit.shell(&title(&ticket)),
            admits: Admits::new(explanation?),
            refusals: refusals?.items,
            ticket,
            names,
            may,
        })
    }

    fn title(&self) -> String {
        title(&self.ticket)
    }

    fn may_do_nothing(&self) -> bool {
        !(self.may.revoke || self.may.rotate || self.may.report) && joining::is_alive(self.ticket.status)
    }
}

impl May {
    fn of(visit: &Visit, ticket: &Ticket) -> Self {
        let site_keys = visit.may(Permission::ManageSiteKeys);
        let is_site_key = ticket.kind == TicketKind::SiteKey;
        let is_rotatable = !matches!(
            ticket.status,
            TicketStatus::Revoked | TicketStatus::Rotated | TicketStatus::RotatedOut
        );
        Self {
            revoke: visit.may(joining::may_mint(ticket.kind)) && joining::is_alive(ticket.status),
            rotate: site_keys && is_site_key && is_rotatable,
            report: site_keys,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::admits::tests::admits;
    use super::super::arrival::tests::refusals;
    use super::super::tests::{NEXT_KEY, names, ticket};
    use super::*;
    use crate::samples;

    impl TicketPage {
        pub(crate) fn sample() -> Self {
            let mut json = serde_json::to_value(ticket("site_key", "rotated")).unwrap();
            json["rotation"] = json!({ "to": NEXT_KEY, "at": samples::ago(600),
                "both_admit_until": samples::NOW.plus(std::time::Duration::from_secs(300_000)) });
            Self {
                shell: Shell::sample("Site key 8mBQFVraP1gr", "/tickets/8mBQFVraP1gr"),
                ticket: samples::of(json),
                names: names(),
                admits: admits("site_key"),
                refusals: refusals(),
                may: May { revoke: true, rotate: true, report: true },
            }
        }
    }

    #[test]
    fn the_page_of_a_ticket() {
        samples::check("ticket", &TicketPage::sample());
    }

    #[test]
    fn nobody_was_refused_is_said() {
        let page = TicketPage { refusals: Vec::new(), ..TicketPage::sample() };
        assert!(page.render().unwrap().contains("No machine was turned away"));
    }
}
