use muster_ids::{ClaimId, HostId, SiteId};
use muster_wire::claim::{Claim, ClaimReason, ClaimState, DecideClaim, DecideClaims, DecidedClaims};
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
    /// Only claims that wait for this.
    pub reason: Option<ClaimReason>,
    /// Only claims that contest this host.
    pub host_id: Option<HostId>,
}

impl OperatorClient {
    /// `GET /v1/claims`
    pub async fn claims(
        &self,
        filter: &ClaimFilter,
        page: &PageRequest,
    ) -> Result<Page<Answer<Claim>>, ApiError> {
        let filters = [
            ("state", filter.state.and_then(word)),
            ("site_id", filter.site_id.map(|id| id.to_string())),
            ("reason", filter.reason.and_then(word)),
            ("host_id", filter.host_id.map(|id| id.to_string())),
        ];
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

    /// `POST /v1/claims/decisions`: each claim by itself.
    pub async fn decide_claims(&self, decisions: &DecideClaims) -> Result<Answer<DecidedClaims>, ApiError> {
        self.post("/v1/claims/decisions", decisions).await
    }

    /// `POST /v1/claims/{claim_id}/clear`: lets a refused machine ask again.
    pub async fn clear_claim(&self, claim_id: ClaimId) -> Result<Answer<Claim>, ApiError> {
        self.post_empty(&format!("/v1/claims/{claim_id}/clear")).await
    }
}
