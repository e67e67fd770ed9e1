use muster_ids::{HostId, TicketId};
use muster_wire::page::Page;
use muster_wire::ticket::{
    CreateEnrolmentToken, CreateRegistrationToken, CreateSiteKey, MintedTicket, Ticket, TicketKind,
    TicketRefusal, TicketStatus,
};

use super::page::{path, word};
use super::{Answer, ApiError, OperatorClient, PageRequest};

/// Which tickets to list; everything left out matches all.
#[derive(Debug, Clone, Default)]
pub struct TicketFilter {
    /// Only tickets of this door.
    pub kind: Option<TicketKind>,
    /// Only tickets that stand here.
    pub status: Option<TicketStatus>,
}

impl OperatorClient {
    /// `POST /v1/enrolment-tokens`: door 1.
    pub async fn create_enrolment_token(
        &self,
        token: &CreateEnrolmentToken,
    ) -> Result<Answer<MintedTicket>, ApiError> {
        self.mint("/v1/enrolment-tokens", token).await
    }

    /// `POST /v1/site-keys`: door 3.
    pub async fn create_site_key(&self, key: &CreateSiteKey) -> Result<Answer<MintedTicket>, ApiError> {
        self.mint("/v1/site-keys", key).await
    }

    /// `POST /v1/hosts/{host_id}/registration-token`: door 2; voids the older one.
    pub async fn create_registration_token(
        &self,
        host_id: HostId,
        token: &CreateRegistrationToken,
    ) -> Result<Answer<MintedTicket>, ApiError> {
        self.mint(&format!("/v1/hosts/{host_id}/registration-token"), token).await
    }

    /// `GET /v1/tickets`
    pub async fn tickets(
        &self,
        filter: &TicketFilter,
        page: &PageRequest,
    ) -> Result<Page<Answer<Ticket>>, ApiError> {
        let filters = [("kind", filter.kind.and_then(word)), ("status", filter.status.and_then(word))];
        self.get(&path("/v1/tickets", page, &filters)).await
    }

    /// `GET /v1/tickets/{ticket_id}`
    pub async fn ticket(&self, ticket_id: TicketId) -> Result<Answer<Ticket>, ApiError> {
        self.get(&format!("/v1/tickets/{ticket_id}")).await
    }

    /// `POST /v1/tickets/{ticket_id}/revoke`
    pub async fn revoke_ticket(&self, ticket_id: TicketId) -> Result<Answer<Ticket>, ApiError> {
        self.post_empty(&format!("/v1/tickets/{ticket_id}/revoke")).await
    }

    /// `GET /v1/tickets/{ticket_id}/refusals`: why machines were refused with it.
    pub async fn ticket_refusals(
        &self,
        ticket_id: TicketId,
        page: &PageRequest,
    ) -> Result<Page<Answer<TicketRefusal>>, ApiError> {
        self.get(&path(&format!("/v1/tickets/{ticket_id}/refusals"), page, &[])).await
    }
}
