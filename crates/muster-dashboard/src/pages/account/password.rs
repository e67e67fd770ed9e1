//! `/account/login` and `/account/password`: what one signs in with.

use askama::Template;
use http::HeaderMap;
use muster_wire::sign_in::{Account, Done};
use serde_json::json;

use super::account;
use crate::form::Form;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

#[derive(Template)]
#[template(path = "account_login.html")]
pub(crate) struct LoginPage {
    shell: Shell,
    login: String,
    refusal: Option<Refusal>,
}

#[derive(Template)]
#[template(path = "account_password.html")]
pub(crate) struct PasswordPage {
    shell: Shell,
    /// For the keepers of passwords.
    login: String,
    asks_for_current: bool,
    /// What is wrong before the API hears of it: the two did not match.
    mismatch: bool,
    refusal: Option<Refusal>,
}

/// `GET /account/login`
pub(crate) async fn login(visit: Visit) -> Answered {
    visit.page(&LoginPage { shell: visit.shell("Login"), login: String::new(), refusal: None })
}

/// `POST /account/login`
pub(crate) async fn set_login(visit: Visit, form: Form) -> Answered {
    let request = json!({ "login": form.raw("login").trim() });
    match visit.api.put::<Account>("/v1/me/login", &request).await {
        Ok(_) => Ok(see_other("/account/password", &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => {
            let login = form.raw("login").to_owned();
            visit.page(&LoginPage { shell: visit.shell("Login"), login, refusal: Some(refusal) })
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// `GET /account/password`
pub(crate) async fn get(visit: Visit) -> Answered {
    show(&visit, false, None).await
}

/// `POST /account/password`
pub(crate) async fn set(visit: Visit, form: Form) -> Answered {
    // The second typing is a matter of this form alone: the API hears of one password.
    if form.raw("new") != form.raw("again") {
        return show(&visit, true, None).await;
    }
    let mut request = json!({ "new": form.raw("new") });
    if !form.raw("current").is_empty() {
        request["current"] = form.raw("current").into();
    }
    match visit.api.put::<Done>("/v1/me/password", &request).await {
        Ok(_) => Ok(see_other("/account?done=password", &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => show(&visit, false, Some(refusal)).await,
        Err(refusal) => Err(refusal.into()),
    }
}

async fn show(visit: &Visit, mismatch: bool, refusal: Option<Refusal>) -> Answered {
    let account = account(visit).await?;
    visit.page(&PasswordPage {
        shell: visit.shell("Password"),
        login: account.login.unwrap_or_default(),
        asks_for_current: account.password_changed_at.is_some(),
        mismatch,
        refusal,
    })
}

impl PasswordPage {
    fn new_error(&self) -> Option<String> {
        self.refusal.as_ref()?.of_password("/new")
    }

    fn current_error(&self) -> Option<String> {
        let refusal = self.refusal.as_ref()?;
        let is_wrong = refusal.code() == "wrong_password";
        if is_wrong { Some("This is not your password.".to_owned()) } else { refusal.of_field("/current") }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::samples;

    impl PasswordPage {
        pub(crate) fn sample() -> Self {
            let shell = Shell::sample("Password", "/account/password");
            Self { shell, login: "ada".to_owned(), asks_for_current: true, mismatch: false, refusal: None }
        }
    }

    fn refused(json: serde_json::Value) -> Option<Refusal> {
        let problem = Some(samples::of(json));
        Some(Refusal { status: StatusCode::UNPROCESSABLE_ENTITY, problem, retry_after_secs: None })
    }

    #[test]
    fn the_form_of_a_password() {
        samples::check("account_password", &PasswordPage::sample());
        let shell = Shell::sample("Login", "/account/login");
        samples::check(
            "account_login",
            &LoginPage { shell, login: samples::HOSTILE.to_owned(), refusal: None },
        );
    }

    #[test]
    fn a_weak_password_is_told_why() {
        let problem = json!({
            "type": "urn:muster:problem:invalid", "title": "x", "status": 422, "detail": "x", "instance": "x",
            "code": "validation", "errors": [{ "pointer": "/new", "code": "too_short" }],
        });
        let html = PasswordPage { refusal: refused(problem), ..PasswordPage::sample() }.render().unwrap();
        assert!(html.contains("at least 15 characters"));
    }

    #[test]
    fn two_that_differ_are_told_so() {
        let html = PasswordPage { mismatch: true, ..PasswordPage::sample() }.render().unwrap();
        assert!(html.contains("are not the same"));
    }
}
