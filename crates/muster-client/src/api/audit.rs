use muster_wire::audit::{AuditAnchor, AuditEntry, AuditVerification};
use muster_wire::page::{Order, Page};

use super::{Answer, ApiError, OperatorClient, PageRequest, page::path, page::word};
use crate::download::Download;

/// Which audit entries to list; everything left out matches all.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only these actions, between commas.
    pub action: Option<String>,
    /// Only what was done to this.
    pub target: Option<String>,
    /// Only what is about this host.
    pub host_id: Option<String>,
    /// Only what this one did.
    pub actor: Option<String>,
    /// Only what ended like this.
    pub outcome: Option<String>,
    /// Only what comes after this position.
    pub after: Option<u64>,
    /// Nothing from before this time (RFC 3339).
    pub since: Option<String>,
    /// Only what is from before this time (RFC 3339).
    pub until: Option<String>,
}

impl AuditFilter {
    fn parameters(&self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("action", self.action.clone()),
            ("target", self.target.clone()),
            ("host_id", self.host_id.clone()),
            ("actor", self.actor.clone()),
            ("outcome", self.outcome.clone()),
            ("since", self.since.clone()),
            ("until", self.until.clone()),
        ]
    }
}

impl OperatorClient {
    /// `GET /v1/audit`: by position.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        order: Order,
        page: &PageRequest,
    ) -> Result<Page<Answer<AuditEntry>>, ApiError> {
        let mut parameters = filter.parameters();
        parameters.push(("after", filter.after.map(|after| after.to_string())));
        parameters.push(("order", word(order).filter(|_| order != Order::default())));
        self.get(&path("/v1/audit", page, &parameters)).await
    }

    /// `GET /v1/audit/export`: JSON lines, oldest first, up to now.
    pub async fn audit_export(&self, filter: &AuditFilter, all_teams: bool) -> Result<Download, ApiError> {
        let mut parameters = filter.parameters();
        parameters.push(("all_teams", all_teams.then(|| "true".to_owned())));
        self.download(&path("/v1/audit/export", &PageRequest::default(), &parameters)).await
    }

    /// `GET /v1/audit/verify`: the part of the chain after a position.
    pub async fn audit_verify(
        &self,
        after: u64,
        anchor: Option<AuditAnchor>,
    ) -> Result<Answer<AuditVerification>, ApiError> {
        let parameters = [
            ("after", (after > 0).then(|| after.to_string())),
            ("anchor", anchor.map(|anchor| anchor.to_string())),
        ];
        self.get(&path("/v1/audit/verify", &PageRequest::default(), &parameters)).await
    }
}
