//! `/hosts/{host_id}/manage`: tags, site, suspending, a token to join with, and the way out.

use askama::Template;
use http::HeaderMap;
use muster_ids::HostId;
use muster_wire::host::{Host, HostState};
use muster_wire::page::Page;
use muster_wire::site::Site;
use muster_wire::ticket::MintedTicket;
use serde_json::{Value, json};

use super::frame::{self, Frame, Tab};
use crate::form::Form;
use crate::pages::tickets;
use crate::path::Named;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

#[derive(Template)]
#[template(path = "host_manage.html")]
pub(crate) struct ManagePage {
    shell: Shell,
    frame: Frame,
    tags: String,
    sites: Vec<Site>,
    once: String,
    refusal: Option<Refusal>,
}

/// `GET /hosts/{host_id}/manage`
pub(crate) async fn get(visit: Visit, Named(id): Named<HostId>) -> Answered {
    let frame = Frame::load(&visit, id, Tab::Manage).await?;
    show(&visit, frame, None, None).await
}

async fn show(visit: &Visit, frame: Frame, tags: Option<String>, refusal: Option<Refusal>) -> Answered {
    let sites = visit.api.get::<Page<Site>>("/v1/sites?limit=200").await?.items;
    let shell = frame::shell(visit, &frame);
    let mut page = ManagePage::new(shell, frame, sites, visit.once());
    page.tags = tags.unwrap_or(page.tags);
    page.refusal = refusal;
    visit.page(&page)
}

/// `POST /hosts/{host_id}/tags`
pub(crate) async fn set_tags(visit: Visit, Named(id): Named<HostId>, form: Form) -> Answered {
    let mut frame = Frame::load(&visit, id, Tab::Manage).await?;
    let path = format!("/v1/hosts/{}/tags", frame.host.id);
    match visit.api.put::<Host>(&path, &json!({ "tags": form.words("tags") })).await {
        Ok(_) => Ok(done(&frame, "tags")),
        Err(refusal) if refusal.is_of_form() => {
            frame.refuse(&refusal);
            show(&visit, frame, Some(form.raw("tags").to_owned()), Some(refusal)).await
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// `POST /hosts/{host_id}/resume`
pub(crate) async fn resume(visit: Visit, Named(id): Named<HostId>, _: Form) -> Answered {
    let mut frame = Frame::load(&visit, id, Tab::Manage).await?;
    match visit.api.post::<Host>(&format!("/v1/hosts/{}/resume", frame.host.id), &()).await {
        Ok(_) => Ok(done(&frame, "resumed")),
        Err(refusal) if refusal.is_of_form() => {
            frame.refuse(&refusal);
            show(&visit, frame, None, None).await
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// `POST /hosts/{host_id}/token`: a token to register with, or to rejoin, shown once.
pub(crate) async fn mint(visit: Visit, Named(id): Named<HostId>, form: Form) -> Answered {
    let mut frame = Frame::load(&visit, id, Tab::Manage).await?;
    let path = format!("/v1/hosts/{}/registration-token", frame.host.id);
    let request = token_request(&form, frame.host.state);
    match visit.api.post_once::<MintedTicket>(&path, &request, form.key().as_ref()).await {
        Ok(minted) => tickets::minted::show(&visit, minted.body, Some(note(&frame))).await,
        Err(refusal) if refusal.is_of_form() => {
            frame.refuse(&refusal);
            show(&visit, frame, None, Some(refusal)).await
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Says what the token is for.
fn note(frame: &Frame) -> String {
    let name = &frame.host.name;
    match frame.host.state {
        HostState::Invited => {
            format!("It lets a machine join as {name}. Tokens made for it before are void.")
        }
        _ => format!(
            "It lets the machine of {name} come back as the same host, with a new key; the former key ends then."
        ),
    }
}

fn token_request(form: &Form, state: HostState) -> Value {
    let mut request = json!({ "rejoin": state != HostState::Invited });
    if let Some(seconds) = form.number("expires_in_secs") {
        request["expires_in_secs"] = seconds;
    }
    request
}

fn done(frame: &Frame, what: &str) -> axum::response::Response {
    see_other(&frame.path(&format!("/manage?done={what}")), &HeaderMap::new())
}

impl ManagePage {
    fn new(shell: Shell, frame: Frame, sites: Vec<Site>, once: String) -> Self {
        let tags: Vec<&str> = frame.host.tags.iter().map(muster_wire::text::Tag::as_str).collect();
        let tags = tags.join(" ");
        let sites = sites.into_iter().filter(|site| site.id != frame.host.site_id).collect();
        Self { shell, tags, sites, once, refusal: None, frame }
    }

    fn error(&self, pointer: &str) -> Option<String> {
        self.refusal.as_ref()?.of_field(pointer)
    }

    /// Whether it may be let work again: it is suspended, or held with nobody's claim to decide.
    fn may_resume(&self) -> bool {
        let is_held = self.frame.host.held.is_some_and(|held| held.claim_id.is_none());
        self.is(HostState::Suspended) || is_held
    }

    fn is(&self, state: HostState) -> bool {
        self.frame.is(state)
    }

    fn may_nothing(&self) -> bool {
        !self.frame.may.operate && !self.frame.may.manage
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, HOSTILE, of};

    fn page(state: &str) -> ManagePage {
        let mut json = serde_json::to_value(samples::host()).unwrap();
        json["state"] = state.into();
        let frame = Frame::of(of(json), Tab::Manage);
        let mut other = serde_json::to_value(samples::site()).unwrap();
        other["id"] = "site_01890a5dac96774bbcceb302099a80aa".into();
        other["name"] = HOSTILE.into();
        let shell = Shell::sample("web-01", &frame.path("/manage"));
        ManagePage::new(shell, frame, vec![samples::site(), of(other)], "once-12345".to_owned())
    }

    #[test]
    fn the_ways_to_change_a_host() {
        samples::check("host_manage", &page("active"));
    }

    #[test]
    fn what_can_be_done_is_as_the_host_stands() {
        let html = |state| page(state).render().unwrap();
        assert!(html("suspended").contains("/resume\"") && !html("suspended").contains("value=\"suspend\""));
        assert!(html("invited").contains("A token to join") && html("active").contains("A token to rejoin"));
        assert!(!html("retired").contains("<form method=\"post\" action=\"/hosts/"));
    }

    #[test]
    fn who_may_change_nothing_is_told_so() {
        let mut view = page("active");
        view.frame.may = frame::May::by(|_| false);
        let html = view.render().unwrap();
        assert!(html.contains("Ask an owner") && !html.contains("action=\"/hosts/"), "{html}");
    }

    #[test]
    fn a_host_that_joined_gets_a_token_to_rejoin() {
        let form = Form::of(&[("expires_in_secs", "3600")]);
        assert_eq!(
            token_request(&form, HostState::Active),
            json!({ "rejoin": true, "expires_in_secs": 3600 })
        );
        assert_eq!(token_request(&Form::default(), HostState::Invited), json!({ "rejoin": false }));
    }
}
