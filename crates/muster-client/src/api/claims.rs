use muster_ids::{ClaimId, SiteId};
use muster_wire::claim::{Claim, ClaimState, DecideClaim};
use muster_wire::page::Page;

use super::page::{path, word};
use super::{Answer, ApiError, OperatorClient, PageRequest};

/// Which claims to list; everything left out matches all.
#[derive(Debug, Clone, Default)]
pub struct ClaimFilter {
    /// Only claims in this state.
    pub state: Option<ClaimState>,
    /// Only claims at this site's door.
    pub site_id: Option<SiteId>,
}

impl OperatorClient {
    /// `GET /v1/claims`
    pub async fn claims(
        &self,
        filter: &ClaimFilter,
        page: &PageRequest,
    ) -> Result<Page<Answer<Claim>>, ApiError> {
        let filters =
            [("state", filter.state.and_then(word)), ("site_id", filter.site_id.map(|id| id.to_string()))];
        self.get(&path("/v1/claims", page, &filters)).await
    }

    /// `GET /v1/claims/{claim_id}`: the claim with its evidence.
    pub async fn claim(&self, claim_id: ClaimId) -> Result<Answer<Claim>, ApiError> {
        self.get(&format!("/v1/claims/{claim_id}")).await
    }

    /// `POST /v1/claims/{claim_id}/decision`
    pub async fn decide_claim(
        &self,
        claim_id: ClaimId,
        decision: &DecideClaim,
    ) -> Result<Answer<Claim>, ApiError> {
        self.post(&format!("/v1/claims/{claim_id}/decision"), decision).await
    }

    /// `POST /v1/claims/{claim_id}/clear`: lets a refused machine ask again.
    pub async fn clear_claim(&self, claim_id: ClaimId) -> Result<Answer<Claim>, ApiError> {
        self.post_empty(&format!("/v1/claims/{claim_id}/clear")).await
    }
}
