//! `/team`: the members of the team, with its invitations and API tokens beside them.

pub(crate) mod invitations;
pub(crate) mod person;
pub(crate) mod tokens;

use askama::Template;
use muster_ids::UserId;
use muster_wire::page::Page;
use muster_wire::people::{Person, Role};
use muster_wire::permission::Permission;

use crate::query::Query;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

#[derive(Template)]
#[template(path = "team.html")]
pub(crate) struct TeamPage {
    shell: Shell,
    head: Head,
    people: Vec<Person>,
    me: UserId,
    done: Option<&'static str>,
    next: Option<String>,
    first: Option<String>,
}

/// What stands above the pages of a team.
pub(crate) struct Head {
    tab: &'static str,
    /// Whether this person invites and removes people.
    may_manage: bool,
    /// Whether they make teams.
    may_make_teams: bool,
}

impl Head {
    fn new(visit: &Visit, tab: &'static str) -> Self {
        let (may_manage, may_make_teams) =
            (visit.may(Permission::ManagePeople), visit.may(Permission::ManageTeams));
        Self { tab, may_manage, may_make_teams }
    }

    #[cfg(test)]
    fn sample(tab: &'static str) -> Self {
        Self { tab, may_manage: true, may_make_teams: true }
    }
}

/// Returns the roles there are in the team one looks at: admins stand in the platform's own team, owners in the others.
fn roles(visit: &Visit) -> &'static [Role] {
    let is_platform = visit.me.role == Role::Admin && visit.team_id == visit.me.team_id;
    roles_of(is_platform)
}

const fn roles_of(is_platform: bool) -> &'static [Role] {
    match is_platform {
        true => &[Role::Admin, Role::Operator, Role::Viewer],
        false => &[Role::Owner, Role::Operator, Role::Viewer],
    }
}

/// Returns what a page says after something was done, by the word in its address.
fn done(word: &str) -> Option<&'static str> {
    match word {
        "role" => {
            Some("The role is set. Whoever it is signs in again, and what they had invited is revoked.")
        }
        "removed" => Some("They are removed, with everything they signed in with."),
        "revoked" => Some("It is revoked."),
        _ => None,
    }
}

/// Returns the path of a page of a list, as long as lists are.
pub(crate) fn list_path(query: &Query, path: &str) -> String {
    let path = query.only(&["cursor"]).on(path);
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}limit=200")
}

/// Returns the path of a page of a list whose newest come first.
pub(crate) fn newest_path(query: &Query, path: &str) -> String {
    format!("{}&order=desc", list_path(query, path))
}

/// `GET /team`
pub(crate) async fn list(visit: Visit) -> Answered {
    let people: Page<Person> = visit.api.get(&list_path(&visit.query, "/v1/people")).await?;
    let (next, first) = visit.query.ways("/team", people.next_cursor.as_deref());
    visit.page(&TeamPage {
        shell: visit.shell("Team"),
        head: Head::new(&visit, "people"),
        people: people.items,
        me: visit.me.user_id,
        done: done(visit.query.text("done")),
        next,
        first,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples::{self, HOSTILE, TEAM, ago, of};

    pub(super) const ADA: &str = "user_01890a5dac96774bbcceb302099a8010";
    pub(super) const BOB: &str = "user_01890a5dac96774bbcceb302099a8011";

    pub(super) fn person(id: &str, name: &str, role: &str) -> Person {
        of(json!({
            "id": id, "team_id": TEAM, "name": name, "role": role, "login": "ada", "has_second_factor": true,
            "created_at": ago(8_000_000), "signed_in_at": ago(4_000), "removed_at": null,
        }))
    }

    impl TeamPage {
        pub(crate) fn sample() -> Self {
            let ada = person(ADA, "Ada Lovelace", "owner");
            let bob = Person {
                login: None,
                has_second_factor: Some(false),
                signed_in_at: None,
                ..person(BOB, HOSTILE, "viewer")
            };
            Self {
                shell: Shell::sample("Team", "/team"),
                head: Head::sample("people"),
                me: ada.id,
                people: vec![ada, bob],
                done: done("role"),
                next: None,
                first: None,
            }
        }
    }

    #[test]
    fn the_members_of_a_team() {
        samples::check("team", &TeamPage::sample());
    }

    #[test]
    fn who_may_not_manage_people_is_shown_no_way_to() {
        let mut page = TeamPage::sample();
        page.head.may_manage = false;
        for person in &mut page.people {
            person.has_second_factor = None;
        }
        let html = page.render().unwrap();
        assert!(
            !html.contains("/team/people/")
                && !html.contains("/team/invite\"")
                && !html.contains("/team/tokens")
        );
        assert!(html.contains("Owners of the team"), "it is said who does");
        assert!(!html.contains("Second factor"), "what the API hides is not a column of nothing");
    }

    #[test]
    fn a_lone_member_is_told_how_others_come() {
        let mut page = TeamPage::sample();
        page.people.truncate(1);
        assert!(page.render().unwrap().contains("You are alone here"));
    }

    #[test]
    fn admins_stand_in_the_platforms_team_and_owners_in_the_others() {
        assert!(roles_of(true).contains(&Role::Admin) && !roles_of(true).contains(&Role::Owner));
        assert!(!roles_of(false).contains(&Role::Admin) && roles_of(false).contains(&Role::Owner));
    }
}
