//! `/account/sessions/…`: signing out elsewhere.

use askama::Template;
use http::{HeaderMap, StatusCode};
use muster_ids::WebSessionId;
use muster_wire::page::Page;
use muster_wire::sign_in::{Done, WebSession};
use serde_json::json;

use crate::form::Form;
use crate::path::Named;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

/// What ends when one signs out everywhere else.
#[derive(Template)]
#[template(path = "account_sessions.html")]
pub(crate) struct EndOthersPage {
    shell: Shell,
    /// Every session but the one this is shown in.
    sessions: Vec<WebSession>,
    refusal: Option<Refusal>,
}

/// `POST /account/sessions/{web_session_id}/end`
///
/// One that ended in the meantime is as it shall be.
pub(crate) async fn end(visit: Visit, Named(id): Named<WebSessionId>, _: Form) -> Answered {
    let ended = visit.api.post::<Done>(&format!("/v1/me/sessions/{id}/end"), &json!({})).await;
    match ended {
        Ok(_) => Ok(see_other("/account?done=session", &HeaderMap::new())),
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => {
            Ok(see_other("/account", &HeaderMap::new()))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// `GET /account/sessions/end-others`
pub(crate) async fn preview(visit: Visit) -> Answered {
    show(&visit, None).await
}

async fn show(visit: &Visit, refusal: Option<Refusal>) -> Answered {
    let sessions: Page<WebSession> = visit.api.get("/v1/me/sessions").await?;
    let others = sessions.items.into_iter().filter(|session| !session.current).collect();
    visit.page(&EndOthersPage { shell: visit.shell("Sign out everywhere else"), sessions: others, refusal })
}

/// `POST /account/sessions/end-others`
pub(crate) async fn end_others(visit: Visit, _: Form) -> Answered {
    match visit.api.post::<Done>("/v1/me/sessions/end-others", &json!({})).await {
        Ok(_) => Ok(see_other("/account?done=sessions", &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => show(&visit, Some(refusal)).await,
        Err(refusal) => Err(refusal.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::account::tests::session;
    use crate::samples::HOSTILE;

    #[test]
    fn signing_out_elsewhere_says_what_ends() {
        let page = |sessions| EndOthersPage {
            shell: Shell::sample("Sign out everywhere else", "/account"),
            sessions,
            refusal: None,
        };
        crate::samples::check("account_sessions", &page(vec![session("Abcdefghijk1", false, 70, HOSTILE)]));
        assert!(!page(Vec::new()).render().unwrap().contains("<form method=\"post\" action=\"/account"));
    }
}
