//! A visit of a signed-in person: the API in their name, who they are, the team they look at.

use std::sync::{Arc, OnceLock};

use axum::extract::{FromRef, FromRequestParts};
use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use muster_edge::Entropy;
use muster_ids::{TeamId, Timestamp};
use muster_wire::event::Event;
use muster_wire::page::Page;
use muster_wire::people::{Me, Role, Team};
use muster_wire::permission::Permission;

use crate::api::Api;
use crate::browser::{accepts_pages, is_by_script, is_unattended};
use crate::query::Query;
use crate::refusal::{Refusal, Refused};
use crate::respond::{Rendered, page, render_bare, see_other};
use crate::router::Dashboard;
use crate::shell::Shell;
use crate::team_choice::{self, TeamChoice};

/// Says for which team the page was shown that a script refreshes.
const SHOWN_TEAM: HeaderName = HeaderName::from_static("muster-shown-team");
const HX_REFRESH: HeaderName = HeaderName::from_static("hx-refresh");

/// What every page answers with.
pub(crate) type Answered = Result<Response, Refused>;

/// A visit of a signed-in person.
pub(crate) struct Visit {
    pub(crate) api: Api,
    pub(crate) me: Me,
    /// The team whose things are shown.
    pub(crate) team_id: TeamId,
    /// The teams one may look at: all of them for admins, as far as they fit a choice.
    pub(crate) teams: Vec<Team>,
    pub(crate) now: Timestamp,
    /// The path with its query, to come back to.
    pub(crate) path: String,
    pub(crate) query: Query,
    /// Whether a script refreshes a part of a page.
    pub(crate) by_script: bool,
    /// Whether the path is of a page: that of a form is not one to fetch anything from.
    pub(crate) is_of_page: bool,
    /// The last event before anything of the page was read.
    pub(crate) read_after: Option<u64>,
    choice: TeamChoice,
    entropy: Entropy,
}

/// Where a visit leaves the frame of its page, for a refusal to be shown in.
#[derive(Debug, Clone, Default)]
pub(crate) struct SeenFrame(Arc<OnceLock<(Shell, Option<String>)>>);

impl SeenFrame {
    /// Returns the frame with the team that its forms say; none when nobody is signed in.
    pub(crate) fn shell(&self) -> Option<(Shell, Option<String>)> {
        self.0.get().cloned()
    }
}

/// Somebody who need not be signed in.
pub(crate) struct Stranger {
    pub(crate) entropy: Entropy,
    pub(crate) api: Api,
    pub(crate) query: Query,
}

impl Visit {
    /// Whether this person may do something; the API judges again when they do it.
    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.me.permissions.contains(&permission)
    }

    pub(crate) fn shell(&self, title: &str) -> Shell {
        Shell::new(self, title)
    }

    /// Names a showing of a form.
    pub(crate) fn once(&self) -> String {
        self.entropy.uuid(self.now).to_string()
    }

    /// Says which team a page or a form is shown for.
    pub(crate) fn shown_team(&self) -> String {
        self.choice.as_text()
    }

    /// Renders a page, whose forms say for which team they were shown; a failure is a refusal.
    pub(crate) fn page(&self, template: &impl askama::Template) -> Answered {
        match page(template, self.team_of_forms().as_deref()) {
            Rendered::Page(response) => Ok(response),
            Rendered::Failed(refusal) => Err(refusal.into()),
        }
    }

    /// Returns the team that forms say they are shown for: who can look at one alone need not say it.
    fn team_of_forms(&self) -> Option<String> {
        (self.me.role == Role::Admin).then(|| self.shown_team())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visit
where
    Dashboard: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let dashboard = Dashboard::from_ref(state);
        let refuse = |refusal: Refusal| Refused::from(refusal).into_response();
        let api = Api::new(dashboard.api, parts);
        let me: Me = api.get("/v1/me").await.map_err(refuse)?;
        let mut visit = Self {
            api,
            team_id: me.team_id,
            teams: Vec::new(),
            now: dashboard.clock.now(),
            path: parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            by_script: is_by_script(&parts.headers),
            is_of_page: parts.method.is_safe(),
            read_after: None,
            choice: TeamChoice::of(parts),
            entropy: dashboard.entropy,
            me,
        };
        if !visit.is_of_shown_team(&parts.headers) {
            return Err(page_anew());
        }
        visit.look_at_team(parts).await?;
        if is_whole_page(parts) {
            visit.read_after = visit.last_event().await;
        }
        if let Some(frame) = parts.extensions.get::<SeenFrame>() {
            let _ = frame.0.set((visit.shell(""), visit.team_of_forms()));
        }
        Ok(visit)
    }
}

/// Whether a browser asks for a page, not for a part of one, a file or a stream.
fn is_whole_page(parts: &Parts) -> bool {
    parts.method == Method::GET && !is_unattended(&parts.headers) && accepts_pages(&parts.headers)
}

impl Visit {
    /// Returns the position of the last event. The stream of the page goes on after it: nothing is missed in between.
    async fn last_event(&self) -> Option<u64> {
        let last: Page<Event> = self.api.get("/v1/events?order=desc&limit=1").await.ok()?;
        last.items.first().map(|event| event.position)
    }

    /// Whether a script refreshes a part of a page of the team that is looked at by now.
    fn is_of_shown_team(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(&SHOWN_TEAM).and_then(|value| value.to_str().ok());
        !self.by_script || shown.is_none_or(|shown| shown == self.choice.as_text())
    }

    /// Looks at the team an admin chose. One that cannot be looked at is given up, and said so: never another one instead.
    async fn look_at_team(&mut self, parts: &Parts) -> Result<(), Response> {
        let refuse = |refusal: Refusal| Refused::from(refusal).into_response();
        if self.me.role == Role::Admin && !self.by_script {
            let teams: Page<Team> = self.api.get("/v1/teams?limit=200").await.map_err(refuse)?;
            self.teams = teams.items;
        }
        let chosen = match self.choice {
            TeamChoice::Own => return Ok(()),
            TeamChoice::Team(team_id) => team_id,
            TeamChoice::Unreadable => return Err(give_up_choice(parts)),
        };
        if chosen == self.me.team_id {
            return Ok(());
        }
        if !self.by_script && !self.may_look_at(chosen).await.map_err(refuse)? {
            return Err(give_up_choice(parts));
        }
        (self.team_id, self.api) = (chosen, self.api.of_team(chosen));
        Ok(())
    }

    /// Whether this person may look at a team: it may be past those that are listed, and the API knows.
    pub(crate) async fn may_look_at(&self, team_id: TeamId) -> Result<bool, Refusal> {
        if self.teams.iter().any(|team| team.id == team_id) {
            return Ok(true);
        }
        let sites = self.api.of_team(team_id).get_if_shown::<serde_json::Value>("/v1/sites?limit=1").await?;
        Ok(sites.is_some())
    }
}

/// Lets a script load its whole page anew.
fn page_anew() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(HX_REFRESH, HeaderValue::from_static("true"));
    response
}

/// Takes a choice of team away that leads nowhere.
fn give_up_choice(parts: &Parts) -> Response {
    let mut cookies = HeaderMap::new();
    cookies.extend(team_choice::cookie(parts, None).map(|cookie| (SET_COOKIE, cookie)));
    if parts.method.is_safe() {
        return see_other("/", &cookies);
    }
    let mut response = render_bare(&Refusal::other_team());
    response.headers_mut().extend(cookies);
    response
}

impl<S: Send + Sync> FromRequestParts<S> for Stranger
where
    Dashboard: FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let dashboard = Dashboard::from_ref(state);
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        Ok(Self { entropy: dashboard.entropy, api: Api::new(dashboard.api, parts), query })
    }
}
