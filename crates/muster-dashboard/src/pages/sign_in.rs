//! `/sign-in`: login, password and second factor, or a provider; `/sign-out`.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use muster_wire::oidc::SignInMethods;
use muster_wire::people::{Me, SetupStatus};
use muster_wire::sign_in::SignedIn;
use serde_json::json;

use crate::form::Form;
use crate::refusal::{Refusal, Refused};
use crate::respond::{own_path, public_page, see_other};
use crate::shell::Files;
use crate::visit::{Stranger, Visit};

#[derive(Template)]
#[template(path = "sign_in.html")]
pub(crate) struct SignInPage {
    files: Files,
    return_to: String,
    login: String,
    asks_for_code: bool,
    refusal: Option<String>,
    providers: Vec<String>,
}

/// `GET /sign-in`
pub(crate) async fn get(stranger: Stranger) -> Result<Response, Refused> {
    let setup: SetupStatus = stranger.api.get("/v1/setup").await?;
    if !setup.configured {
        return Ok(see_other("/setup", &HeaderMap::new()));
    }
    let return_to = own_path(stranger.query.text("return_to"), "/");
    if stranger.api.get::<Me>("/v1/me").await.is_ok() {
        return Ok(see_other(return_to, &HeaderMap::new()));
    }
    let return_to = return_to.to_owned();
    let page = SignInPage { return_to, providers: providers(&stranger).await?, ..SignInPage::empty() };
    Ok(public_page(StatusCode::OK, &page))
}

/// `POST /sign-in`
pub(crate) async fn create(stranger: Stranger, form: Form) -> Result<Response, Refused> {
    let mut request = json!({ "login": form.raw("login"), "password": form.raw("password") });
    if let Some(code) = form.text("code") {
        request["code"] = code.into();
    }
    let return_to = own_path(form.raw("return_to"), "/");
    match stranger.api.post_once::<SignedIn>("/v1/sign-in", &request, None).await {
        Ok(answer) => Ok(see_other(return_to, &answer.headers)),
        Err(refusal) if !refusal.is_of_form() && refusal.status != StatusCode::UNAUTHORIZED => {
            Err(refusal.into())
        }
        Err(refusal) => {
            let page = SignInPage {
                return_to: return_to.to_owned(),
                login: form.raw("login").to_owned(),
                asks_for_code: refusal.code() == "second_factor_required" || form.text("code").is_some(),
                refusal: Some(says(&refusal)),
                providers: providers(&stranger).await?,
                ..SignInPage::empty()
            };
            Ok(public_page(refusal.status, &page))
        }
    }
}

/// `POST /sign-out`
pub(crate) async fn end(visit: Visit, _: Form) -> Response {
    match visit.api.post_once::<serde_json::Value>("/v1/sign-out", &json!({}), None).await {
        Ok(answer) => see_other("/sign-in", &answer.headers),
        Err(refusal) => Refused::from(refusal).into_response(),
    }
}

async fn providers(stranger: &Stranger) -> Result<Vec<String>, Refusal> {
    let methods: SignInMethods = stranger.api.get("/v1/sign-in/methods").await?;
    Ok(methods.oidc.iter().map(ToString::to_string).collect())
}

fn says(refusal: &Refusal) -> String {
    match refusal.code() {
        "second_factor_required" => {
            "Your account has a second factor: type the password again, and its code or a recovery code."
                .to_owned()
        }
        _ if refusal.status == StatusCode::UNAUTHORIZED => {
            "That was not right: the login, the password or the code.".to_owned()
        }
        _ => refusal.says(),
    }
}

impl SignInPage {
    fn empty() -> Self {
        Self {
            files: Files::new(),
            return_to: "/".to_owned(),
            login: String::new(),
            asks_for_code: false,
            refusal: None,
            providers: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    impl SignInPage {
        pub(crate) fn sample() -> Self {
            Self {
                files: Files::sample(),
                return_to: "/hosts?q=\"><b>".to_owned(),
                providers: vec!["corp".to_owned()],
                ..Self::empty()
            }
        }
    }

    #[test]
    fn the_way_in() {
        samples::check("sign_in", &SignInPage::sample());
    }

    #[test]
    fn who_needs_a_code_is_asked_for_it_and_keeps_the_login() {
        let refused = |code: &str| Refusal {
            status: StatusCode::UNAUTHORIZED,
            problem: Some(samples::of(json!({
                "type": "x", "title": "x", "status": 401, "detail": "x", "instance": "x", "code": code,
            }))),
            retry_after_secs: None,
        };
        let page = SignInPage {
            login: samples::HOSTILE.to_owned(),
            asks_for_code: true,
            refusal: Some(says(&refused("second_factor_required"))),
            ..SignInPage::sample()
        };
        samples::check("sign_in_code", &page);
        assert!(page.render().unwrap().contains("<details open>"));
        assert!(says(&refused("unauthorized")).contains("not right"));
    }
}
