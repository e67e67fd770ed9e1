use muster_ids::{HostId, SiteId, TicketId};
use muster_wire::explanation::{ExplainTicket, Explanation};
use muster_wire::leak::{LeakPreview, LeakReported, PreviewLeak, ReportLeak};
use muster_wire::page::Page;
use muster_wire::refusal::{RefusedRequest, TicketRefusal};
use muster_wire::ticket::{
    CreateEnrolmentToken, CreateRegistrationToken, CreateSiteKey, MintedTicket, RotateSiteKey, Ticket,
    TicketKind, TicketStatus,
};

use super::page::{path, word};
use super::{Answer, ApiError, OperatorClient, PageRequest};

/// Which tickets to list; everything left out matches all.
#[derive(Debug, Clone, Default)]
pub struct TicketFilter {
    /// Only tickets of this door.
    pub kind: Option<TicketKind>,
    /// Only tickets that stand at one of these; none: anywhere.
    pub statuses: Vec<TicketStatus>,
    /// Only tickets that lead to this site.
    pub site_id: Option<SiteId>,
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

    /// `POST /v1/enrolment-tokens` under a key of the caller's: the same request gets the same token, for a day.
    pub async fn create_enrolment_token_once(
        &self,
        token: &CreateEnrolmentToken,
        idempotency_key: &str,
    ) -> Result<Answer<MintedTicket>, ApiError> {
        self.mint_as("/v1/enrolment-tokens", token, idempotency_key).await
    }

    /// `POST /v1/site-keys/{ticket_id}/rotate`: the next key of the same site.
    pub async fn rotate_site_key(
        &self,
        ticket_id: TicketId,
        rotation: &RotateSiteKey,
    ) -> Result<Answer<MintedTicket>, ApiError> {
        self.mint(&format!("/v1/site-keys/{ticket_id}/rotate"), rotation).await
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
        let statuses: Vec<String> = filter.statuses.iter().filter_map(|status| word(*status)).collect();
        let filters = [
            ("kind", filter.kind.and_then(word)),
            ("status", (!statuses.is_empty()).then(|| statuses.join(","))),
            ("site_id", filter.site_id.map(|id| id.to_string())),
        ];
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

    /// `GET /v1/refusals`: what is known of a refused request, by what its machine quotes.
    pub async fn refused_requests(&self, request_id: &str) -> Result<Page<Answer<RefusedRequest>>, ApiError> {
        let filters = [("request_id", Some(request_id.to_owned()))];
        self.get(&path("/v1/refusals", &PageRequest::default(), &filters)).await
    }

    /// `GET /v1/tickets/{ticket_id}/explain`: what it admits now.
    pub async fn explain_ticket(&self, ticket_id: TicketId) -> Result<Answer<Explanation>, ApiError> {
        self.get(&format!("/v1/tickets/{ticket_id}/explain")).await
    }

    /// `POST /v1/tickets/explain`: what a ticket would admit; mints nothing.
    pub async fn explain(&self, ticket: &ExplainTicket) -> Result<Answer<Explanation>, ApiError> {
        self.post("/v1/tickets/explain", ticket).await
    }

    /// `POST /v1/tickets/{ticket_id}/leak/preview`: what it admitted; changes nothing.
    pub async fn leak_preview(
        &self,
        ticket_id: TicketId,
        asked: &PreviewLeak,
    ) -> Result<Answer<LeakPreview>, ApiError> {
        self.post(&format!("/v1/tickets/{ticket_id}/leak/preview"), asked).await
    }

    /// `POST /v1/tickets/{ticket_id}/leak`: revokes it and suspends what the preview showed.
    pub async fn report_leak(
        &self,
        ticket_id: TicketId,
        seen: &ReportLeak,
    ) -> Result<Answer<LeakReported>, ApiError> {
        self.post(&format!("/v1/tickets/{ticket_id}/leak"), seen).await
    }
}
