//! `/hosts/add`: a door is chosen, what it will admit is shown, then the ticket is made and its line shown once.

mod typed;

use askama::Template;
use muster_wire::explanation::Explanation;
use muster_wire::host::InvitedHost;
use muster_wire::page::Page;
use muster_wire::permission::Permission;
use muster_wire::site::Site;
use muster_wire::ticket::{MintedTicket, TicketKind};
use serde_json::{Value, json};

use crate::form::Form;
use crate::pages::tickets::admits::Admits;
use crate::pages::tickets::minted;
use crate::pages::tickets::rotate::KEY_LIVES;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};
use crate::words::joining;
use typed::Typed;

/// Lives of a one-time ticket in seconds, that a person may choose.
const ONE_TIME_LIVES: &[u64] = &[900, 3_600, 86_400, 604_800, 2_592_000];
/// The life of a one-time ticket when nobody says otherwise.
const USUAL_LIFE: u64 = 3_600;

/// The doors: kind, what one wants, its name, when it is right.
const DOORS: &[(TicketKind, &str, &str, &str)] = &[
    (
        TicketKind::EnrolmentToken,
        "One machine, now",
        "One-time token",
        "You know that one machine will come. It joins once, with the name, tags and secrets you choose here.",
    ),
    (
        TicketKind::RegistrationToken,
        "A host before its machine",
        "Invitation",
        "The host stands in your lists from now on. The one machine that shows the invitation becomes it.",
    ),
    (
        TicketKind::SiteKey,
        "Many machines",
        "Site key",
        "For an image, network boot, a pallet of devices: any machine that shows it joins the site, as its rules allow.",
    ),
];

/// A door as it is offered.
#[derive(Debug, Clone)]
struct Door {
    number: u8,
    wants: &'static str,
    name: &'static str,
    says: &'static str,
    is_current: bool,
    /// Whether this person may mint its tickets.
    is_open: bool,
}

#[derive(Template)]
#[template(path = "add_host.html")]
pub(crate) struct AddPage {
    shell: Shell,
    doors: Vec<Door>,
    typed: Typed,
    sites: Vec<Site>,
    may_make_sites: bool,
    refusal: Option<Refusal>,
}

#[derive(Template)]
#[template(path = "add_host_preview.html")]
pub(crate) struct PreviewPage {
    shell: Shell,
    typed: Typed,
    site: String,
    /// What the ticket would admit.
    admits: Admits,
    once: String,
    may_give_secrets: bool,
    repo_url: String,
    repo_user: String,
    refusal: Option<Refusal>,
}

/// `GET /hosts/add`
pub(crate) async fn get(visit: Visit) -> Answered {
    let typed = Typed::of_query(&visit.query, first_door(&visit));
    form(&visit, typed, None).await
}

/// `GET /hosts/add/preview`: mints nothing.
pub(crate) async fn preview(visit: Visit) -> Answered {
    let typed = Typed::of_query(&visit.query, first_door(&visit));
    match explained(&visit, &typed).await {
        Ok(admits) => confirm(&visit, typed, admits, &Form::default(), None).await,
        Err(refusal) if refusal.is_of_form() => form(&visit, typed, Some(refusal)).await,
        Err(refusal) => Err(refusal.into()),
    }
}

/// `POST /hosts/add`
pub(crate) async fn create(visit: Visit, sent: Form) -> Answered {
    let typed = Typed::of_form(&sent);
    let refusal = match mint(&visit, &typed, &sent).await {
        Ok(minted) => return minted::show(&visit, minted, None).await,
        Err(refusal) if refusal.is_of_form() => refusal,
        Err(refusal) => return Err(refusal.into()),
    };
    match explained(&visit, &typed).await {
        Ok(admits) => confirm(&visit, typed, admits, &sent, Some(refusal)).await,
        Err(_) => form(&visit, typed, Some(refusal)).await,
    }
}

/// Asks what the ticket would admit. The API explains the invitation of a host that is there: of one that is not made
/// yet, it explains the one-time token with the same demands, which admits the same machine.
async fn explained(visit: &Visit, typed: &Typed) -> Result<Admits, Refusal> {
    let request = match typed.kind {
        TicketKind::EnrolmentToken => json!({ "enrolment_token": typed.request() }),
        TicketKind::RegistrationToken => json!({ "enrolment_token": typed.as_one_time_token().request() }),
        TicketKind::SiteKey => json!({ "site_key": typed.request() }),
    };
    let explanation: Explanation = visit.api.post("/v1/tickets/explain", &request).await?;
    Ok(match typed.kind {
        TicketKind::RegistrationToken => Admits::of_invitation(explanation),
        TicketKind::EnrolmentToken | TicketKind::SiteKey => Admits::new(explanation),
    })
}

async fn mint(visit: &Visit, typed: &Typed, form: &Form) -> Result<MintedTicket, Refusal> {
    let mut request = typed.request();
    let key = form.key();
    match typed.kind {
        TicketKind::EnrolmentToken => {
            if let Some(secrets) = secrets(form) {
                request["secrets"] = secrets;
            }
            Ok(visit.api.post_once("/v1/enrolment-tokens", &request, key.as_ref()).await?.body)
        }
        TicketKind::RegistrationToken => {
            let invited = visit.api.post_once::<InvitedHost>("/v1/hosts", &request, key.as_ref()).await?;
            let mut minted = invited.body.registration;
            // An invitation knows its host by id; the page names it as people do.
            minted.ticket.host_name.get_or_insert(invited.body.host.name);
            Ok(minted)
        }
        TicketKind::SiteKey => Ok(visit.api.post_once("/v1/site-keys", &request, key.as_ref()).await?.body),
    }
}

/// Returns the secrets that were typed: where and how the host backs up.
fn secrets(form: &Form) -> Option<Value> {
    let fields = [("url", "repo_url"), ("user", "repo_user")];
    let mut repo = json!({});
    for (field, name) in fields {
        if let Some(text) = form.text(name) {
            repo[field] = text.into();
        }
    }
    // Passwords are what was typed, with the space around it.
    for (field, name) in [("http_password", "repo_http_password"), ("password", "repo_password")] {
        if !form.raw(name).is_empty() {
            repo[field] = form.raw(name).into();
        }
    }
    let is_empty = repo.as_object().is_none_or(serde_json::Map::is_empty);
    (!is_empty).then(|| json!({ "repo": repo }))
}

async fn form(visit: &Visit, typed: Typed, refusal: Option<Refusal>) -> Answered {
    let sites: Page<Site> = visit.api.get("/v1/sites?limit=200").await?;
    let sites = sites.items;
    let may = |permission| visit.may(permission);
    let mut page = AddPage::new(visit.shell("Add a host"), typed, sites, &may);
    page.refusal = refusal;
    visit.page(&page)
}

async fn confirm(
    visit: &Visit,
    typed: Typed,
    admits: Admits,
    sent: &Form,
    refusal: Option<Refusal>,
) -> Answered {
    let site = match &typed.site_id {
        id if id.is_empty() => None,
        id => match id.parse::<muster_ids::SiteId>() {
            Ok(id) => visit.api.get_if_shown::<Site>(&format!("/v1/sites/{id}")).await?,
            Err(_) => None,
        },
    };
    visit.page(&PreviewPage {
        shell: visit.shell("Add a host"),
        site: site.map_or_else(|| "default".to_owned(), |site| site.name),
        may_give_secrets: visit.may(Permission::ManageSecrets),
        once: sent.text("once").unwrap_or_else(|| visit.once()),
        repo_url: sent.raw("repo_url").to_owned(),
        repo_user: sent.raw("repo_user").to_owned(),
        typed,
        admits,
        refusal,
    })
}

fn first_door(visit: &Visit) -> TicketKind {
    let open = DOORS.iter().map(|door| door.0).find(|kind| visit.may(joining::may_mint(*kind)));
    open.unwrap_or(TicketKind::EnrolmentToken)
}

impl AddPage {
    fn new(shell: Shell, typed: Typed, mut sites: Vec<Site>, may: &dyn Fn(Permission) -> bool) -> Self {
        // The site that is meant when nobody says one.
        sites.sort_by_key(|site| site.name != "default");
        let door =
            |(kind, wants, name, says): &(TicketKind, &'static str, &'static str, &'static str)| Door {
                number: kind.door(),
                wants,
                name,
                says,
                is_current: *kind == typed.kind,
                is_open: may(joining::may_mint(*kind)),
            };
        let doors = DOORS.iter().map(door).collect();
        Self { shell, doors, typed, sites, may_make_sites: may(Permission::ManageSites), refusal: None }
    }

    fn is_open(&self) -> bool {
        self.doors.iter().any(|door| door.is_current && door.is_open)
    }

    fn lives(&self) -> Vec<(String, String)> {
        let says = |secs: &u64| (secs.to_string(), joining::life(*secs));
        match self.typed.kind {
            TicketKind::SiteKey => {
                let ever = (String::new(), "when somebody revokes it".to_owned());
                let after = KEY_LIVES
                    .iter()
                    .map(|secs| (secs.to_string(), format!("after {}", joining::life(*secs))));
                std::iter::once(ever).chain(after).collect()
            }
            _ => ONE_TIME_LIVES.iter().map(says).collect(),
        }
    }

    fn life(&self) -> String {
        match (self.typed.kind, self.typed.life.as_str()) {
            (TicketKind::EnrolmentToken | TicketKind::RegistrationToken, "") => USUAL_LIFE.to_string(),
            (_, life) => life.to_owned(),
        }
    }

    fn error(&self, field: &str) -> Option<String> {
        error(self.refusal.as_ref(), field)
    }
}

impl PreviewPage {
    fn door(&self) -> &'static str {
        match self.typed.kind {
            TicketKind::EnrolmentToken => "one-time token",
            TicketKind::RegistrationToken => "invitation",
            TicketKind::SiteKey => "site key",
        }
    }

    fn error(&self, field: &str) -> Option<String> {
        error(self.refusal.as_ref(), field)
    }

    fn has_repo(&self) -> bool {
        !self.repo_url.is_empty() || self.error("secrets").is_some()
    }

    fn is_invitation(&self) -> bool {
        self.typed.kind == TicketKind::RegistrationToken
    }
}

/// Returns why a field does not hold, whether minting or explaining said so.
fn error(refusal: Option<&Refusal>, field: &str) -> Option<String> {
    let at = ["", "/enrolment_token", "/site_key"];
    at.iter().find_map(|at| refusal?.of_field(&format!("{at}/{field}")))
}

#[cfg(test)]
mod tests;
