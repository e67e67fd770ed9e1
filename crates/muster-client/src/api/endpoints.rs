use muster_ids::{DeliveryId, EndpointId};
use muster_wire::endpoint::{
    CreateEndpoint, DeliveryState, Endpoint, EndpointTested, EventDelivery, MadeEndpoint, Redeliver,
    Redelivering, RotateSigningSecret, RotatedSigningSecret, SetEndpoint, TestEndpoint,
};
use muster_wire::page::Page;

use super::{Answer, ApiError, OperatorClient, PageRequest, page::path};

impl OperatorClient {
    /// `GET /v1/endpoints`: never their credentials.
    pub async fn endpoints(&self, page: &PageRequest) -> Result<Page<Answer<Endpoint>>, ApiError> {
        self.get(&path("/v1/endpoints", page, &[])).await
    }

    /// `GET /v1/endpoints/{endpoint_id}`
    pub async fn endpoint(&self, id: EndpointId) -> Result<Answer<Endpoint>, ApiError> {
        self.get(&format!("/v1/endpoints/{id}")).await
    }

    /// `POST /v1/endpoints`
    pub async fn create_endpoint(&self, endpoint: &CreateEndpoint) -> Result<Answer<MadeEndpoint>, ApiError> {
        self.mint("/v1/endpoints", endpoint).await
    }

    /// `PUT /v1/endpoints/{endpoint_id}`
    pub async fn set_endpoint(
        &self,
        id: EndpointId,
        endpoint: &SetEndpoint,
    ) -> Result<Answer<Endpoint>, ApiError> {
        self.put(&format!("/v1/endpoints/{id}"), endpoint).await
    }

    /// `POST /v1/endpoints/{endpoint_id}/pause`
    pub async fn pause_endpoint(&self, id: EndpointId) -> Result<Answer<Endpoint>, ApiError> {
        self.post_empty(&format!("/v1/endpoints/{id}/pause")).await
    }

    /// `POST /v1/endpoints/{endpoint_id}/resume`
    pub async fn resume_endpoint(&self, id: EndpointId) -> Result<Answer<Endpoint>, ApiError> {
        self.post_empty(&format!("/v1/endpoints/{id}/resume")).await
    }

    /// `POST /v1/endpoints/{endpoint_id}/remove`
    pub async fn remove_endpoint(&self, id: EndpointId) -> Result<Answer<Endpoint>, ApiError> {
        self.post_empty(&format!("/v1/endpoints/{id}/remove")).await
    }

    /// `POST /v1/endpoints/{endpoint_id}/test`
    pub async fn test_endpoint(&self, id: EndpointId) -> Result<Answer<EndpointTested>, ApiError> {
        self.post_empty(&format!("/v1/endpoints/{id}/test")).await
    }

    /// `POST /v1/endpoints/test`: sends a test message and stores nothing.
    pub async fn test_target(&self, target: &TestEndpoint) -> Result<Answer<EndpointTested>, ApiError> {
        self.post("/v1/endpoints/test", target).await
    }

    /// `POST /v1/endpoints/{endpoint_id}/rotate-secret`
    pub async fn rotate_signing_secret(
        &self,
        id: EndpointId,
        request: &RotateSigningSecret,
    ) -> Result<Answer<RotatedSigningSecret>, ApiError> {
        self.mint(&format!("/v1/endpoints/{id}/rotate-secret"), request).await
    }

    /// `GET /v1/endpoints/{endpoint_id}/deliveries`: the newest first.
    pub async fn deliveries(
        &self,
        id: EndpointId,
        state: Option<DeliveryState>,
        page: &PageRequest,
    ) -> Result<Page<Answer<EventDelivery>>, ApiError> {
        let filters = [("state", state.map(|state| state.as_str().to_owned()))];
        self.get(&path(&format!("/v1/endpoints/{id}/deliveries"), page, &filters)).await
    }

    /// `POST /v1/endpoints/{endpoint_id}/deliveries/{delivery_id}/redeliver`
    pub async fn redeliver(
        &self,
        id: EndpointId,
        delivery_id: DeliveryId,
    ) -> Result<Answer<EventDelivery>, ApiError> {
        self.post_empty(&format!("/v1/endpoints/{id}/deliveries/{delivery_id}/redeliver")).await
    }

    /// `POST /v1/endpoints/{endpoint_id}/redeliver`: everything since a time.
    pub async fn redeliver_since(
        &self,
        id: EndpointId,
        since: &Redeliver,
    ) -> Result<Answer<Redelivering>, ApiError> {
        self.post(&format!("/v1/endpoints/{id}/redeliver"), since).await
    }
}
