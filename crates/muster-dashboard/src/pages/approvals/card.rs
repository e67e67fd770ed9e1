//! A claim as a card: the question, both machines side by side, what may be decided.

use std::collections::HashMap;

use muster_ids::HostId;
use muster_wire::audit::AuditEntry;
use muster_wire::claim::{Claim, ClaimState, Verdict};
use muster_wire::page::Page;
use muster_wire::people::Person;
use muster_wire::permission::Permission;

use super::versus::{self, Row};
use crate::pages::tickets::Names;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::visit::Visit;

/// A claim with everything a person needs to decide it.
#[derive(Debug, Clone)]
pub(crate) struct Card {
    pub(crate) claim: Claim,
    pub(crate) site: String,
    /// The host that came of it.
    pub(crate) result: Option<(HostId, String)>,
    /// Both sides, fact by fact.
    pub(crate) rows: Vec<Row>,
    /// Who decided; told to those who may read the audit trail.
    pub(crate) decided_by: Option<String>,
    pub(crate) may_decide: bool,
    pub(crate) may_give_secrets: bool,
}

/// Who decided which claim, as the audit trail says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deciders {
    by_claim: HashMap<String, String>,
}

impl Deciders {
    /// Asks the audit trail, where this person may read it and something was decided.
    pub(crate) async fn of(visit: &Visit, claims: &[Claim]) -> Result<Self, Refusal> {
        let at = |claim: &Claim| claim.decided_at;
        let (Some(first), Some(last)) =
            (claims.iter().filter_map(at).min(), claims.iter().filter_map(at).max())
        else {
            return Ok(Self::default());
        };
        if !visit.may(Permission::ReadAudit) {
            return Ok(Self::default());
        }
        let until = last.plus(std::time::Duration::from_secs(1));
        let path = Query::default()
            .with("action", "claim.decided")
            .with("since", &first.to_string())
            .with("until", &until.to_string())
            .with("limit", "200")
            .on("/v1/audit");
        let (entries, people) = tokio::join!(
            visit.api.get_if_shown::<Page<AuditEntry>>(&path),
            visit.api.get_if_shown::<Page<Person>>("/v1/people?limit=200")
        );
        let people = people?.map(|page| page.items).unwrap_or_default();
        let name = |actor: String| {
            let person = people.iter().find(|person| person.id.to_string() == actor);
            person.map_or(actor, |person| person.name.clone())
        };
        let entries = entries?.map(|page| page.items).unwrap_or_default();
        Ok(Self { by_claim: entries.into_iter().map(|entry| (entry.target, name(entry.actor))).collect() })
    }
}

impl Card {
    pub(crate) fn new(claim: Claim, names: &Names, deciders: &Deciders, visit: &Visit) -> Self {
        let mut card = Self::of(claim, names, deciders, visit.now);
        card.may_decide = visit.may(Permission::DecideClaims);
        card.may_give_secrets = visit.may(Permission::ManageSecrets);
        card
    }

    fn of(claim: Claim, names: &Names, deciders: &Deciders, now: muster_ids::Timestamp) -> Self {
        Self {
            site: names.site(&claim.site_id).to_owned(),
            result: claim.result_host_id.map(|id| (id, names.host(&id))),
            rows: versus::rows(&claim, names, now),
            decided_by: deciders.by_claim.get(&claim.id.to_string()).cloned(),
            may_decide: false,
            may_give_secrets: false,
            claim,
        }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.claim.state == ClaimState::Waiting
    }

    pub(crate) fn is_rejected(&self) -> bool {
        self.claim.state == ClaimState::Rejected
    }

    /// Whether a person's decision stands: a claim also ends by itself, or because its rejection was cleared.
    pub(crate) fn was_decided(&self) -> bool {
        !matches!(self.claim.state, ClaimState::Waiting | ClaimState::Expired | ClaimState::Closed)
    }

    /// Whether this may be decided of it.
    pub(crate) fn offers(&self, verdict: Verdict) -> bool {
        self.is_waiting() && self.claim.verdicts.contains(&verdict)
    }

    /// Names of the secrets that a machine could take over.
    pub(crate) fn secrets(&self) -> Option<String> {
        let takes_over = self.offers(Verdict::Replace) || self.offers(Verdict::Move);
        let secrets = &self.claim.contested.as_ref()?.secrets;
        (takes_over && !secrets.is_empty()).then(|| secrets.join(", "))
    }
}

#[cfg(test)]
impl Card {
    pub(crate) fn sample(claim: Claim) -> Self {
        let deciders =
            Deciders { by_claim: HashMap::from([(claim.id.to_string(), "Ada Lovelace".to_owned())]) };
        let names = crate::pages::tickets::tests::names();
        let mut card = Self::of(claim, &names, &deciders, crate::samples::NOW);
        card.may_decide = true;
        card.may_give_secrets = true;
        card
    }
}
