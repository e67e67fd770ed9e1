//! `/setup`: the first admin, once, with the code the server printed.

use askama::Template;
use axum::response::Response;
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use muster_edge::Entropy;
use muster_wire::people::{MintedToken, SetupStatus};
use muster_wire::sign_in::SignedIn;
use serde_json::json;

use crate::form::{Form, ONCE};
use crate::markup::{self, Markup};
use crate::refusal::{Refusal, Refused};
use crate::respond::{public_page, see_other};
use crate::shell::Files;
use crate::visit::Stranger;

#[derive(Template)]
#[template(path = "setup.html")]
pub(crate) struct SetupPage {
    files: Files,
    once: String,
    admin_name: String,
    login: String,
    public_urls: String,
    refusal: Option<Refusal>,
}

#[derive(Template)]
#[template(path = "welcome.html")]
pub(crate) struct WelcomePage {
    files: Files,
    admin_name: String,
    is_signed_in: bool,
    token: Markup,
}

/// `GET /setup`
pub(crate) async fn get(stranger: Stranger) -> Result<Response, Refused> {
    let setup: SetupStatus = stranger.api.get("/v1/setup").await?;
    if setup.configured {
        return Ok(see_other("/sign-in", &HeaderMap::new()));
    }
    Ok(public_page(StatusCode::OK, &SetupPage::of(&Form::default(), stranger.entropy, None)))
}

/// `POST /setup`
pub(crate) async fn create(stranger: Stranger, form: Form) -> Result<Response, Refused> {
    let urls = form.words("public_urls");
    let request = json!({
        "code": form.raw("code").trim(),
        "admin_name": form.raw("admin_name").trim(),
        "login": form.raw("login").trim(),
        "password": form.raw("password"),
        "public_urls": urls,
    });
    let minted: MintedToken = match stranger.api.post_once("/v1/setup", &request, form.key().as_ref()).await {
        Ok(answer) => answer.body,
        // Somebody was faster; they sign in like everybody.
        Err(refusal) if refusal.status == StatusCode::GONE => {
            return Ok(see_other("/sign-in", &HeaderMap::new()));
        }
        Err(refusal) if !refusal.is_of_form() => return Err(refusal.into()),
        Err(refusal) => {
            let status = refusal.status;
            return Ok(public_page(status, &SetupPage::of(&form, stranger.entropy, Some(refusal))));
        }
    };
    let sign_in = json!({ "login": form.raw("login").trim(), "password": form.raw("password") });
    // The setup is done: what is shown once must be shown, whether the browser is signed in with it or not.
    let signed_in = stranger.api.post_once::<SignedIn>("/v1/sign-in", &sign_in, None).await;
    let cookies = signed_in.as_ref().map(|answer| answer.headers.clone()).unwrap_or_default();
    let page = WelcomePage {
        files: Files::new(),
        admin_name: form.raw("admin_name").trim().to_owned(),
        is_signed_in: signed_in.is_ok(),
        token: markup::copy(&minted.token, "Copy the API token"),
    };
    let mut response = public_page(StatusCode::OK, &page);
    for cookie in cookies.get_all(SET_COOKIE) {
        response.headers_mut().append(SET_COOKIE, cookie.clone());
    }
    Ok(response)
}

impl SetupPage {
    /// Shows what was typed, but neither code nor password.
    fn of(form: &Form, entropy: Entropy, refusal: Option<Refusal>) -> Self {
        Self {
            files: Files::new(),
            once: form.text(ONCE).unwrap_or_else(|| entropy.public_id().to_string()),
            admin_name: form.raw("admin_name").to_owned(),
            login: form.raw("login").to_owned(),
            public_urls: form.raw("public_urls").to_owned(),
            refusal,
        }
    }

    fn error(&self, pointer: &str) -> Option<String> {
        self.refusal.as_ref()?.of_field(pointer)
    }

    fn password_error(&self) -> Option<String> {
        self.refusal.as_ref()?.of_password("/password")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    impl SetupPage {
        pub(crate) fn sample() -> Self {
            Self {
                files: Files::sample(),
                admin_name: String::new(),
                login: String::new(),
                public_urls: String::new(),
                once: "once".to_owned(),
                refusal: None,
            }
        }
    }

    #[test]
    fn the_first_page_of_all() {
        samples::check("setup", &SetupPage::sample());
    }

    #[test]
    fn what_does_not_hold_is_said_beside_its_field_and_what_was_typed_is_kept() {
        let problem = json!({
            "type": "x", "title": "x", "status": 422, "detail": "x", "instance": "x", "code": "validation",
            "errors": [
                { "pointer": "/password", "code": "too_short" }, { "pointer": "/public_urls/0", "code": "malformed" },
            ],
        });
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let refusal = Some(Refusal { status, problem: Some(samples::of(problem)), retry_after_secs: None });
        let page = SetupPage {
            admin_name: samples::HOSTILE.to_owned(),
            public_urls: "nonsense".to_owned(),
            refusal,
            ..SetupPage::sample()
        };
        samples::check("setup_refused", &page);
        let html = page.render().unwrap();
        assert!(html.contains("at least 15 characters") && html.contains("<details open>"));
    }

    #[test]
    fn the_token_is_shown_although_nobody_could_be_signed_in() {
        let page = |is_signed_in| WelcomePage {
            files: Files::sample(),
            admin_name: samples::HOSTILE.to_owned(),
            token: markup::copy("mso_secret", "Copy the API token"),
            is_signed_in,
        };
        samples::check("welcome", &page(true));
        let html = page(false).render().unwrap();
        assert!(html.contains("mso_secret") && html.contains("/sign-in"));
    }
}
