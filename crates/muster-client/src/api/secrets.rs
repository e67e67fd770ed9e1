use muster_ids::HostId;
use muster_wire::page::Page;
use muster_wire::secret::{Document, PushSecret, PushedSecret, SecretMetadata};
use muster_wire::text::SecretName;

use super::{Answer, ApiError, OperatorClient, PageRequest, page::path};

impl OperatorClient {
    /// `PUT /v1/hosts/{host_id}/secrets/{name}`: merges the document into the secret (RFC 7396).
    pub async fn set_secret(
        &self,
        host_id: HostId,
        name: &SecretName,
        document: &Document,
    ) -> Result<Answer<SecretMetadata>, ApiError> {
        self.put(&format!("/v1/hosts/{host_id}/secrets/{name}"), document).await
    }

    /// `PUT /v1/secrets/{name}`: merges the document into the secret of each host, of all of them or of none.
    pub async fn push_secret(
        &self,
        name: &SecretName,
        order: &PushSecret,
    ) -> Result<Answer<PushedSecret>, ApiError> {
        self.put(&format!("/v1/secrets/{name}"), order).await
    }

    /// `GET /v1/hosts/{host_id}/secrets`: never their values.
    pub async fn secrets(
        &self,
        host_id: HostId,
        page: &PageRequest,
    ) -> Result<Page<Answer<SecretMetadata>>, ApiError> {
        self.get(&path(&format!("/v1/hosts/{host_id}/secrets"), page, &[])).await
    }
}
