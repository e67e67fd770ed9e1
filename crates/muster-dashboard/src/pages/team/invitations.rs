//! `/team/invitations` and `/team/invite`: how people become members, by a link that is shown once.

use askama::Template;
use http::HeaderMap;
use muster_ids::InvitationId;
use muster_wire::invitation::{Invitation, InvitationStatus, MintedInvitation};
use muster_wire::page::Page;
use muster_wire::people::{Person, Role};
use serde_json::{Value, json};

use super::{Head, done, newest_path, roles};
use crate::form::Form;
use crate::markup::{self, Markup};
use crate::pages::shown_once::ShownOnce;
use crate::path::Named;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

/// How long an invitation may stand: seconds and words.
const LIVES: &[(u64, &str)] =
    &[(86_400, "1 day"), (259_200, "3 days"), (604_800, "1 week"), (2_592_000, "30 days")];
const LIVES_USUALLY: u64 = 259_200;

#[derive(Template)]
#[template(path = "team_invitations.html")]
pub(crate) struct InvitationsPage {
    shell: Shell,
    head: Head,
    rows: Vec<Row>,
    shows_all: bool,
    done: Option<&'static str>,
    next: Option<String>,
    first: Option<String>,
}

/// An invitation with the name of who made it.
pub(crate) struct Row {
    invitation: Invitation,
    by: String,
}

#[derive(Template)]
#[template(path = "team_invite.html")]
pub(crate) struct InvitePage {
    shell: Shell,
    once: String,
    name: String,
    role: String,
    expires_in_secs: u64,
    roles: &'static [Role],
    refusal: Option<Refusal>,
}

#[derive(Template)]
#[template(path = "invitation_revoke.html")]
pub(crate) struct RevokePage {
    shell: Shell,
    invitation: Invitation,
    refusal: Option<Refusal>,
}

/// `GET /team/invitations`
pub(crate) async fn list(visit: Visit) -> Answered {
    let path = newest_path(&visit.query, "/v1/invitations");
    let (invitations, people) = tokio::join!(
        visit.api.get::<Page<Invitation>>(&path),
        visit.api.get::<Page<Person>>("/v1/people?limit=200"),
    );
    let invitations = invitations?;
    let people = people?;
    let (next, first) = visit.query.ways("/team/invitations", invitations.next_cursor.as_deref());
    visit.page(&InvitationsPage {
        shell: visit.shell("Invitations"),
        head: Head::new(&visit, "invitations"),
        rows: rows(invitations.items, &people.items, visit.query.is("show", "all")),
        shows_all: visit.query.is("show", "all"),
        done: done(visit.query.text("done")),
        next,
        first,
    })
}

/// Returns open ones, or all of them.
fn rows(invitations: Vec<Invitation>, people: &[Person], shows_all: bool) -> Vec<Row> {
    let is_shown = |invitation: &Invitation| shows_all || invitation.status == InvitationStatus::Open;
    let name = |id: &str| {
        let person = people.iter().find(|person| person.id.to_string() == id);
        person.map_or_else(|| "somebody of another team, or removed".to_owned(), |person| person.name.clone())
    };
    let shown = invitations.into_iter().filter(is_shown);
    shown.map(|invitation| Row { by: name(&invitation.created_by), invitation }).collect()
}

/// `GET /team/invite`
pub(crate) async fn form(visit: Visit) -> Answered {
    let page = InvitePage::new(&visit, &Form::default(), None);
    visit.page(&page)
}

/// `POST /team/invite`
pub(crate) async fn create(visit: Visit, form: Form) -> Answered {
    let mut request = json!({ "name": form.raw("name").trim(), "role": form.raw("role") });
    if let Some(secs) = form.number("expires_in_secs") {
        request["expires_in_secs"] = secs;
    }
    let key = form.key();
    match visit.api.post_once::<MintedInvitation>("/v1/invitations", &request, key.as_ref()).await {
        Ok(answer) => visit.page(&shown(visit.shell("Invitation"), &answer.body)),
        Err(refusal) if refusal.is_of_form() => {
            let page = InvitePage::new(&visit, &form, Some(refusal));
            visit.page(&page)
        }
        Err(refusal) => Err(refusal.into()),
    }
}

fn shown(shell: Shell, minted: &MintedInvitation) -> ShownOnce {
    let invitation = &minted.invitation;
    let says = Markup::of_escaped(format!(
        "Send the link to {} by a way only they read. Whoever opens it first becomes {} of the team under that name. It \
         is good once, and ends {}.",
        markup::escape(&invitation.name),
        invitation.role.as_str(),
        markup::time(invitation.expires_at, shell.now),
    ));
    let heading = format!("{} is invited", invitation.name);
    ShownOnce::new(
        shell,
        (heading, says),
        (&minted.url, "Copy the link"),
        ("/team/invitations", "invitations"),
    )
}

/// `GET /team/invitations/{invitation_id}/revoke`: what revoking it ends.
pub(crate) async fn preview(visit: Visit, Named(id): Named<InvitationId>) -> Answered {
    show_revoking(&visit, id, None).await
}

async fn show_revoking(visit: &Visit, id: InvitationId, refusal: Option<Refusal>) -> Answered {
    let invitation = visit.api.find("/v1/invitations", |one: &Invitation| one.id == id).await?;
    visit.page(&RevokePage { shell: visit.shell("Revoke an invitation"), invitation, refusal })
}

/// `POST /team/invitations/{invitation_id}/revoke`
pub(crate) async fn revoke(visit: Visit, Named(id): Named<InvitationId>, _: Form) -> Answered {
    match visit.api.post::<Value>(&format!("/v1/invitations/{id}/revoke"), &json!({})).await {
        Ok(_) => Ok(see_other("/team/invitations?done=revoked", &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => show_revoking(&visit, id, Some(refusal)).await,
        Err(refusal) => Err(refusal.into()),
    }
}

impl InvitePage {
    fn new(visit: &Visit, form: &Form, refusal: Option<Refusal>) -> Self {
        let secs = form.raw("expires_in_secs").parse();
        Self {
            shell: visit.shell("Invite somebody"),
            once: visit.once(),
            name: form.raw("name").to_owned(),
            role: form.text("role").unwrap_or_else(|| Role::Operator.as_str().to_owned()),
            expires_in_secs: secs.unwrap_or(LIVES_USUALLY),
            roles: roles(visit),
            refusal,
        }
    }

    fn error(&self, pointer: &str) -> Option<String> {
        self.refusal.as_ref()?.of_field(pointer)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::{ADA, BOB, person};
    use super::*;
    use crate::pages::team::roles_of;
    use crate::samples::{self, HOSTILE, NOW, TEAM, ago, of};

    pub(in crate::pages::team) fn sample() -> Vec<Invitation> {
        let invitation = |name: &str, status: &str, by: &str, at| {
            of(json!({
                "id": format!("Abcdefghij{}", at % 90 + 10), "team_id": TEAM, "name": name, "role": "operator", "status": status,
                "created_by": by, "created_at": ago(at), "expires_at": NOW.plus(std::time::Duration::from_secs(86_000)),
                "accepted_at": null, "accepted_by": null, "revoked_at": null,
            }))
        };
        vec![
            invitation("Edsger", "open", BOB, 60),
            invitation(HOSTILE, "open", ADA, 3_000),
            invitation("Grace Hopper", "accepted", ADA, 900_000),
        ]
    }

    impl InvitationsPage {
        pub(crate) fn sample(shows_all: bool) -> Self {
            let people = [person(ADA, "Ada Lovelace", "owner")];
            Self {
                shell: Shell::sample("Invitations", "/team/invitations"),
                head: Head::sample("invitations"),
                rows: rows(sample(), &people, shows_all),
                shows_all,
                done: None,
                next: None,
                first: None,
            }
        }
    }

    impl InvitePage {
        pub(crate) fn sample() -> Self {
            Self {
                shell: Shell::sample("Invite somebody", "/team/invite"),
                once: "once".to_owned(),
                name: String::new(),
                role: "operator".to_owned(),
                expires_in_secs: LIVES_USUALLY,
                roles: roles_of(false),
                refusal: None,
            }
        }
    }

    #[test]
    fn open_invitations_alone_are_shown_unless_all_are_wanted() {
        let names = |shows_all| {
            let rows = rows(sample(), &[], shows_all);
            rows.into_iter().map(|row| row.invitation.name).collect::<Vec<_>>()
        };
        assert_eq!(names(false), ["Edsger", HOSTILE]);
        assert_eq!(names(true), ["Edsger", HOSTILE, "Grace Hopper"]);
        samples::check("team_invitations", &InvitationsPage::sample(true));
    }

    #[test]
    fn without_an_open_invitation_the_page_says_what_to_do() {
        let mut page = InvitationsPage::sample(false);
        page.rows.clear();
        let html = page.render().unwrap();
        assert!(html.contains("Nobody is invited") && html.contains("/team/invite"));
    }

    #[test]
    fn revoking_says_what_ends() {
        let page = |invitation| RevokePage {
            shell: Shell::sample("Revoke an invitation", "/team/invitations"),
            invitation,
            refusal: None,
        };
        let of = |status| sample().into_iter().find(|one| one.status == status).unwrap();
        samples::check("invitation_revoke", &page(of(InvitationStatus::Open)));
        assert!(
            !page(of(InvitationStatus::Accepted)).render().unwrap().contains("/revoke"),
            "it was accepted"
        );
    }

    #[test]
    fn the_form_of_an_invitation() {
        samples::check("team_invite", &InvitePage::sample());
    }

    #[test]
    fn the_link_is_shown_once() {
        let minted = MintedInvitation {
            invitation: sample().remove(1),
            token: "msi_secret".to_owned(),
            url: "https://muster.example:8643/invitation#msi_secret".to_owned(),
        };
        let html = shown(Shell::sample("Invitation", "/team/invite"), &minted).render().unwrap();
        assert!(
            html.contains("https://muster.example:8643/invitation#msi_secret") && html.contains("shown once")
        );
    }
}
