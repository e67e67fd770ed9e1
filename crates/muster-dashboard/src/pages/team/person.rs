//! `/team/people/{user_id}`: a member, their role, and what goes when they are removed.

use askama::Template;
use http::HeaderMap;
use muster_ids::UserId;
use muster_wire::invitation::{Invitation, InvitationStatus};
use muster_wire::page::Page;
use muster_wire::people::{Person, Role};
use muster_wire::token::{ApiToken, ApiTokenStatus};
use serde_json::{Value, json};

use super::roles;
use crate::form::Form;
use crate::path::Named;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

#[derive(Template)]
#[template(path = "team_person.html")]
pub(crate) struct PersonPage {
    shell: Shell,
    person: Person,
    is_me: bool,
    roles: &'static [Role],
    chosen: Role,
    refusal: Option<Refusal>,
}

#[derive(Template)]
#[template(path = "team_remove.html")]
pub(crate) struct RemovePage {
    shell: Shell,
    person: Person,
    is_me: bool,
    tokens: Vec<ApiToken>,
    invitations: Vec<Invitation>,
    /// Whether there may be more of them than these.
    may_be_more: bool,
    refusal: Option<Refusal>,
}

/// `GET /team/people/{user_id}`
pub(crate) async fn get(visit: Visit, Named(id): Named<UserId>) -> Answered {
    show(&visit, id, None, None).await
}

/// `POST /team/people/{user_id}/role`
pub(crate) async fn set_role(visit: Visit, Named(id): Named<UserId>, form: Form) -> Answered {
    let path = format!("{}/role", path_of(id));
    let role = form.raw("role");
    match visit.api.put::<Person>(&path, &json!({ "role": role })).await {
        Ok(_) => Ok(see_other("/team?done=role", &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => {
            let chosen = Role::ALL.into_iter().find(|known| known.as_str() == role);
            show(&visit, id, chosen, Some(refusal)).await
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// `GET /team/people/{user_id}/remove`
pub(crate) async fn preview(visit: Visit, Named(id): Named<UserId>) -> Answered {
    show_removal(&visit, id, None).await
}

/// `POST /team/people/{user_id}/remove`
pub(crate) async fn remove(visit: Visit, Named(id): Named<UserId>, _: Form) -> Answered {
    let path = format!("{}/remove", path_of(id));
    match visit.api.post::<Value>(&path, &json!({})).await {
        Ok(_) => Ok(see_other("/team?done=removed", &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => show_removal(&visit, id, Some(refusal)).await,
        Err(refusal) => Err(refusal.into()),
    }
}

/// Returns the path of a person in the API.
fn path_of(id: UserId) -> String {
    format!("/v1/people/{id}")
}

async fn show(visit: &Visit, id: UserId, chosen: Option<Role>, refusal: Option<Refusal>) -> Answered {
    let path = path_of(id);
    let person: Person = visit.api.get(&path).await?;
    visit.page(&PersonPage {
        shell: visit.shell(&person.name),
        is_me: person.id == visit.me.user_id,
        roles: roles(visit),
        chosen: chosen.unwrap_or(person.role),
        person,
        refusal,
    })
}

async fn show_removal(visit: &Visit, id: UserId, refusal: Option<Refusal>) -> Answered {
    let path = path_of(id);
    let (person, tokens, invitations) = tokio::join!(
        visit.api.get::<Person>(&path),
        visit.api.get::<Page<ApiToken>>("/v1/tokens?limit=200&order=desc"),
        visit.api.get::<Page<Invitation>>("/v1/invitations?limit=200&order=desc"),
    );
    let person = person?;
    let tokens = tokens?;
    let invitations = invitations?;
    let shell = visit.shell(&format!("Remove {}", person.name));
    let is_me = person.id == visit.me.user_id;
    visit.page(&RemovePage::new(shell, is_me, person, tokens, invitations, refusal))
}

impl RemovePage {
    fn new(
        shell: Shell,
        is_me: bool,
        person: Person,
        tokens: Page<ApiToken>,
        invitations: Page<Invitation>,
        refusal: Option<Refusal>,
    ) -> Self {
        let may_be_more = tokens.next_cursor.is_some() || invitations.next_cursor.is_some();
        let is_theirs = |token: &ApiToken| token.user_id == person.id && token.status == ApiTokenStatus::Live;
        let id = person.id.to_string();
        let is_open = |invitation: &Invitation| {
            invitation.created_by == id && invitation.status == InvitationStatus::Open
        };
        Self {
            shell,
            is_me,
            tokens: tokens.items.into_iter().filter(is_theirs).collect(),
            invitations: invitations.items.into_iter().filter(is_open).collect(),
            person,
            may_be_more,
            refusal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ADA, BOB, person};
    use super::*;
    use crate::pages::team::{invitations, roles_of, tokens};
    use crate::samples::{self, HOSTILE};

    impl PersonPage {
        pub(crate) fn sample() -> Self {
            Self {
                shell: Shell::sample(HOSTILE, "/team/people/x"),
                person: person(BOB, HOSTILE, "viewer"),
                is_me: false,
                roles: roles_of(false),
                chosen: Role::Viewer,
                refusal: None,
            }
        }
    }

    impl RemovePage {
        pub(crate) fn sample() -> Self {
            let shell = Shell::sample("Remove Ada", "/team/people/x/remove");
            let page = |items| Page { items, next_cursor: None };
            let ada = person(ADA, HOSTILE, "owner");
            Self::new(shell, false, ada, page(tokens::tests::sample()), page2(), None)
        }
    }

    fn page2() -> Page<Invitation> {
        Page { items: invitations::tests::sample(), next_cursor: None }
    }

    #[test]
    fn a_member_and_their_role() {
        samples::check("team_person", &PersonPage::sample());
    }

    #[test]
    fn what_goes_with_a_member() {
        let page = RemovePage::sample();
        assert_eq!((page.tokens.len(), page.invitations.len()), (1, 1), "only theirs, and only what is good");
        samples::check("team_remove", &page);
    }

    #[test]
    fn nobody_is_shown_a_way_to_set_their_own_role() {
        let html = PersonPage { is_me: true, ..PersonPage::sample() }.render().unwrap();
        assert!(!html.contains("name=\"role\"") && html.contains("Nobody sets their own role"));
    }
}
