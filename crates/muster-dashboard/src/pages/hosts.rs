//! `/hosts`: the one table of the fleet, every filter and column in the address.

pub(crate) mod changes;
pub(crate) mod columns;
pub(crate) mod seen;
pub(crate) mod views;

use std::collections::HashMap;

use askama::Template;
use http::HeaderMap;
use muster_ids::SiteId;
use muster_wire::host::Host;
use muster_wire::page::Page;
use muster_wire::permission::Permission;
use muster_wire::saved_view::SavedView;
use muster_wire::site::Site;
use muster_wire::when::When;

use self::columns::Column;
use crate::markup::{self, Markup};
use crate::query::Query;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};
use crate::words;

/// Parameters of the page that the list of the API takes.
pub(crate) const FILTERS: &[&str] = &[
    "q",
    "name",
    "state",
    "presence",
    "site_id",
    "tag",
    "door",
    "agent_version",
    "seen_before",
    "seen_after",
    "held",
    "kind",
    "limit",
    "cursor",
];
/// Filters without which the whole fleet is shown.
const NARROWING: &[&str] = &[
    "q",
    "name",
    "state",
    "presence",
    "site_id",
    "tag",
    "door",
    "agent_version",
    "seen",
    "seen_before",
    "seen_after",
    "held",
    "kind",
];
/// Those of them that stand behind "more".
const MORE: &[&str] = &["door", "agent_version", "seen", "seen_before", "seen_after", "held", "kind"];

#[derive(Template)]
#[template(path = "hosts.html")]
pub(crate) struct HostsPage {
    shell: Shell,
    query: Query,
    columns: Vec<Column>,
    rows: Vec<Row>,
    sites: Vec<Site>,
    views: Vec<View>,
    next: Option<String>,
    first: Option<String>,
    is_narrowed: bool,
    may_operate: bool,
    may_manage: bool,
    done: Option<String>,
    refused: Option<String>,
}

/// A host with the name of its site.
pub(crate) struct Row {
    host: Host,
    site: String,
}

/// A saved view as a link.
pub(crate) struct View {
    name: String,
    href: String,
    is_current: bool,
}

/// A filter that no field of the form says.
pub(crate) struct Unsaid {
    name: &'static str,
    value: String,
    words: &'static str,
    says: Markup,
    /// The list without it.
    without: String,
}

impl Row {
    fn agent_version(&self) -> Option<String> {
        let versions = &self.host.reported.as_ref()?.facts.versions;
        versions.iter().find(|(name, _)| name.as_str() == "agent").map(|(_, version)| version.to_string())
    }

    fn address(&self) -> Option<String> {
        self.host.reported.as_ref()?.facts.address.map(|address| address.to_string())
    }
}

/// `GET /hosts`
pub(crate) async fn list(visit: Visit) -> Answered {
    // Ticked boxes come one by one: the address says them in one word, and is worth sending on.
    let plain = Column::told_in(&visit.query);
    if !visit.by_script && visit.query.all("columns").len() > 1 {
        return Ok(see_other(&plain.on("/hosts"), &HeaderMap::new()));
    }
    show(&visit, &visit.query, None).await
}

/// Shows the list of a query, also after a form on it was refused.
pub(crate) async fn show(visit: &Visit, query: &Query, refused: Option<String>) -> Answered {
    let path = seen::resolved(query).only(FILTERS).on("/v1/hosts");
    let (hosts, sites, views) = tokio::join!(
        visit.api.get::<Page<Host>>(&path),
        visit.api.get::<Page<Site>>("/v1/sites?limit=200"),
        visit.api.get_if_shown::<Page<SavedView>>("/v1/me/views")
    );
    let hosts = hosts?;
    let sites = sites?;
    let views = views?;
    let views = views.map(|page| page.items).unwrap_or_default();
    let mut shell = visit.shell("Hosts");
    shell.path = query.on("/hosts");
    let mut page = HostsPage::new(shell, query, hosts, sites.items, views);
    page.may_operate = visit.may(Permission::OperateHosts);
    page.may_manage = visit.may(Permission::ManageHosts);
    page.refused = refused;
    visit.page(&page)
}

impl HostsPage {
    fn new(shell: Shell, query: &Query, hosts: Page<Host>, sites: Vec<Site>, views: Vec<SavedView>) -> Self {
        let done = told(query);
        let query = query.without("done").without("changed");
        let names: HashMap<SiteId, &str> = sites.iter().map(|site| (site.id, site.name.as_str())).collect();
        let name = |id| names.get(&id).copied().unwrap_or("another site").to_owned();
        let rows = hosts.items.into_iter().map(|host| Row { site: name(host.site_id), host }).collect();
        let present = views::of_api(&query);
        let query = seen::chosen(&query);
        let views = views.into_iter().map(|view| View {
            href: format!("/hosts?{}", view.query),
            is_current: view.query == present,
            name: view.name,
        });
        Self {
            columns: Column::of(&query),
            rows,
            views: views.collect(),
            next: hosts
                .next_cursor
                .map(|cursor| query.without("cursor").with("cursor", &cursor).on("/hosts")),
            first: query.get("cursor").map(|_| query.without("cursor").on("/hosts")),
            is_narrowed: query.has_any(NARROWING),
            may_operate: true,
            may_manage: true,
            done,
            refused: None,
            shell,
            query,
            sites,
        }
    }

    fn all_columns(&self) -> [Column; 12] {
        Column::ALL
    }

    fn shows(&self, column: &Column) -> bool {
        self.columns.contains(column)
    }

    /// Where the whole fleet is shown, in the columns that were chosen.
    fn all_hosts(&self) -> String {
        self.query.only(&["columns"]).on("/hosts")
    }

    fn is_more(&self) -> bool {
        self.query.has_any(MORE)
    }

    fn seen_choices(&self) -> Vec<(&'static str, &'static str)> {
        seen::choices()
    }

    /// Filters that no field of the form says, of a saved view.
    fn unsaid(&self) -> Vec<Unsaid> {
        let names = [("name", "called"), ("seen_before", "last seen before"), ("seen_after", "seen since")];
        let unsaid = |(name, words)| {
            let value = self.query.get(name)?.to_owned();
            let says = match value.parse() {
                Ok(When::At(at)) if name != "name" => self.shell.time(&at),
                Ok(When::Ago(_)) if name != "name" => markup::text(&format!("{value} ago")),
                _ => markup::text(&value),
            };
            let without = self.query.without(name).without("cursor").on("/hosts");
            Some(Unsaid { name, value, words, says, without })
        };
        names.into_iter().filter_map(unsaid).collect()
    }

    /// What stands in the address beside what a form of its own says.
    fn carried(&self, but: &[&str]) -> Vec<(String, String)> {
        let pairs =
            self.query.pairs().iter().filter(|(name, _)| !but.contains(&name.as_str()) && name != "cursor");
        pairs.cloned().collect()
    }

    /// Whether the site of the address is none of those one can choose.
    fn is_odd_site(&self) -> bool {
        let chosen = self.query.get("site_id");
        chosen.is_some_and(|id| self.sites.iter().all(|site| site.id.to_string() != id))
    }

    fn here(&self) -> String {
        self.query.on("/hosts")
    }

    fn query_text(&self) -> String {
        self.query.without("cursor").on("").trim_start_matches('?').to_owned()
    }

    fn cell(&self, row: &Row, column: &Column) -> Markup {
        let shell = &self.shell;
        let host = &row.host;
        let text = |text: &str| Markup::of_escaped(crate::markup::escape(text));
        match column {
            Column::Presence => shell.pill(&host.presence.status),
            Column::State => shell.pill(&host.state),
            Column::Site => text(&row.site),
            Column::Tags => self.tags(host),
            Column::System => host
                .reported
                .as_ref()
                .map_or_else(|| text(""), |reported| system(&reported.facts.os, &reported.facts.arch)),
            Column::Agent => text(&row.agent_version().unwrap_or_default()),
            Column::Seen => shell.time_or(&host.presence.last_seen_at, "never"),
            Column::Address => text(&row.address().unwrap_or_default()),
            Column::Door => text(host.door.map_or("", words::door)),
            Column::Kind => text(words::fleet::host_kind(host.kind)),
            Column::Hardware => text(
                &host.reported.as_ref().map(|reported| reported.machine_uid.to_string()).unwrap_or_default(),
            ),
            Column::Joined => shell.time_or(&host.enrolled_at, "not yet"),
        }
    }

    fn tags(&self, host: &Host) -> Markup {
        let tag = |tag: &muster_wire::text::Tag| {
            let href = crate::markup::escape(&self.query.with("tag", tag.as_str()).on("/hosts"));
            format!("<a class=\"tag\" href=\"{href}\">{}</a>", crate::markup::escape(tag.as_str()))
        };
        let tags: String = host.tags.iter().map(tag).collect();
        Markup::of_escaped(if tags.is_empty() { tags } else { format!("<span class=\"tags\">{tags}</span>") })
    }
}

/// Shows the system of a machine, and quietly what it is built for.
fn system(os: &impl std::fmt::Display, arch: &impl std::fmt::Display) -> Markup {
    let escape = |text: &dyn std::fmt::Display| crate::markup::escape(&text.to_string());
    Markup::of_escaped(format!(
        "<span>{} <small class=\"nowrap\">{}</small></span>",
        escape(os),
        escape(arch)
    ))
}

/// Says what was done by the form before.
fn told(query: &Query) -> Option<String> {
    if let Some(count) = query.get("changed").and_then(|count| count.parse::<u32>().ok()) {
        return Some(match count {
            0 => "Nothing had to be changed.".to_owned(),
            1 => "1 host was changed.".to_owned(),
            many => format!("{many} hosts were changed."),
        });
    }
    query.get("done").and_then(words::fleet::done).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples::{self, HOSTILE, ago, of};

    fn page(query: &str, hosts: Vec<Host>) -> HostsPage {
        let hosts = Page { items: hosts, next_cursor: Some("next".to_owned()) };
        let view =
            |name: &str, query: &str| of(json!({ "name": name, "query": query, "updated_at": ago(9) }));
        let views = vec![view("Web", "state=active&q=web"), view(HOSTILE, "tag=x")];
        HostsPage::new(
            Shell::sample("Hosts", "/hosts"),
            &Query::parse(query),
            hosts,
            vec![samples::site()],
            views,
        )
    }

    #[test]
    fn the_table_of_hosts() {
        samples::check("hosts", &page("state=active&q=web", samples::hosts()));
        samples::check(
            "hosts_columns",
            &page("columns=presence.address.door.hardware&held=true&seen=not-1d", samples::hosts()),
        );
    }

    #[test]
    fn an_empty_fleet_says_what_to_do() {
        let html = page("", Vec::new()).render().unwrap();
        assert!(
            html.contains("/hosts/add") && html.contains("data-bulk"),
            "a list that comes alive has its bar: {html}"
        );
        assert!(page("q=nobody", Vec::new()).render().unwrap().contains("Show all hosts"));
        let html = page("q=nobody&columns=site.tags", Vec::new()).render().unwrap();
        assert_eq!(html.matches("href=\"/hosts?columns=site.tags\"").count(), 2, "the columns stay: {html}");
    }

    #[test]
    fn who_may_change_nothing_sees_no_boxes() {
        let mut view = page("", samples::hosts());
        (view.may_operate, view.may_manage) = (false, false);
        let html = view.render().unwrap();
        assert!(!html.contains("name=\"host\"") && !html.contains("data-bulk"), "{html}");
        view.may_operate = true;
        let html = view.render().unwrap();
        assert!(html.contains("value=\"suspend\"") && !html.contains("value=\"retire\""));
    }

    #[test]
    fn the_present_view_is_marked_and_what_a_form_did_is_said() {
        let view = page("state=active&q=web&changed=3", samples::hosts());
        assert!(view.views[0].is_current && !view.views[1].is_current);
        assert_eq!(view.done.as_deref(), Some("3 hosts were changed."));
        assert!(!view.here().contains("changed="));
    }

    #[test]
    fn what_no_field_says_of_a_view_is_shown_kept_and_can_be_taken_away() {
        let view = page("seen_before=2026-11-01T00:00:00Z&q=a&seen_after=3d&name=web<1", Vec::new());
        let unsaid = view.unsaid();
        let shown: Vec<_> = unsaid.iter().map(|it| (it.name, it.says.to_string())).collect();
        assert_eq!(shown[0], ("name", "web&lt;1".to_owned()));
        assert!(shown[1].1.contains("2026-11-01T00:00:00.000Z"), "{shown:?}");
        assert_eq!(shown[2], ("seen_after", "3d ago".to_owned()));
        assert_eq!(unsaid[2].without, "/hosts?seen_before=2026-11-01T00%3A00%3A00Z&q=a&name=web%3C1");
        assert!(view.is_more() && view.is_narrowed);
        let html = view.render().unwrap();
        assert!(html.contains(r#"<input type="hidden" name="seen_after" value="3d">"#), "{html}");
    }

    #[test]
    fn a_span_of_a_view_is_the_choice_that_says_it() {
        let mut view = page("seen_before=7d", Vec::new());
        assert!(view.unsaid().is_empty() && view.is_more());
        assert!(view.render().unwrap().contains(r#"<option value="not-7d" selected>"#));
        view = page("tag=x&seen=not-1d", Vec::new());
        assert_eq!(views::of_api(&view.query), "tag=x&seen_before=1d");
    }
}
