//! What stands around every page of a signed-in person: the way to the other pages, who they are, the team.

use muster_ids::Timestamp;
use muster_wire::happening::Happening;
use muster_wire::people::Role;
use muster_wire::permission::Permission;

use crate::assets;
use crate::markup::{self, Markup};
use crate::telling::Names;
use crate::visit::Visit;
use crate::words::Worded;

/// The frame of a page.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    pub(crate) title: String,
    pub(crate) now: Timestamp,
    pub(crate) nav: Vec<NavItem>,
    pub(crate) person: String,
    pub(crate) role: &'static str,
    pub(crate) team: String,
    pub(crate) teams: Vec<TeamChoice>,
    /// For which team the page is shown.
    pub(crate) shown_team: String,
    pub(crate) path: String,
    /// Where the page hears of what happens.
    pub(crate) stream: String,
    pub(crate) files: Files,
}

/// Where the browser finds its files.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) styles: String,
    pub(crate) htmx: String,
    pub(crate) live: String,
    pub(crate) icon: String,
}

/// A way to another page.
#[derive(Debug, Clone)]
pub(crate) struct NavItem {
    pub(crate) href: &'static str,
    pub(crate) label: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) is_current: bool,
}

/// A team an admin may look at.
#[derive(Debug, Clone)]
pub(crate) struct TeamChoice {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) is_current: bool,
}

/// Path, label, icon, and what one must be allowed to see it.
const NAV: &[(&str, &str, &str, Permission)] = &[
    ("/", "Overview", "overview", Permission::SeeFleet),
    ("/hosts", "Hosts", "host", Permission::SeeFleet),
    ("/approvals", "Approvals", "approve", Permission::SeeFleet),
    ("/sites", "Sites", "site", Permission::SeeFleet),
    ("/tickets", "Tickets", "ticket", Permission::SeeFleet),
    ("/jobs", "Jobs", "job", Permission::SeeFleet),
    ("/events", "Events", "event", Permission::ReadEvents),
    ("/webhooks", "Webhooks", "webhook", Permission::ManageEndpoints),
    ("/audit", "Audit", "audit", Permission::ReadAudit),
    ("/team", "Team", "team", Permission::SeePeople),
    ("/settings", "Settings", "settings", Permission::ManageInstallation),
];

impl Files {
    pub(crate) fn new() -> Self {
        Self {
            styles: assets::url("app.css"),
            htmx: assets::url("htmx-4.0.1.min.js"),
            live: assets::url("live.js"),
            icon: assets::url("favicon.svg"),
        }
    }
}

impl Shell {
    pub(crate) fn new(visit: &Visit, title: &str) -> Self {
        let path = visit.path.split('?').next().unwrap_or("/");
        let teams = visit.teams.iter().map(|team| TeamChoice {
            id: team.id.to_string(),
            name: team.name.clone(),
            is_current: team.id == visit.team_id,
        });
        let mut teams: Vec<TeamChoice> = teams.collect();
        if !teams.is_empty() && !teams.iter().any(|team| team.is_current) {
            // The team that is looked at is past those that are listed, and the API tells the name of none alone.
            let id = visit.team_id.to_string();
            teams.push(TeamChoice { name: Names::default().name("", &id), id, is_current: true });
        }
        let chosen = teams.iter().find(|team| team.is_current).map(|team| team.name.clone());
        Self {
            title: title.to_owned(),
            now: visit.now,
            nav: nav(path, &visit.me.permissions),
            person: visit.me.name.clone(),
            role: role_word(visit.me.role),
            team: chosen.unwrap_or_else(|| visit.me.team_name.clone()),
            teams,
            shown_team: visit.shown_team(),
            path: visit.path.clone(),
            stream: visit.read_after.map_or_else(|| "/live".to_owned(), |last| format!("/live?after={last}")),
            files: Files::new(),
        }
    }

    /// Returns the kinds of events a page may hear of.
    pub(crate) fn event_kinds(&self) -> String {
        let told = Happening::ALL.iter().filter(|kind| kind.is_told()).map(|kind| kind.as_str());
        told.collect::<Vec<_>>().join(" ")
    }

    /// Shows a moment: how long ago or ahead, and exactly on hover.
    pub(crate) fn time(&self, at: &Timestamp) -> Markup {
        markup::time(*at, self.now)
    }

    /// Shows a moment that may not have come.
    pub(crate) fn time_or(&self, at: &Option<Timestamp>, otherwise: &str) -> Markup {
        at.map_or_else(|| markup::quiet(otherwise), |at| markup::time(at, self.now))
    }

    /// Shows a state: a word, a shape and a colour.
    pub(crate) fn pill<W: Worded>(&self, state: &W) -> Markup {
        markup::pill(state)
    }

    /// Shows an icon.
    pub(crate) fn icon(&self, name: &str) -> Markup {
        markup::icon(name)
    }

    /// Shows text in one line that is copied with one click.
    pub(crate) fn copy(&self, text: &str, label: &str) -> Markup {
        markup::copy(text, label)
    }

    /// Shows an id, shortened, that is copied with one click.
    pub(crate) fn id(&self, id: &impl std::fmt::Display) -> Markup {
        markup::id(&id.to_string())
    }
}

fn nav(path: &str, permissions: &[Permission]) -> Vec<NavItem> {
    let is_current = |href: &str| {
        path == href || (href != "/" && path.strip_prefix(href).is_some_and(|rest| rest.starts_with('/')))
    };
    let shown = NAV.iter().filter(|(_, _, _, permission)| permissions.contains(permission));
    let items =
        shown.map(|(href, label, icon, _)| NavItem { href, label, icon, is_current: is_current(href) });
    items.collect()
}

fn role_word(role: Role) -> &'static str {
    role.as_str()
}

#[cfg(test)]
impl Shell {
    pub(crate) fn sample(title: &str, path: &str) -> Self {
        let now = crate::samples::NOW;
        Self {
            title: title.to_owned(),
            now,
            nav: nav(path, Permission::ALL),
            person: "Ada Lovelace".to_owned(),
            role: "owner",
            team: "Cedar".to_owned(),
            teams: Vec::new(),
            shown_team: "own".to_owned(),
            path: path.to_owned(),
            stream: "/live?after=4711".to_owned(),
            files: Files::sample(),
        }
    }
}

#[cfg(test)]
impl Files {
    /// Addresses that stay what they are when a file changes.
    pub(crate) fn sample() -> Self {
        Self {
            styles: "/assets/app.css".to_owned(),
            htmx: "/assets/htmx.js".to_owned(),
            live: "/assets/live.js".to_owned(),
            icon: "/assets/favicon.svg".to_owned(),
        }
    }
}
