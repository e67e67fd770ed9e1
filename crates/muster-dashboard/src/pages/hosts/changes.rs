//! `/hosts/changes`: one change of the chosen hosts: asked for, shown, then done exactly as shown.

use std::collections::HashMap;

use askama::Template;
use http::HeaderMap;
use muster_ids::SiteId;
use muster_wire::host_change::{ChangedHosts, HostChangePreview, HostOutcome, PreviewedHost};
use muster_wire::page::Page;
use muster_wire::site::Site;
use serde_json::{Value, json};

use crate::form::{Form, words};
use crate::markup::{self, Markup};
use crate::query::Query;
use crate::refusal::Refusal;
use crate::respond::{own_path, see_other};
use crate::shell::Shell;
use crate::visit::{Answered, Visit};
use crate::words::Tone;

#[derive(Template)]
#[template(path = "hosts_changes.html")]
pub(crate) struct ChangePage {
    shell: Shell,
    order: Order,
    sites: Vec<Site>,
    site_names: HashMap<SiteId, String>,
    /// What would become of each host; none while something is still to be said.
    preview: Option<HostChangePreview>,
    refusal: Option<Refusal>,
}

/// What is done to hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Tags,
    Suspend,
    Resume,
    Move,
    Retire,
}

/// What the form says.
#[derive(Debug, Clone)]
struct Order {
    action: Action,
    hosts: Vec<String>,
    add: String,
    remove: String,
    site_id: String,
    return_to: String,
}

/// `POST /hosts/changes`
pub(crate) async fn create(visit: Visit, form: Form) -> Answered {
    let return_to = own_path(form.raw("return_to"), "/hosts").to_owned();
    let (Some(action), hosts) = (Action::of(form.raw("action")), form.all("host")) else {
        return Ok(see_other(&return_to, &HeaderMap::new()));
    };
    if hosts.is_empty() {
        let query = Query::parse(return_to.split_once('?').map_or("", |(_, query)| query));
        return super::show(&visit, &query, Some("Tick at least one host first.".to_owned())).await;
    }
    let order = Order::of(&form, action, hosts, return_to);
    let Some(change) = order.change(form.is_ticked("said")) else {
        return show(&visit, order, None, None).await;
    };
    let mut stale = None;
    if let Some(version) = form.text("preview_version") {
        let request = json!({ "hosts": order.hosts, "change": change, "preview_version": version });
        match visit.api.post::<ChangedHosts>("/v1/hosts/changes", &request).await {
            Ok(changed) => {
                return Ok(see_other(&order.after(changed.changed), &HeaderMap::new()));
            }
            Err(refusal) if refusal.is_of_form() => stale = Some(refusal),
            Err(refusal) => return Err(refusal.into()),
        }
    }
    let request = json!({ "hosts": order.hosts, "change": change });
    match visit.api.post::<HostChangePreview>("/v1/hosts/changes/preview", &request).await {
        Ok(preview) => show(&visit, order, Some(preview), stale).await,
        Err(refusal) if refusal.is_of_form() => show(&visit, order, None, Some(refusal)).await,
        Err(refusal) => Err(refusal.into()),
    }
}

async fn show(
    visit: &Visit,
    order: Order,
    preview: Option<HostChangePreview>,
    refusal: Option<Refusal>,
) -> Answered {
    let sites = visit.api.get::<Page<Site>>("/v1/sites?limit=200").await?.items;
    visit.page(&ChangePage::new(visit.shell(order.action.heading()), order, sites, preview, refusal))
}

impl Action {
    const ALL: [Self; 5] = [Self::Tags, Self::Suspend, Self::Resume, Self::Move, Self::Retire];

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word() == word)
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Tags => "tags",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Move => "move",
            Self::Retire => "retire",
        }
    }

    const fn heading(self) -> &'static str {
        match self {
            Self::Tags => "Change tags",
            Self::Suspend => "Suspend hosts",
            Self::Resume => "Resume hosts",
            Self::Move => "Move hosts",
            Self::Retire => "Retire hosts",
        }
    }

    const fn says(self) -> &'static str {
        match self {
            Self::Tags => "Tags are added and taken away; every other tag stays.",
            Self::Suspend => {
                "They keep their keys and are refused everything until they are resumed. Jobs that run are cut off from the server."
            }
            Self::Resume => "They may connect again, take their jobs and secrets.",
            Self::Move => "They stay who they are; from then on the rules of the other site hold for them.",
            Self::Retire => "They are gone for good: keys revoked, secrets destroyed. This cannot be undone.",
        }
    }

    const fn verb(self) -> &'static str {
        match self {
            Self::Tags => "Change the tags of",
            Self::Suspend => "Suspend",
            Self::Resume => "Resume",
            Self::Move => "Move",
            Self::Retire => "Retire",
        }
    }
}

impl Order {
    fn of(form: &Form, action: Action, hosts: Vec<String>, return_to: String) -> Self {
        let text = |name: &str| form.raw(name).trim().to_owned();
        Self { action, hosts, add: text("add"), remove: text("remove"), site_id: text("site_id"), return_to }
    }

    /// Returns the change as the API takes it; none while it is not said which tags, or which site.
    fn change(&self, is_said: bool) -> Option<Value> {
        let kind = self.action.word();
        match self.action {
            Action::Tags if !is_said && self.add.is_empty() && self.remove.is_empty() => None,
            Action::Tags => {
                Some(json!({ "kind": kind, "add": words(&self.add), "remove": words(&self.remove) }))
            }
            Action::Move if self.site_id.is_empty() => None,
            Action::Move => Some(json!({ "kind": kind, "site_id": self.site_id })),
            Action::Suspend | Action::Resume | Action::Retire => Some(json!({ "kind": kind })),
        }
    }

    /// Returns where to go after it was done.
    fn after(&self, changed: u32) -> String {
        let (path, query) = self.return_to.split_once('?').unwrap_or((&self.return_to, ""));
        let query = Query::parse(query);
        if path == "/hosts" {
            return query.and("changed", &changed.to_string()).on(path);
        }
        query.and("done", if changed == 0 { "unchanged" } else { "changed" }).on(path)
    }
}

impl ChangePage {
    fn new(
        shell: Shell,
        order: Order,
        sites: Vec<Site>,
        preview: Option<HostChangePreview>,
        refusal: Option<Refusal>,
    ) -> Self {
        let site_names = sites.iter().map(|site| (site.id, site.name.to_string())).collect();
        Self { shell, order, sites, site_names, preview, refusal }
    }

    fn is(&self, action: Action) -> bool {
        self.order.action == action
    }

    fn count(&self) -> String {
        hosts(self.order.hosts.len())
    }

    /// Names the button that does it: how many really change.
    fn button(&self, preview: &HostChangePreview) -> String {
        format!("{} {}", self.order.action.verb(), hosts(preview.changes as usize))
    }

    fn outcome(&self, item: &PreviewedHost) -> Markup {
        match item.outcome {
            HostOutcome::Changes => markup::tinted("changes", Tone::Busy),
            HostOutcome::Stays => markup::tinted("is so already", Tone::Quiet),
            HostOutcome::Refused => markup::tinted("cannot", Tone::Bad),
        }
    }

    /// Says what becomes of a host, or why it cannot.
    fn becomes(&self, item: &PreviewedHost) -> String {
        if let Some(refused) = &item.refused {
            return refused.detail.clone();
        }
        if let Some(after) = &item.tags_after {
            let tags: Vec<&str> = after.iter().map(muster_wire::text::Tag::as_str).collect();
            return if tags.is_empty() { "no tags".to_owned() } else { format!("tags: {}", tags.join(", ")) };
        }
        if let Some(lost) = &item.retirement {
            let connected = if lost.connected { "connected now; " } else { "" };
            return format!(
                "{connected}loses {}, {}, {}",
                counted(lost.keys.len(), "key"),
                counted(lost.secrets.len(), "secret"),
                counted(lost.open_jobs as usize, "open job"),
            );
        }
        let site = self.site_names.get(&item.site_id).map_or("another site", String::as_str);
        match self.order.action {
            Action::Move => format!("stands at {site} now"),
            _ => String::new(),
        }
    }

    fn target(&self) -> Option<&str> {
        let id: SiteId = self.order.site_id.parse().ok()?;
        self.site_names.get(&id).map(String::as_str)
    }

    fn error(&self, pointer: &str) -> Option<String> {
        self.refusal.as_ref()?.of_field(pointer)
    }
}

fn hosts(count: usize) -> String {
    counted(count, "host")
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, HOST, HOSTILE, OTHER_HOST, SITE, of};

    fn order(fields: &[(&str, &str)]) -> Order {
        let form = Form::of(fields);
        let action = Action::of(form.raw("action")).unwrap();
        Order::of(&form, action, form.all("host"), form.raw("return_to").to_owned())
    }

    fn page(fields: &[(&str, &str)], preview: Option<HostChangePreview>) -> ChangePage {
        ChangePage::new(
            Shell::sample("Change", "/hosts/changes"),
            order(fields),
            vec![samples::site()],
            preview,
            None,
        )
    }

    fn preview(retire: bool) -> HostChangePreview {
        let lost = |id: &str| {
            retire.then(|| {
                json!({ "host_id": id, "name": "web-01", "connected": true, "keys": [samples::KEY], "secrets": ["repo"],
                    "open_jobs": 1, "open_claims": 0, "preview_version": "v" })
            })
        };
        let tags = (!retire).then(|| json!(["eu", "web"]));
        let item = |id: &str, name: &str, outcome: &str, refused: Value| {
            json!({ "host_id": id, "name": name, "state": "active", "site_id": SITE, "tags": ["web"], "outcome": outcome,
                "refused": refused, "tags_after": tags, "retirement": lost(id) })
        };
        of(json!({
            "items": [
                item(HOST, "web-01", "changes", Value::Null),
                item(OTHER_HOST, HOSTILE, "refused", json!({ "code": "host_retired", "detail": "a retired host stays as it is" })),
            ],
            "changes": 1, "preview_version": "v1",
        }))
    }

    const CHOSEN: [(&str, &str); 3] = [("host", HOST), ("host", OTHER_HOST), ("return_to", "/hosts?tag=web")];

    fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
        CHOSEN.iter().chain(more).copied().collect()
    }

    #[test]
    fn a_change_is_shown_host_by_host() {
        samples::check(
            "hosts_changes_tags",
            &page(&with(&[("action", "tags"), ("add", "eu")]), Some(preview(false))),
        );
        samples::check("hosts_changes_retire", &page(&with(&[("action", "retire")]), Some(preview(true))));
    }

    #[test]
    fn what_is_not_said_yet_is_asked_for() {
        let tags = page(&with(&[("action", "tags")]), None).render().unwrap();
        assert!(tags.contains("name=\"add\"") && !tags.contains("preview_version"));
        let site = page(&with(&[("action", "move")]), None).render().unwrap();
        assert!(site.contains("<select name=\"site_id\""));
        assert_eq!(site.matches("name=\"host\"").count(), 2, "the chosen hosts go along");
    }

    #[test]
    fn why_the_chosen_hosts_do_not_hold_is_said() {
        let mut view = page(&with(&[("action", "suspend")]), None);
        view.refusal = Some(Refusal {
            status: http::StatusCode::BAD_REQUEST,
            problem: Some(of(json!({
                "type": "x", "title": "x", "status": 400, "detail": "x", "instance": "x", "code": "validation",
                "errors": [{ "pointer": "/hosts", "code": "too_many" }],
            }))),
            retry_after_secs: None,
        });
        assert!(view.render().unwrap().contains("These are too many."));
    }

    #[test]
    fn a_change_is_told_as_the_api_takes_it() {
        let tags = order(&with(&[("action", "tags"), ("add", "a, b"), ("remove", "c")]));
        assert_eq!(
            tags.change(false).unwrap(),
            json!({ "kind": "tags", "add": ["a", "b"], "remove": ["c"] })
        );
        assert_eq!(order(&with(&[("action", "tags")])).change(false), None);
        assert_eq!(order(&with(&[("action", "move")])).change(true), None);
        assert_eq!(order(&with(&[("action", "retire")])).change(false).unwrap(), json!({ "kind": "retire" }));
    }

    #[test]
    fn one_comes_back_to_where_one_was() {
        assert_eq!(order(&with(&[("action", "retire")])).after(2), "/hosts?tag=web&changed=2");
        let one = order(&[("host", HOST), ("action", "suspend"), ("return_to", "/hosts/host_1/manage")]);
        assert_eq!(
            [one.after(1), one.after(0)],
            ["/hosts/host_1/manage?done=changed", "/hosts/host_1/manage?done=unchanged"]
        );
    }
}
