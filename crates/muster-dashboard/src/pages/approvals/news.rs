//! What changed since a page of claims was made. The cards stay as they were seen: nobody decides on what they did not see.

use futures_util::future::join_all;
use muster_ids::{ClaimId, Timestamp};
use muster_wire::claim::{Claim, ClaimState};

use crate::refusal::Refusal;
use crate::visit::Visit;

/// Most claims that a page may name as seen.
const MOST_SEEN: usize = 60;
/// Says that a page showed no claim.
const NOTHING: &str = "nothing";

/// What changed since the page was made.
#[derive(Debug, Clone, Default)]
pub(crate) struct News {
    /// Claims that were not on the page.
    pub(crate) fresh: usize,
    /// Claims that do not stand any more where they stood.
    pub(crate) gone: Vec<Claim>,
    /// Claims of which other things are known now.
    pub(crate) changed: Vec<Claim>,
}

/// Names the claims on a page, each with the evidence that is shown.
pub(super) fn seen<'a>(claims: impl Iterator<Item = &'a Claim>) -> String {
    let version = |claim: &Claim| match claim.state {
        ClaimState::Waiting => claim.evidence_version.clone(),
        _ => String::new(),
    };
    let named: Vec<String> = claims.map(|claim| format!("{}:{}", claim.id, version(claim))).collect();
    if named.is_empty() { NOTHING.to_owned() } else { named.join(",") }
}

impl News {
    pub(super) fn is_none(&self) -> bool {
        self.fresh == 0 && self.gone.is_empty() && self.changed.is_empty()
    }

    /// When the last of those that are gone was decided.
    pub(super) fn decided_at(&self) -> Option<Timestamp> {
        self.gone.iter().filter_map(|claim| claim.decided_at).max()
    }

    /// Compares what the page showed, where a script says it, with the list as it is now.
    pub(super) async fn of(visit: &Visit, now: &[Claim]) -> Result<Self, Refusal> {
        let Some(seen) = visit.query.get("seen") else { return Ok(Self::default()) };
        let seen = parse(seen);
        let gone = seen.iter().map(|(id, _)| *id).filter(|id| !now.iter().any(|claim| claim.id == *id));
        let asked =
            gone.map(|id| async move { visit.api.get_if_shown::<Claim>(&format!("/v1/claims/{id}")).await });
        let gone: Result<Vec<_>, Refusal> = join_all(asked).await.into_iter().collect();
        let (changed, fresh) = compare(&seen, now);
        Ok(Self { fresh, gone: gone?.into_iter().flatten().collect(), changed })
    }
}

fn parse(seen: &str) -> Vec<(ClaimId, String)> {
    let pairs = seen.split(',').filter_map(|pair| pair.split_once(':'));
    let named = pairs.filter_map(|(id, version)| Some((id.parse().ok()?, version.to_owned())));
    named.take(MOST_SEEN).collect()
}

/// Returns the claims of which other things are known now, and how many were not on the page.
fn compare(seen: &[(ClaimId, String)], now: &[Claim]) -> (Vec<Claim>, usize) {
    let version = |claim: &Claim| seen.iter().find(|(id, _)| *id == claim.id).map(|(_, version)| version);
    let is_other = |claim: &&Claim| {
        claim.state == ClaimState::Waiting
            && version(claim).is_some_and(|version| *version != claim.evidence_version)
    };
    let changed = now.iter().filter(is_other).cloned().collect();
    (changed, now.iter().filter(|claim| version(claim).is_none()).count())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{collision, newcomer};
    use super::*;

    #[test]
    fn what_is_new_and_what_changed_is_told_from_what_was_seen() {
        let told = seen([collision()].iter());
        let (changed, fresh) = compare(&parse(&told), &[collision(), newcomer()]);
        assert!(changed.is_empty());
        assert_eq!(fresh, 1);
        let mut other = collision();
        other.evidence_version = "v2".to_owned();
        let (changed, fresh) = compare(&parse(&told), &[other]);
        assert_eq!((changed.len(), fresh), (1, 0));
    }

    #[test]
    fn a_page_without_claims_was_seen_as_well() {
        assert_eq!(seen(std::iter::empty()), NOTHING);
        assert!(parse(NOTHING).is_empty());
        assert_eq!(compare(&parse(NOTHING), &[newcomer()]).1, 1);
        assert!(News::default().is_none());
    }
}
