use muster_wire::oidc::{OidcCheck, OidcProvider, OidcRemoved, SetOidcProvider, SignInMethods};
use muster_wire::page::Page;
use muster_wire::text::ProviderName;

use super::{Answer, ApiError, OperatorClient};

impl OperatorClient {
    /// `GET /v1/sign-in/methods`: by what people may sign in. Needs no token.
    pub async fn sign_in_methods(&self) -> Result<Answer<SignInMethods>, ApiError> {
        self.get("/v1/sign-in/methods").await
    }

    /// `GET /v1/oidc/providers`: all of them; there are few.
    pub async fn oidc_providers(&self) -> Result<Page<Answer<OidcProvider>>, ApiError> {
        self.get("/v1/oidc/providers").await
    }

    /// `PUT /v1/oidc/providers/{name}`: the whole provider from now on.
    pub async fn set_oidc_provider(
        &self,
        name: &ProviderName,
        provider: &SetOidcProvider,
    ) -> Result<Answer<OidcProvider>, ApiError> {
        self.put(&format!("/v1/oidc/providers/{name}"), provider).await
    }

    /// `POST /v1/oidc/providers/{name}/remove`
    pub async fn remove_oidc_provider(&self, name: &ProviderName) -> Result<Answer<OidcRemoved>, ApiError> {
        self.post_empty(&format!("/v1/oidc/providers/{name}/remove")).await
    }

    /// `POST /v1/oidc/providers/{name}/check`
    pub async fn check_oidc_provider(&self, name: &ProviderName) -> Result<Answer<OidcCheck>, ApiError> {
        self.post_empty(&format!("/v1/oidc/providers/{name}/check")).await
    }
}
