//! `/account/second-factor`: set up, confirmed, removed. The secret and the recovery codes are shown once.

use askama::Template;
use http::HeaderMap;
use muster_wire::sign_in::{Done, RecoveryCodes, SecondFactorSecret};
use serde_json::json;

use crate::form::Form;
use crate::markup::{self, Markup};
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

#[derive(Template)]
#[template(path = "second_factor.html")]
pub(crate) struct BeginPage {
    shell: Shell,
    once: String,
    refusal: Option<Refusal>,
}

#[derive(Template)]
#[template(path = "second_factor_confirm.html")]
pub(crate) struct ConfirmPage {
    shell: Shell,
    once: String,
    /// What is shown once; gone when a code was wrong.
    shown: Option<Shown>,
    refusal: Option<Refusal>,
}

/// The secret in every form an app takes.
pub(crate) struct Shown {
    picture: Option<Markup>,
    secret: Markup,
    url: Markup,
}

#[derive(Template)]
#[template(path = "recovery_codes.html")]
pub(crate) struct CodesPage {
    shell: Shell,
    codes: Vec<String>,
    all: String,
}

#[derive(Template)]
#[template(path = "second_factor_remove.html")]
pub(crate) struct RemovePage {
    shell: Shell,
    refusal: Option<Refusal>,
}

/// `GET /account/second-factor`
pub(crate) async fn get(visit: Visit) -> Answered {
    visit.page(&BeginPage { shell: visit.shell("Second factor"), once: visit.once(), refusal: None })
}

/// `POST /account/second-factor`
pub(crate) async fn begin(visit: Visit, form: Form) -> Answered {
    let (request, key) = (json!({ "password": form.raw("password") }), form.key());
    let begun = visit.api.post_once::<SecondFactorSecret>("/v1/me/second-factor", &request, key.as_ref());
    let (shell, once) = (visit.shell("Second factor"), visit.once());
    match begun.await {
        Ok(answer) => {
            let shown = Some(Shown::of(&answer.body));
            visit.page(&ConfirmPage { shell, once, shown, refusal: None })
        }
        Err(refusal) if refusal.is_of_form() => {
            visit.page(&BeginPage { shell, once, refusal: Some(refusal) })
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// `POST /account/second-factor/confirm`
pub(crate) async fn confirm(visit: Visit, form: Form) -> Answered {
    let (request, key) = (json!({ "code": code_of(&form) }), form.key());
    let path = "/v1/me/second-factor/confirm";
    match visit.api.post_once::<RecoveryCodes>(path, &request, key.as_ref()).await {
        Ok(answer) => visit.page(&CodesPage::new(visit.shell("Recovery codes"), answer.body.codes)),
        Err(refusal) if refusal.is_of_form() => {
            let (shell, once) = (visit.shell("Second factor"), visit.once());
            visit.page(&ConfirmPage { shell, once, shown: None, refusal: Some(refusal) })
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// `GET /account/second-factor/remove`
pub(crate) async fn preview(visit: Visit) -> Answered {
    visit.page(&RemovePage { shell: visit.shell("Second factor"), refusal: None })
}

/// `POST /account/second-factor/remove`
pub(crate) async fn remove(visit: Visit, form: Form) -> Answered {
    let request = json!({ "password": form.raw("password"), "code": code_of(&form) });
    match visit.api.post::<Done>("/v1/me/second-factor/remove", &request).await {
        Ok(_) => Ok(see_other("/account?done=factor", &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => {
            visit.page(&RemovePage { shell: visit.shell("Second factor"), refusal: Some(refusal) })
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Returns a code without the space that apps put into its middle.
fn code_of(form: &Form) -> String {
    form.raw("code").split_whitespace().collect()
}

impl Shown {
    fn of(secret: &SecondFactorSecret) -> Self {
        // Groups of four are easier to type.
        let letters: Vec<char> = secret.secret.chars().collect();
        let grouped: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
        Self {
            picture: markup::qr(
                &secret.otpauth_url,
                "QR code of the second factor; the secret stands below as text",
            ),
            secret: markup::copy(&grouped.join(" "), "Copy the secret"),
            url: markup::copy(&secret.otpauth_url, "Copy the address"),
        }
    }
}

impl CodesPage {
    fn new(shell: Shell, codes: Vec<String>) -> Self {
        Self { shell, all: codes.join("\n"), codes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn shell() -> Shell {
        Shell::sample("Second factor", "/account/second-factor")
    }

    impl ConfirmPage {
        pub(crate) fn sample() -> Self {
            let secret = SecondFactorSecret {
                secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP".to_owned(),
                otpauth_url:
                    "otpauth://totp/Muster:ada?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Muster"
                        .to_owned(),
            };
            Self { shell: shell(), once: "once".to_owned(), shown: Some(Shown::of(&secret)), refusal: None }
        }
    }

    #[test]
    fn setting_up_a_second_factor() {
        samples::check(
            "second_factor",
            &BeginPage { shell: shell(), once: "once".to_owned(), refusal: None },
        );
        samples::check("second_factor_confirm", &ConfirmPage::sample());
        let codes = (0..10).map(|n| format!("{n}abc-defgh-jkmn{n}")).collect();
        samples::check("recovery_codes", &CodesPage::new(shell(), codes));
        samples::check("second_factor_remove", &RemovePage { shell: shell(), refusal: None });
    }

    #[test]
    fn a_wrong_code_can_be_tried_again_although_the_secret_is_not_shown_again() {
        let page = ConfirmPage { shown: None, ..ConfirmPage::sample() };
        let html = page.render().unwrap();
        assert!(!html.contains("otpauth") && html.contains("name=\"code\"") && html.contains("Begin again"));
    }

    #[test]
    fn a_code_is_taken_as_apps_show_it() {
        assert_eq!(code_of(&Form::of(&[("code", " 123 456 ")])), "123456");
    }
}
