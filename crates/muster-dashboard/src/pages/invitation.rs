//! `/invitation`: the link of an invitation leads here. Its secret stands behind the `#` of the address, which browsers
//! keep to themselves; a script puts it into the form, and without one it is pasted.

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use muster_wire::sign_in::SignedIn;
use serde_json::json;

use crate::form::{Form, ONCE};
use crate::refusal::{Refusal, Refused};
use crate::respond::{public_page, see_other};
use crate::shell::Files;
use crate::visit::Stranger;

#[derive(Template)]
#[template(path = "invitation.html")]
pub(crate) struct InvitationPage {
    files: Files,
    once: String,
    invitation: String,
    login: String,
    mismatch: bool,
    refusal: Option<Refusal>,
}

/// `GET /invitation`
pub(crate) async fn get(stranger: Stranger) -> Response {
    public_page(StatusCode::OK, &InvitationPage::new(&stranger, &Form::default(), None))
}

/// `POST /invitation`
pub(crate) async fn accept(stranger: Stranger, form: Form) -> Result<Response, Refused> {
    if form.raw("password") != form.raw("again") {
        let page = InvitationPage { mismatch: true, ..InvitationPage::new(&stranger, &form, None) };
        return Ok(public_page(StatusCode::UNPROCESSABLE_ENTITY, &page));
    }
    let request = json!({ "login": form.raw("login").trim(), "password": form.raw("password") });
    let (path, key) = ("/v1/invitations/accept", form.key());
    let accepted = match stranger.api.invited(secret_of(form.raw("invitation"))) {
        Some(api) => api.post_once::<SignedIn>(path, &request, key.as_ref()).await,
        None => Err(Refusal::of(StatusCode::UNAUTHORIZED)),
    };
    match accepted {
        Ok(answer) => Ok(see_other("/", &answer.headers)),
        Err(refusal) if refusal.status.is_server_error() && !refusal.is_of_form() => Err(refusal.into()),
        Err(refusal) => {
            let status = refusal.status;
            Ok(public_page(status, &InvitationPage::new(&stranger, &form, Some(refusal))))
        }
    }
}

/// Returns the secret of what was pasted: the whole link, or what stands behind its `#`.
fn secret_of(pasted: &str) -> &str {
    let pasted = pasted.trim();
    pasted.split_once('#').map_or(pasted, |(_, secret)| secret)
}

impl InvitationPage {
    fn new(stranger: &Stranger, form: &Form, refusal: Option<Refusal>) -> Self {
        Self {
            files: Files::new(),
            once: form.text(ONCE).unwrap_or_else(|| stranger.entropy.public_id().to_string()),
            invitation: form.raw("invitation").to_owned(),
            login: form.raw("login").to_owned(),
            mismatch: false,
            refusal,
        }
    }

    fn says(&self) -> Option<String> {
        let refusal = self.refusal.as_ref()?;
        let is_rejected = refusal.status == StatusCode::UNAUTHORIZED;
        let rejected = || crate::words::refusal(refusal.status, "invitation_rejected", "", None);
        Some(if is_rejected { rejected() } else { refusal.says() })
    }

    fn login_error(&self) -> Option<String> {
        self.refusal.as_ref()?.of_field("/login")
    }

    fn password_error(&self) -> Option<String> {
        self.refusal.as_ref()?.of_password("/password")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    impl InvitationPage {
        pub(crate) fn sample() -> Self {
            Self {
                files: Files::sample(),
                once: "once".to_owned(),
                invitation: String::new(),
                login: samples::HOSTILE.to_owned(),
                mismatch: false,
                refusal: None,
            }
        }
    }

    #[test]
    fn the_page_of_an_invitation() {
        samples::check("invitation", &InvitationPage::sample());
    }

    #[test]
    fn the_whole_link_and_its_secret_are_taken_alike() {
        for pasted in ["msi_x", " msi_x\n", "https://muster.example:8643/invitation#msi_x"] {
            assert_eq!(secret_of(pasted), "msi_x");
        }
    }

    #[test]
    fn one_that_is_not_good_says_what_to_do() {
        let refusal = Some(Refusal::of(StatusCode::UNAUTHORIZED));
        let html = InvitationPage { refusal, ..InvitationPage::sample() }.render().unwrap();
        assert!(html.contains("Ask whoever invited you"));
    }
}
