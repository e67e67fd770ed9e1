//! `/teams`: every team of the installation, for admins; a new one, and its first owner.

use askama::Template;
use http::{HeaderMap, StatusCode};
use muster_ids::TeamId;
use muster_wire::page::Page;
use muster_wire::people::{MintedToken, Team};
use serde_json::{Value, json};

use super::team::list_path;
use crate::form::Form;
use crate::markup;
use crate::pages::shown_once::ShownOnce;
use crate::path::Named;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

#[derive(Template)]
#[template(path = "teams.html")]
pub(crate) struct TeamsPage {
    shell: Shell,
    teams: Vec<Team>,
    current: TeamId,
    /// The team of this person, which is the platform's own.
    own: TeamId,
    name: String,
    refusal: Option<Refusal>,
    next: Option<String>,
    first: Option<String>,
}

#[derive(Template)]
#[template(path = "team_owner.html")]
pub(crate) struct OwnerPage {
    shell: Shell,
    team: Team,
    once: String,
    name: String,
    refusal: Option<Refusal>,
}

/// `GET /teams`
pub(crate) async fn list(visit: Visit) -> Answered {
    show(&visit, "", None).await
}

/// `POST /teams`
pub(crate) async fn create(visit: Visit, form: Form) -> Answered {
    let request = json!({ "name": form.raw("name").trim() });
    match visit.api.post::<Value>("/v1/teams", &request).await {
        Ok(_) => Ok(see_other("/teams", &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => show(&visit, form.raw("name"), Some(refusal)).await,
        Err(refusal) => Err(refusal.into()),
    }
}

async fn show(visit: &Visit, name: &str, refusal: Option<Refusal>) -> Answered {
    let teams: Page<Team> = visit.api.get(&list_path(&visit.query, "/v1/teams")).await?;
    let (next, first) = visit.query.ways("/teams", teams.next_cursor.as_deref());
    visit.page(&TeamsPage {
        shell: visit.shell("Teams"),
        teams: teams.items,
        current: visit.team_id,
        own: visit.me.team_id,
        name: name.to_owned(),
        refusal,
        next,
        first,
    })
}

/// `GET /teams/{team_id}/owner`
pub(crate) async fn owner(visit: Visit, Named(id): Named<TeamId>) -> Answered {
    let team = find(&visit, id)?;
    show_owner(&visit, team, "", None)
}

/// `POST /teams/{team_id}/owner`
pub(crate) async fn create_owner(visit: Visit, Named(id): Named<TeamId>, form: Form) -> Answered {
    let team = find(&visit, id)?;
    let (path, key) = (format!("/v1/teams/{}/owners", team.id), form.key());
    let name = form.raw("name").trim();
    match visit.api.post_once::<MintedToken>(&path, &json!({ "name": name }), key.as_ref()).await {
        Ok(answer) => {
            let heading = format!("{name} owns the team {}", team.name);
            let says = "It is their first API token, good for ever and for everything an owner may. With it they set \
                        themselves a login: hand it over by a way that only they read.";
            let secret = (answer.body.token.as_str(), "Copy the token");
            let shell = visit.shell("New owner");
            visit.page(&ShownOnce::new(shell, (heading, markup::text(says)), secret, ("/teams", "all teams")))
        }
        Err(refusal) if refusal.is_of_form() => show_owner(&visit, team, name, Some(refusal)),
        Err(refusal) => Err(refusal.into()),
    }
}

fn show_owner(visit: &Visit, team: Team, name: &str, refusal: Option<Refusal>) -> Answered {
    let shell = visit.shell(&format!("New owner of {}", team.name));
    visit.page(&OwnerPage { shell, team, once: visit.once(), name: name.to_owned(), refusal })
}

fn find(visit: &Visit, id: TeamId) -> Result<Team, Refusal> {
    let found = visit.teams.iter().find(|team| team.id == id);
    found.cloned().ok_or_else(|| Refusal::of(StatusCode::NOT_FOUND))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, HOSTILE, TEAM, ago, of};

    const OTHER: &str = "team_01890a5dac96774bbcceb302099a8044";

    fn team(id: &str, name: &str) -> Team {
        of(json!({ "id": id, "name": name, "created_at": ago(9_000_000) }))
    }

    impl TeamsPage {
        pub(crate) fn sample() -> Self {
            let (own, other) = (team(TEAM, "platform"), team(OTHER, HOSTILE));
            Self {
                shell: Shell::sample("Teams", "/teams"),
                current: own.id,
                own: own.id,
                teams: vec![own, other],
                name: String::new(),
                refusal: None,
                next: None,
                first: None,
            }
        }
    }

    #[test]
    fn all_teams() {
        samples::check("teams", &TeamsPage::sample());
    }

    #[test]
    fn a_lone_platform_says_what_a_team_is_for() {
        let mut page = TeamsPage::sample();
        page.teams.truncate(1);
        assert!(page.render().unwrap().contains("Only the platform"));
    }

    #[test]
    fn the_form_of_an_owner() {
        let page = OwnerPage {
            shell: Shell::sample("New owner", "/teams/x/owner"),
            team: team(OTHER, HOSTILE),
            once: "once".to_owned(),
            name: String::new(),
            refusal: None,
        };
        samples::check("team_owner", &page);
    }
}
