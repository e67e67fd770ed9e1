//! `/approvals/{claim_id}`: one claim.

use askama::Template;
use muster_ids::ClaimId;
use muster_wire::claim::Claim;

use super::card::{Card, Deciders};
use super::news;
use crate::pages::tickets::Names;
use crate::path::Named;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

#[derive(Template)]
#[template(path = "approval.html")]
pub(crate) struct ApprovalPage {
    shell: Shell,
    card: Card,
    /// Why a decision was refused just now.
    refusal: Option<String>,
    /// What the page showed before, when a script asks for what changed.
    seen: String,
}

/// `GET /approvals/{claim_id}`
pub(crate) async fn get(visit: Visit, Named(id): Named<ClaimId>) -> Answered {
    show(&visit, id, None).await
}

/// Shows a claim as it stands now, and why what was asked of it was refused.
pub(super) async fn show(visit: &Visit, id: ClaimId, refusal: Option<Refusal>) -> Answered {
    let card = load(visit, id).await?;
    let refusal = refusal.map(|refusal| refusal.says());
    let seen = visit.query.text("seen").to_owned();
    visit.page(&ApprovalPage { shell: visit.shell("Approval"), card, refusal, seen })
}

async fn load(visit: &Visit, id: ClaimId) -> Result<Card, Refusal> {
    let claim: Claim = visit.api.get(&format!("/v1/claims/{id}")).await?;
    let names = Names::of(visit, claim.result_host_id.into_iter()).await?;
    let deciders = Deciders::of(visit, std::slice::from_ref(&claim)).await?;
    Ok(Card::new(claim, &names, &deciders, visit))
}

impl ApprovalPage {
    /// Where a decision comes back to.
    fn back(&self) -> String {
        format!("/approvals/{}", self.card.claim.id)
    }

    /// Where the live part is fetched from: it names what is on the page.
    fn live_path(&self) -> String {
        let shown = news::seen(std::iter::once(&self.card.claim));
        let seen = if self.seen.is_empty() { shown } else { self.seen.clone() };
        Query::default().with("seen", &seen).on(&self.back())
    }

    /// Whether this is not what the page showed before.
    fn is_changed(&self) -> bool {
        !self.seen.is_empty() && self.seen != news::seen(std::iter::once(&self.card.claim))
    }

    fn is_deciding(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{collision, copy};
    use super::*;
    use crate::samples;

    fn page(claim: Claim, refusal: Option<&str>) -> ApprovalPage {
        let shell = Shell::sample("Approval", "/approvals/claim_01890a5dac96774bbcceb302099a8005");
        ApprovalPage {
            shell,
            card: Card::sample(claim),
            refusal: refusal.map(str::to_owned),
            seen: String::new(),
        }
    }

    #[test]
    fn the_page_of_a_claim() {
        samples::check("approval", &page(collision(), Some("The evidence changed since you looked.")));
    }

    #[test]
    fn a_rejected_copy_says_what_was_seen_and_who_decided() {
        samples::check("approval_decided", &page(copy(), None));
    }

    #[test]
    fn secrets_are_handed_over_only_by_who_may_manage_them() {
        let mut page = page(collision(), None);
        assert!(page.render().unwrap().contains("name=\"with_secrets\""));
        page.card.may_give_secrets = false;
        let html = page.render().unwrap();
        assert!(!html.contains("name=\"with_secrets\""));
        assert!(html.contains("Only who may manage secrets"));
        page.card.may_decide = false;
        let html = page.render().unwrap();
        assert!(!html.contains("name=\"verdict\""));
        assert!(html.contains("Your role may look at claims, not decide them"));
    }

    #[test]
    fn a_cleared_claim_is_not_said_to_be_decided() {
        let mut claim = copy();
        claim.state = muster_wire::claim::ClaimState::Closed;
        let html = page(claim, None).render().unwrap();
        assert!(html.contains("It ended") && !html.contains("Decided by"));
    }

    #[test]
    fn a_claim_that_changed_says_so_and_stays_as_it_was_seen() {
        let mut page = page(collision(), None);
        assert!(!page.is_changed());
        page.seen = format!("{}:v0", samples::CLAIM);
        assert!(page.live_path().ends_with("%3Av0"));
        assert!(page.render().unwrap().contains("What is known changed since you looked"));
        page.card.claim.state = muster_wire::claim::ClaimState::New;
        assert!(page.render().unwrap().contains("It was decided meanwhile"));
    }

    #[test]
    fn a_claim_without_a_key_may_only_be_rejected() {
        let mut claim = collision();
        claim.verdicts = vec![muster_wire::claim::Verdict::Reject];
        let html = page(claim, None).render().unwrap();
        assert!(html.contains("value=\"reject\"") && !html.contains("value=\"replace\""));
    }
}
