//! Deciding claims: one, or many with one verdict; and clearing a rejected one.

use askama::Template;
use axum::response::Response;
use futures_util::future::join_all;
use http::HeaderMap;
use muster_ids::ClaimId;
use muster_wire::claim::{Claim, DecidedClaim, DecidedClaims};
use serde_json::{Value, json};

use super::one;
use crate::form::Form;
use crate::markup::{self, Markup};
use crate::path::Named;
use crate::query::Query;
use crate::refusal::Refused;
use crate::respond::{own_path, see_other};
use crate::shell::Shell;
use crate::visit::{Answered, Visit};
use crate::words::{self, Tone};

/// `POST /approvals/{claim_id}/decision`
pub(crate) async fn create(visit: Visit, Named(id): Named<ClaimId>, form: Form) -> Answered {
    let request = json!({
        "verdict": form.raw("verdict"),
        "evidence_version": form.raw("evidence_version"),
        "with_secrets": form.is_ticked("with_secrets") && takes_over(&form),
    });
    match visit.api.post::<Claim>(&format!("/v1/claims/{id}/decision"), &request).await {
        Ok(_) => Ok(see_other(&after(form.raw("back"), id), &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => one::show(&visit, id, Some(refusal)).await,
        Err(refusal) => Err(refusal.into()),
    }
}

/// Whether a machine takes over a host: nobody else receives its secrets.
fn takes_over(form: &Form) -> bool {
    matches!(form.raw("verdict"), "replace" | "move")
}

/// Returns where a person goes on: the page of the claim, or the list, which then says what was decided.
fn after(back: &str, id: ClaimId) -> String {
    let (path, query) = back.split_once('?').unwrap_or((back, ""));
    if path != "/approvals" {
        return format!("/approvals/{id}");
    }
    let query = Query::parse(query);
    let cursor = query.get("cursor").map(str::to_owned);
    let query = query.with("done", &id.to_string());
    cursor.iter().fold(query, |query, cursor| query.with("cursor", cursor)).on("/approvals")
}

/// `POST /approvals/{claim_id}/clear`
pub(crate) async fn clear(visit: Visit, Named(id): Named<ClaimId>, _: Form) -> Result<Response, Refused> {
    match visit.api.post::<Claim>(&format!("/v1/claims/{id}/clear"), &json!({})).await {
        Ok(_) => Ok(see_other(&format!("/approvals/{id}"), &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => one::show(&visit, id, Some(refusal)).await,
        Err(refusal) => Err(refusal.into()),
    }
}

#[derive(Template)]
#[template(path = "approvals_decided.html")]
pub(crate) struct DecidedPage {
    shell: Shell,
    results: Vec<Outcome>,
    /// Why nothing was decided at all.
    refusal: Option<String>,
    back: String,
}

/// What came of one claim of many.
#[derive(Debug, Clone)]
struct Outcome {
    id: ClaimId,
    /// What the machine calls itself, as far as that can be told.
    hostname: Option<String>,
    decided: DecidedClaim,
}

impl Outcome {
    fn stands(&self) -> Markup {
        match &self.decided.state {
            Some(state) => markup::pill(state),
            None => markup::tinted("not decided", Tone::Warn),
        }
    }

    fn why_not(&self) -> Option<String> {
        let refused = self.decided.refused.as_ref()?;
        let status = http::StatusCode::CONFLICT;
        Some(words::refusal(status, &refused.code, &refused.detail, None))
    }
}

/// `POST /approvals/decisions`
pub(crate) async fn create_many(visit: Visit, form: Form) -> Answered {
    let decisions = decisions(&form);
    let mut page = DecidedPage {
        shell: visit.shell("Decided"),
        results: Vec::new(),
        refusal: None,
        back: own_path(form.raw("back"), "/approvals").to_owned(),
    };
    if decisions.is_empty() {
        page.refusal = Some("No claim was chosen. Tick the ones that are meant, then decide.".to_owned());
        return visit.page(&page);
    }
    let request = json!({ "decisions": decisions });
    match visit.api.post::<DecidedClaims>("/v1/claims/decisions", &request).await {
        Ok(decided) => {
            page.results = outcomes(&visit, decided).await;
        }
        Err(refusal) if refusal.is_of_form() => page.refusal = Some(refusal.says()),
        Err(refusal) => return Err(refusal.into()),
    }
    visit.page(&page)
}

/// Returns the decisions of a form: each box holds a claim and the evidence that was seen.
fn decisions(form: &Form) -> Vec<Value> {
    let decide = |chosen: String| {
        let (id, evidence) = chosen.split_once(' ')?;
        Some(json!({
            "claim_id": id,
            "evidence_version": evidence,
            "verdict": form.raw("verdict"),
            "with_secrets": form.is_ticked("with_secrets") && takes_over(form),
        }))
    };
    form.all("claim").into_iter().filter_map(decide).collect()
}

/// Names the machines that were decided about. What was decided is told in any case.
async fn outcomes(visit: &Visit, decided: DecidedClaims) -> Vec<Outcome> {
    let named = decided.items.into_iter().map(|decided| async move {
        let id = decided.claim_id;
        let claim = visit.api.get::<Claim>(&format!("/v1/claims/{id}")).await.ok();
        let hostname = claim.map(|claim| claim.machine.hostname.to_string());
        Outcome { id, hostname, decided }
    });
    join_all(named).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn the_result_of_each_claim_is_said() {
        let outcome = |id: &str, decided: Value| Outcome {
            id: id.parse().unwrap(),
            hostname: (id == samples::CLAIM).then(|| samples::HOSTILE.to_owned()),
            decided: samples::of(decided),
        };
        let other = "claim_01890a5dac96774bbcceb302099a8016";
        let results = vec![
            outcome(
                samples::CLAIM,
                json!({
                    "claim_id": samples::CLAIM, "state": "new", "result_host_id": samples::HOST, "refused": null,
                }),
            ),
            outcome(
                other,
                json!({
                    "claim_id": other, "state": null, "result_host_id": null,
                    "refused": { "code": "claim_stale", "detail": "it changed" },
                }),
            ),
        ];
        let page = DecidedPage {
            shell: Shell::sample("Decided", "/approvals/decisions"),
            results,
            refusal: None,
            back: "/approvals".to_owned(),
        };
        samples::check("approvals_decided", &page);
    }

    #[test]
    fn each_box_says_the_evidence_that_was_seen_and_secrets_go_only_to_who_takes_over() {
        let form = |verdict| {
            Form::of(&[
                ("claim", "claim_1 v1"),
                ("claim", "claim_2 v2"),
                ("verdict", verdict),
                ("with_secrets", "on"),
            ])
        };
        let replaced = decisions(&form("replace"));
        assert_eq!(replaced.len(), 2);
        assert_eq!(replaced[1]["evidence_version"], "v2");
        assert_eq!(replaced[0]["with_secrets"], true);
        assert_eq!(decisions(&form("new"))[0]["with_secrets"], false);
    }

    #[test]
    fn a_decision_goes_on_where_it_came_from() {
        let id: ClaimId = samples::CLAIM.parse().unwrap();
        assert_eq!(after("/approvals?reason=clone", id), format!("/approvals?reason=clone&done={id}"));
        assert_eq!(after("/approvals/claim_1", id), format!("/approvals/{id}"));
        assert_eq!(after("//evil.example", id), format!("/approvals/{id}"));
    }
}
