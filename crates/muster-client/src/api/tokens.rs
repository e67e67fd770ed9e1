use muster_ids::TokenId;
use muster_wire::page::Page;
use muster_wire::token::{ApiToken, CreateApiToken, MintedApiToken};

use super::{Answer, ApiError, OperatorClient, PageRequest, page::path};

impl OperatorClient {
    /// `POST /v1/me/tokens`: makes an API token of one's own.
    pub async fn create_token(&self, token: &CreateApiToken) -> Result<Answer<MintedApiToken>, ApiError> {
        self.mint("/v1/me/tokens", token).await
    }

    /// `GET /v1/me/tokens`: one's own API tokens.
    pub async fn own_tokens(&self, page: &PageRequest) -> Result<Page<Answer<ApiToken>>, ApiError> {
        self.get(&path("/v1/me/tokens", page, &[])).await
    }

    /// `POST /v1/me/tokens/{token_id}/revoke`
    pub async fn revoke_own_token(&self, token_id: TokenId) -> Result<Answer<ApiToken>, ApiError> {
        self.post_empty(&format!("/v1/me/tokens/{token_id}/revoke")).await
    }

    /// `GET /v1/tokens`: the API tokens of the team's people.
    pub async fn tokens(&self, page: &PageRequest) -> Result<Page<Answer<ApiToken>>, ApiError> {
        self.get(&path("/v1/tokens", page, &[])).await
    }

    /// `POST /v1/tokens/{token_id}/revoke`
    pub async fn revoke_token(&self, token_id: TokenId) -> Result<Answer<ApiToken>, ApiError> {
        self.post_empty(&format!("/v1/tokens/{token_id}/revoke")).await
    }
}
