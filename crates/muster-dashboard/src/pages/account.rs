//! `/account`: who one is, what one signs in with, where one is signed in, and one's own API tokens.

pub(crate) mod password;
pub(crate) mod second_factor;
pub(crate) mod sessions;
pub(crate) mod tokens;

use askama::Template;
use muster_wire::page::Page;
use muster_wire::people::Role;
use muster_wire::sign_in::{Account, WebSession};
use muster_wire::token::ApiToken;

use crate::markup::{self, Markup};
use crate::pages::team::tokens::shown;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};
use crate::words::Tone;

#[derive(Template)]
#[template(path = "account.html")]
pub(crate) struct AccountPage {
    shell: Shell,
    name: String,
    role: Role,
    team: String,
    user_id: String,
    account: Account,
    sessions: Vec<WebSession>,
    tokens: Vec<ApiToken>,
    /// Whether there are more tokens than these.
    has_more_tokens: bool,
    shows_all: bool,
    done: Option<&'static str>,
}

/// Returns what the page says after something was done, by the word in its address.
fn done(word: &str) -> Option<&'static str> {
    match word {
        "login" => Some("The login is set. Now set a password."),
        "password" => Some("The password is set. Every other session of yours ended."),
        "factor" => Some("The second factor is removed: your password is enough to sign in."),
        "session" => Some("The session ended."),
        "sessions" => Some("Every other session of yours ended."),
        "revoked" => Some("The token is revoked."),
        _ => None,
    }
}

/// `GET /account`
pub(crate) async fn get(visit: Visit) -> Answered {
    let (account, sessions, tokens) = tokio::join!(
        account(&visit),
        visit.api.get::<Page<WebSession>>("/v1/me/sessions"),
        visit.api.get::<Page<ApiToken>>("/v1/me/tokens?limit=200&order=desc"),
    );
    let sessions = sessions?;
    let tokens = tokens?;
    let shows_all = visit.query.is("show", "all");
    visit.page(&AccountPage {
        shell: visit.shell("Your account"),
        name: visit.me.name.clone(),
        role: visit.me.role,
        team: visit.me.team_name.clone(),
        user_id: visit.me.user_id.to_string(),
        account: account?,
        sessions: current_first(sessions.items),
        has_more_tokens: tokens.next_cursor.is_some(),
        tokens: shown(tokens.items, shows_all),
        shows_all,
        done: done(visit.query.text("done")),
    })
}

/// Asks what a person signs in with.
async fn account(visit: &Visit) -> Result<Account, Refusal> {
    visit.api.get("/v1/me/account").await
}

fn current_first(mut sessions: Vec<WebSession>) -> Vec<WebSession> {
    sessions.sort_by_key(|session| (!session.current, std::cmp::Reverse(session.seen_at)));
    sessions
}

impl AccountPage {
    fn factor(&self) -> Markup {
        match self.account.second_factor_confirmed_at {
            Some(_) => markup::tinted("on", Tone::Good),
            None => markup::tinted("off", Tone::Warn),
        }
    }

    /// Whether the recovery codes should be made anew.
    fn few_codes(&self) -> bool {
        self.account.second_factor_confirmed_at.is_some() && self.account.recovery_codes_left < 3
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::pages::team::tokens::tests::sample as some_tokens;
    use crate::samples::{self, HOSTILE, NOW, ago, of};

    pub(super) fn account(json: serde_json::Value) -> Account {
        of(json)
    }

    pub(super) fn session(id: &str, current: bool, seen: u64, user_agent: &str) -> WebSession {
        of(json!({
            "id": id, "current": current, "method": "password", "source": "192.0.2.7", "user_agent": user_agent,
            "created_at": ago(90_000), "seen_at": ago(seen), "expires_at": NOW.plus(std::time::Duration::from_secs(900_000)),
        }))
    }

    impl AccountPage {
        pub(crate) fn sample() -> Self {
            let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
            let sessions =
                vec![session("Abcdefghijk1", false, 70, HOSTILE), session("Abcdefghijk2", true, 1, firefox)];
            Self {
                shell: Shell::sample("Your account", "/account"),
                name: "Ada Lovelace".to_owned(),
                role: Role::Owner,
                team: "Cedar".to_owned(),
                user_id: "user_01890a5dac96774bbcceb302099a8010".to_owned(),
                account: account(json!({
                    "login": "ada", "password_changed_at": ago(9_000_000),
                    "second_factor_confirmed_at": ago(8_000_000), "recovery_codes_left": 2,
                })),
                sessions: current_first(sessions),
                tokens: shown(some_tokens(), false),
                has_more_tokens: false,
                shows_all: false,
                done: None,
            }
        }
    }

    #[test]
    fn the_account_of_a_person() {
        let page = AccountPage::sample();
        assert!(page.sessions[0].current, "the session one sits at comes first");
        samples::check("account", &page);
    }

    #[test]
    fn a_new_account_says_what_to_do() {
        let mut page = AccountPage::sample();
        let none = json!({
            "login": null, "password_changed_at": null, "second_factor_confirmed_at": null, "recovery_codes_left": 0,
        });
        page.account = account(none);
        page.tokens.clear();
        page.sessions.truncate(1);
        samples::check("account_new", &page);
        let html = page.render().unwrap();
        assert!(
            html.contains("Choose a login") && html.contains("Make a token") && !html.contains("end-others")
        );
    }
}
