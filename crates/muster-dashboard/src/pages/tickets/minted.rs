//! What is shown once: the line that lets a machine in. The page is an answer to a form; sent again it mints nothing.

use askama::Template;
use muster_wire::explanation::Explanation;
use muster_wire::ticket::{MintedTicket, Ticket, TicketKind};

use super::admits::Admits;
use super::arrival::Arrival;
use crate::markup::{self, Markup};
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

/// The unit that keeps the agent running; the same as in the operator's guide.
const UNIT: &str = "[Unit]
Description=Muster agent
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/local/bin/muster-agent run
StateDirectory=muster-agent
StateDirectoryMode=0700
Restart=on-failure
RestartSec=10
RestartPreventExitStatus=5
TimeoutStopSec=30

[Install]
WantedBy=multi-user.target";

#[derive(Template)]
#[template(path = "tickets_minted.html")]
pub(crate) struct MintedPage {
    shell: Shell,
    heading: String,
    line: Markup,
    join_string: Markup,
    arrival: Arrival,
    admits: Option<Admits>,
    /// What a rotation did to the former key.
    note: Option<String>,
}

/// Shows a ticket that was just minted, once.
pub(crate) async fn show(visit: &Visit, minted: MintedTicket, note: Option<String>) -> Answered {
    let id = minted.ticket.id;
    let path = format!("/v1/tickets/{id}/explain");
    let (arrival, explained) = tokio::join!(Arrival::load(visit, id), visit.api.get::<Explanation>(&path));
    // The line is shown once: nothing that only stands beside it may keep it back. What came of it is looked at again.
    let arrival = arrival.unwrap_or_else(|_| Arrival::awaited(minted.ticket.clone()));
    let admits = explained.ok().map(Admits::new);
    visit.page(&MintedPage::new(visit.shell("Join a machine"), &minted, arrival, admits, note))
}

impl MintedPage {
    fn new(
        shell: Shell,
        minted: &MintedTicket,
        arrival: Arrival,
        admits: Option<Admits>,
        note: Option<String>,
    ) -> Self {
        Self {
            shell,
            heading: heading(&minted.ticket),
            line: markup::copy(&line(&minted.join_string), "Copy the line"),
            join_string: markup::copy(&minted.join_string, "Copy the join string"),
            arrival,
            admits,
            note,
        }
    }

    fn unit(&self) -> &'static str {
        UNIT
    }

    fn is_site_key(&self) -> bool {
        self.arrival.ticket.kind == TicketKind::SiteKey
    }
}

/// Makes the one line. `printf` is part of the shell, so that the join string is in no process list.
fn line(join_string: &str) -> String {
    format!("printf '%s\\n' '{join_string}' | muster-agent join --stdin; muster-agent run")
}

fn heading(ticket: &Ticket) -> String {
    match (ticket.kind, &ticket.host_name) {
        (TicketKind::SiteKey, _) => "The new site key".to_owned(),
        (_, Some(name)) => format!("One line for {name}"),
        (_, None) => "One line for the machine".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::admits::tests::admits;
    use super::super::tests::token;
    use super::*;
    use crate::samples;

    fn minted() -> MintedTicket {
        samples::of(json!({
            "ticket": token(), "token": "mse_l46cwsjLaBH3_secret", "join_string": "muster1.eyJ1IjpbImh0dHBzOi8vbXVzdGVyLmV4YW1wbGU6ODY0MyJdfQ",
        }))
    }

    #[test]
    fn the_page_that_is_shown_once() {
        let shell = Shell::sample("Join a machine", "/hosts/add");
        let page =
            MintedPage::new(shell, &minted(), Arrival::nobody(), Some(admits("enrolment_token")), None);
        samples::check("tickets_minted", &page);
    }

    #[test]
    fn the_line_keeps_the_ticket_out_of_the_arguments_of_every_process() {
        let line = line("muster1.abc");
        assert!(line.starts_with("printf '%s\\n' 'muster1.abc' |"));
        assert!(!line.contains("join 'muster1"));
    }

    #[test]
    fn the_part_that_is_fetched_again_holds_no_secret() {
        let shell = Shell::sample("Join a machine", "/hosts/add");
        let html = MintedPage::new(shell, &minted(), Arrival::nobody(), None, None).render().unwrap();
        let live = html.split("id=\"arrival\"").nth(1).unwrap().split("</section>").next().unwrap();
        assert!(html.contains("muster1.") && !live.contains("muster1."));
        assert!(live.contains("hx-get=\"/tickets/l46cwsjLaBH3/arrival\""));
    }
}
