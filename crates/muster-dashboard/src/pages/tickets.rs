//! `/tickets`: what opens the doors, by whom it was used, and why it did not open.

pub(crate) mod admits;
pub(crate) mod arrival;
pub(crate) mod leak;
pub(crate) mod minted;
pub(crate) mod one;
pub(crate) mod refusals;
pub(crate) mod revoke;
pub(crate) mod rotate;

use std::collections::HashMap;

use askama::Template;
use muster_ids::{HostId, SiteId};
use muster_wire::page::Page;
use muster_wire::permission::Permission;
use muster_wire::site::Site;
use muster_wire::ticket::Ticket;

use crate::query::Query;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::telling::host_names;
use crate::visit::{Answered, Visit};
use crate::words;

/// Parameters of the page that the list of the API takes.
const FILTERS: &[&str] = &["status", "kind", "limit", "cursor"];

/// What each tab shows: the status of the API, and its word.
const TABS: &[(&str, &str)] = &[
    ("open", "Open"),
    ("reserved", "Held by a claim"),
    ("spent", "Used"),
    ("used_up", "Used up"),
    ("rotated", "Rotated, still admit"),
    ("rotated_out", "Rotated out"),
    ("expired", "Expired"),
    ("revoked", "Revoked"),
];

/// Names of things that a ticket speaks of by id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    pub(crate) sites: HashMap<SiteId, String>,
    pub(crate) hosts: HashMap<HostId, String>,
}

impl Names {
    /// Looks up the sites, and the hosts of these ids.
    pub(crate) async fn of(visit: &Visit, ids: impl Iterator<Item = HostId>) -> Result<Self, Refusal> {
        let (sites, hosts) =
            tokio::join!(visit.api.get::<Page<Site>>("/v1/sites?limit=200"), host_names(visit, ids));
        let sites = sites?.items.into_iter().map(|site| (site.id, site.name)).collect();
        Ok(Self { sites, hosts: hosts? })
    }

    pub(crate) fn site(&self, id: &SiteId) -> &str {
        self.sites.get(id).map_or("another site", String::as_str)
    }

    /// Returns the name of a host; its id when it is not known.
    pub(crate) fn host(&self, id: &HostId) -> String {
        self.hosts.get(id).cloned().unwrap_or_else(|| id.to_string())
    }
}

/// Names a ticket as people tell it from others.
pub(crate) fn title(ticket: &Ticket) -> String {
    format!("{} {}", words::capital(words::ticket_kind(ticket.kind)), ticket.id)
}

#[derive(Template)]
#[template(path = "tickets.html")]
pub(crate) struct TicketsPage {
    shell: Shell,
    query: Query,
    tickets: Vec<Ticket>,
    names: Names,
    tabs: Vec<Tab>,
    next: Option<String>,
    first: Option<String>,
    may_add: bool,
}

/// A way to the tickets of one status.
#[derive(Debug, Clone)]
pub(crate) struct Tab {
    pub(crate) label: &'static str,
    pub(crate) href: String,
    pub(crate) is_current: bool,
}

/// `GET /tickets`
pub(crate) async fn list(visit: Visit) -> Answered {
    let path = visit.query.only(FILTERS).and("order", "desc").on("/v1/tickets");
    let tickets: Page<Ticket> = visit.api.get(&path).await?;
    let hosts = tickets.items.iter().filter_map(|ticket| ticket.last_host_id.or(ticket.host_id));
    let names = Names::of(&visit, hosts).await?;
    let may_add = may_add(&visit);
    visit.page(&TicketsPage::new(visit.shell("Tickets"), visit.query.clone(), tickets, names, may_add))
}

/// Whether this person may mint a ticket of any kind.
pub(crate) fn may_add(visit: &Visit) -> bool {
    [Permission::MintTokens, Permission::ManageHosts, Permission::ManageSiteKeys]
        .into_iter()
        .any(|it| visit.may(it))
}

impl TicketsPage {
    fn new(shell: Shell, query: Query, tickets: Page<Ticket>, names: Names, may_add: bool) -> Self {
        let chosen = query.text("status").to_owned();
        let tab = |(value, label): &(&str, &'static str)| Tab {
            label,
            href: query.with("status", value).on("/tickets"),
            is_current: chosen == *value,
        };
        let all = Tab {
            label: "All",
            href: query.without("cursor").without("status").on("/tickets"),
            is_current: chosen.is_empty(),
        };
        Self {
            tabs: std::iter::once(all).chain(TABS.iter().map(tab)).collect(),
            next: tickets.next_cursor.map(|cursor| query.with("cursor", &cursor).on("/tickets")),
            first: query.get("cursor").map(|_| query.without("cursor").on("/tickets")),
            tickets: tickets.items,
            shell,
            query,
            names,
            may_add,
        }
    }

    fn is_narrowed(&self) -> bool {
        self.query.has_any(&["status", "kind"])
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples;

    pub(crate) const KEY: &str = "8mBQFVraP1gr";
    pub(crate) const NEXT_KEY: &str = "l46cwsjLaBH3";

    pub(crate) fn ticket(kind: &str, status: &str) -> Ticket {
        samples::of(json!({
            "id": KEY, "kind": kind, "status": status, "site_id": samples::SITE, "host_id": null,
            "host_name": null, "rejoin": false, "tags": [], "secrets": [], "require_key": true,
            "ephemeral_hours": null, "uses": 3, "max_uses": 50, "created_at": samples::ago(90_000),
            "expires_at": samples::NOW.plus(std::time::Duration::from_secs(500_000)), "rotation": null,
            "last_used_at": samples::ago(120), "last_host_id": samples::HOST,
        }))
    }

    /// A one-time token that nobody showed yet, with everything a ticket can carry.
    pub(crate) fn token() -> Ticket {
        let mut json = serde_json::to_value(ticket("enrolment_token", "open")).unwrap();
        json["id"] = NEXT_KEY.into();
        json["host_name"] = samples::HOSTILE.into();
        json["tags"] = json!(["web", "eu"]);
        json["secrets"] = json!(["repo"]);
        json["uses"] = 0.into();
        json["max_uses"] = json!(null);
        json["last_used_at"] = json!(null);
        json["last_host_id"] = json!(null);
        samples::of(json)
    }

    pub(crate) fn names() -> Names {
        let site = samples::site();
        let host = samples::host();
        Names {
            sites: HashMap::from([(site.id, site.name)]),
            hosts: HashMap::from([(host.id, samples::HOSTILE.to_owned())]),
        }
    }

    impl TicketsPage {
        pub(crate) fn sample() -> Self {
            let mut spent = ticket("registration_token", "spent");
            spent.host_id = spent.last_host_id;
            spent.uses = 1;
            spent.max_uses = None;
            let tickets = vec![token(), ticket("site_key", "rotated"), spent];
            let page = Page { items: tickets, next_cursor: Some("next".to_owned()) };
            Self::new(Shell::sample("Tickets", "/tickets"), Query::parse(""), page, names(), true)
        }
    }

    #[test]
    fn the_list_of_tickets() {
        samples::check("tickets", &TicketsPage::sample());
    }

    #[test]
    fn an_empty_list_says_what_to_do() {
        let page = |query, may_add| {
            let shell = Shell::sample("Tickets", "/tickets");
            let none = Page { items: Vec::new(), next_cursor: None };
            TicketsPage::new(shell, Query::parse(query), none, Names::default(), may_add).render().unwrap()
        };
        assert!(page("", true).contains("Add the first host"));
        assert!(page("", false).contains("Ask an operator or owner"));
        assert!(page("status=revoked", true).contains("Show all tickets"));
    }
}
