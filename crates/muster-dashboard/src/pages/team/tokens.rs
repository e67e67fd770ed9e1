//! `/team/tokens`: the API tokens of the team's people.

use askama::Template;
use http::HeaderMap;
use muster_ids::TokenId;
use muster_wire::page::Page;
use muster_wire::token::{ApiToken, ApiTokenStatus};
use serde_json::{Value, json};

use super::{Head, done, newest_path};
use crate::api::Api;
use crate::form::Form;
use crate::path::Named;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

#[derive(Template)]
#[template(path = "team_tokens.html")]
pub(crate) struct TokensPage {
    shell: Shell,
    head: Head,
    tokens: Vec<ApiToken>,
    shows_all: bool,
    done: Option<&'static str>,
    next: Option<String>,
    first: Option<String>,
}

/// What ends when a token is revoked.
#[derive(Template)]
#[template(path = "token_revoke.html")]
pub(crate) struct RevokePage {
    pub(crate) shell: Shell,
    pub(crate) token: ApiToken,
    /// Where the form goes, and who thinks better of it.
    pub(crate) action: String,
    pub(crate) back: &'static str,
}

/// `GET /team/tokens`
pub(crate) async fn list(visit: Visit) -> Answered {
    let path = newest_path(&visit.query, "/v1/tokens");
    let tokens: Page<ApiToken> = visit.api.get(&path).await?;
    let (next, first) = visit.query.ways("/team/tokens", tokens.next_cursor.as_deref());
    let shows_all = visit.query.is("show", "all");
    visit.page(&TokensPage {
        shell: visit.shell("API tokens"),
        head: Head::new(&visit, "tokens"),
        tokens: shown(tokens.items, shows_all),
        shows_all,
        done: done(visit.query.text("done")),
        next,
        first,
    })
}

/// Returns those that are good, or all of them.
pub(crate) fn shown(tokens: Vec<ApiToken>, shows_all: bool) -> Vec<ApiToken> {
    let is_shown = |token: &ApiToken| shows_all || token.status == ApiTokenStatus::Live;
    tokens.into_iter().filter(is_shown).collect()
}

/// `GET /team/tokens/{token_id}/revoke`
pub(crate) async fn preview(visit: Visit, Named(id): Named<TokenId>) -> Answered {
    let token = find(&visit.api, "/v1/tokens", id).await?;
    let action = format!("/team/tokens/{}/revoke", token.id);
    visit.page(&RevokePage { shell: visit.shell("Revoke a token"), token, action, back: "/team/tokens" })
}

/// `POST /team/tokens/{token_id}/revoke`
pub(crate) async fn revoke(visit: Visit, Named(id): Named<TokenId>, _: Form) -> Answered {
    end(&visit.api, "/v1/tokens", id).await?;
    Ok(see_other("/team/tokens?done=revoked", &HeaderMap::new()))
}

/// Looks a token up in a list of the API.
pub(crate) async fn find(api: &Api, list: &str, id: TokenId) -> Result<ApiToken, Refusal> {
    api.find(list, |token: &ApiToken| token.id == id).await
}

/// Revokes a token of a list of the API.
pub(crate) async fn end(api: &Api, list: &str, id: TokenId) -> Result<(), Refusal> {
    api.post::<Value>(&format!("{list}/{id}/revoke"), &json!({})).await.map(drop)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::tests::{ADA, BOB};
    use super::*;
    use crate::samples::{self, HOSTILE, ago, of};

    pub(crate) fn sample() -> Vec<ApiToken> {
        let token = |byte: u8, user: &str, name: Option<&str>, status: &str, scopes: Option<&[&str]>| {
            of(json!({
                "id": format!("Abcdefghijk{byte}"), "user_id": user, "user_name": HOSTILE, "name": name, "scopes": scopes, "team_id": null,
                "status": status, "created_at": ago(u64::from(byte) * 90_000), "expires_at": null, "revoked_at": null,
                "last_used_at": ago(600), "last_used_from": "192.0.2.9",
            }))
        };
        vec![
            token(3, BOB, Some("nightly export"), "live", Some(&["see_fleet", "read_events"])),
            token(4, ADA, Some(HOSTILE), "live", None),
            token(9, ADA, None, "revoked", None),
        ]
    }

    impl TokensPage {
        pub(crate) fn sample(shows_all: bool) -> Self {
            Self {
                shell: Shell::sample("API tokens", "/team/tokens"),
                head: Head::sample("tokens"),
                tokens: shown(sample(), shows_all),
                shows_all,
                done: None,
                next: Some("/team/tokens?cursor=x".to_owned()),
                first: None,
            }
        }
    }

    #[test]
    fn the_tokens_of_a_team() {
        assert_eq!(shown(sample(), false).len(), 2);
        samples::check("team_tokens", &TokensPage::sample(true));
    }

    #[test]
    fn what_ends_with_a_token() {
        let token = sample().remove(0);
        let action = "/team/tokens/x/revoke".to_owned();
        let shell = Shell::sample("Revoke a token", "/team/tokens");
        samples::check("token_revoke", &RevokePage { shell, token, action, back: "/team/tokens" });
    }

    #[test]
    fn a_team_without_tokens_is_told_where_they_are_made() {
        let mut page = TokensPage { next: None, ..TokensPage::sample(false) };
        page.tokens.clear();
        assert!(page.render().unwrap().contains("/account/tokens/new"));
    }
}
