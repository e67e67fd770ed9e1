//! `/account/tokens/…`: one's own API tokens.

use askama::Template;
use http::HeaderMap;
use muster_ids::TokenId;
use muster_wire::people::Team;
use muster_wire::permission::Permission;
use muster_wire::token::MintedApiToken;
use serde_json::{Value, json};

use crate::form::Form;
use crate::markup::{self, Markup};
use crate::pages::shown_once::ShownOnce;
use crate::pages::team::tokens::{RevokePage, end, find};
use crate::path::Named;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

const OWN: &str = "/v1/me/tokens";
/// How long a token may live: seconds and words.
const LIVES: &[(u64, &str)] = &[
    (86_400, "1 day"),
    (604_800, "1 week"),
    (2_592_000, "30 days"),
    (7_776_000, "90 days"),
    (31_536_000, "1 year"),
];

#[derive(Template)]
#[template(path = "account_token.html")]
pub(crate) struct NewTokenPage {
    shell: Shell,
    once: String,
    name: String,
    /// What this person may, and whether it is ticked.
    scopes: Vec<(Permission, bool)>,
    is_whole: bool,
    /// Empty: as long as the API says when nobody does.
    expires_in_secs: String,
    teams: Vec<Team>,
    team_id: String,
    refusal: Option<Refusal>,
}

/// `GET /account/tokens/new`
pub(crate) async fn form(visit: Visit) -> Answered {
    let page = NewTokenPage::new(&visit, &Form::default(), None);
    visit.page(&page)
}

/// `POST /account/tokens`
pub(crate) async fn create(visit: Visit, form: Form) -> Answered {
    let (request, key) = (request(&form), form.key());
    match visit.api.post_once::<MintedApiToken>(OWN, &request, key.as_ref()).await {
        Ok(answer) => visit.page(&shown(visit.shell("API token"), &answer.body)),
        Err(refusal) if refusal.is_of_form() => {
            let page = NewTokenPage::new(&visit, &form, Some(refusal));
            visit.page(&page)
        }
        Err(refusal) => Err(refusal.into()),
    }
}

fn request(form: &Form) -> Value {
    let mut request = json!({ "name": form.raw("name").trim() });
    if form.raw("may") == "some" {
        request["scopes"] = form.all("scope").into();
    }
    if let Some(secs) = form.number("expires_in_secs") {
        request["expires_in_secs"] = secs;
    }
    if let Some(team_id) = form.text("team_id") {
        request["team_id"] = team_id.into();
    }
    request
}

fn shown(shell: Shell, minted: &MintedApiToken) -> ShownOnce {
    let token = &minted.api_token;
    let until = token
        .expires_at
        .map_or_else(|| "is good for ever".to_owned(), |at| format!("ends {}", markup::time(at, shell.now)));
    let says = Markup::of_escaped(format!(
        "Programs send it as “Authorization: Bearer …”; muster reads it from the file that MUSTER_TOKEN_FILE names. It \
         {until}.",
    ));
    let heading = format!("Token “{}” is made", token.name.as_deref().unwrap_or_default());
    ShownOnce::new(shell, (heading, says), (&minted.token, "Copy the token"), ("/account", "your account"))
}

/// `GET /account/tokens/{token_id}/revoke`
pub(crate) async fn preview(visit: Visit, Named(id): Named<TokenId>) -> Answered {
    let token = find(&visit.api, OWN, id).await?;
    let action = format!("/account/tokens/{}/revoke", token.id);
    visit.page(&RevokePage { shell: visit.shell("Revoke a token"), token, action, back: "/account" })
}

/// `POST /account/tokens/{token_id}/revoke`
pub(crate) async fn revoke(visit: Visit, Named(id): Named<TokenId>, _: Form) -> Answered {
    end(&visit.api, OWN, id).await?;
    Ok(see_other("/account?done=revoked", &HeaderMap::new()))
}

impl NewTokenPage {
    fn new(visit: &Visit, form: &Form, refusal: Option<Refusal>) -> Self {
        let ticked = form.all("scope");
        let scope =
            |permission: &Permission| (*permission, ticked.iter().any(|scope| scope == permission.as_str()));
        Self {
            shell: visit.shell("Make a token"),
            once: visit.once(),
            name: form.raw("name").to_owned(),
            scopes: visit.me.permissions.iter().map(scope).collect(),
            is_whole: form.raw("may") != "some",
            expires_in_secs: form.raw("expires_in_secs").to_owned(),
            teams: visit.teams.clone(),
            team_id: form.raw("team_id").to_owned(),
            refusal,
        }
    }

    fn error(&self, pointer: &str) -> Option<String> {
        self.refusal.as_ref()?.of_field(pointer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::team::tokens::tests::sample;
    use crate::samples;

    impl NewTokenPage {
        pub(crate) fn sample() -> Self {
            let scopes = Permission::ALL.iter().map(|permission| (*permission, false)).collect();
            Self {
                shell: Shell::sample("Make a token", "/account/tokens/new"),
                once: "once".to_owned(),
                name: samples::HOSTILE.to_owned(),
                scopes,
                is_whole: true,
                expires_in_secs: String::new(),
                teams: Vec::new(),
                team_id: String::new(),
                refusal: None,
            }
        }
    }

    #[test]
    fn the_form_of_a_token() {
        samples::check("account_token", &NewTokenPage::sample());
    }

    #[test]
    fn boxes_count_only_for_a_token_that_may_some_things() {
        let fields =
            [("name", "ci"), ("may", "all"), ("scope", "run_jobs"), ("team_id", ""), ("expires_in_secs", "")];
        assert_eq!(request(&Form::of(&fields)), json!({ "name": "ci" }));
        let fields = [("name", "ci"), ("may", "some"), ("scope", "run_jobs"), ("expires_in_secs", "86400")];
        let expected = json!({ "name": "ci", "scopes": ["run_jobs"], "expires_in_secs": 86_400 });
        assert_eq!(request(&Form::of(&fields)), expected);
        let fields = [("name", "ci"), ("may", "some")];
        assert_eq!(request(&Form::of(&fields))["scopes"], json!([]), "nothing ticked is not everything");
    }

    #[test]
    fn the_token_is_shown_once() {
        let minted = MintedApiToken { api_token: sample().remove(1), token: "mso_secret".to_owned() };
        let html = shown(Shell::sample("API token", "/account"), &minted).render().unwrap();
        assert!(html.contains("mso_secret") && html.contains("shown once"));
    }
}
