use muster_ids::SiteId;
use muster_wire::page::Page;
use muster_wire::site::{CreateSite, SetSitePolicy, Site};

use super::{Answer, ApiError, OperatorClient, PageRequest, page::path};

impl OperatorClient {
    /// `GET /v1/sites`
    pub async fn sites(&self, page: &PageRequest) -> Result<Page<Answer<Site>>, ApiError> {
        self.get(&path("/v1/sites", page, &[])).await
    }

    /// `POST /v1/sites`
    pub async fn create_site(&self, site: &CreateSite) -> Result<Answer<Site>, ApiError> {
        self.post("/v1/sites", site).await
    }

    /// `GET /v1/sites/{site_id}`
    pub async fn site(&self, site_id: SiteId) -> Result<Answer<Site>, ApiError> {
        self.get(&format!("/v1/sites/{site_id}")).await
    }

    /// `PUT /v1/sites/{site_id}/policy`: the whole policy from now on.
    pub async fn set_site_policy(
        &self,
        site_id: SiteId,
        policy: &SetSitePolicy,
    ) -> Result<Answer<Site>, ApiError> {
        self.put(&format!("/v1/sites/{site_id}/policy"), policy).await
    }
}
