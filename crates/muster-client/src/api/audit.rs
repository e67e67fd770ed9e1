use muster_wire::audit::AuditEntry;
use muster_wire::page::{Order, Page};

use super::{Answer, ApiError, OperatorClient, PageRequest, page::path, page::word};

/// Which audit entries to list; everything left out matches all.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only this action.
    pub action: Option<String>,
    /// Only what was done to this.
    pub target: Option<String>,
}

impl OperatorClient {
    /// `GET /v1/audit`: by position.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        order: Order,
        page: &PageRequest,
    ) -> Result<Page<Answer<AuditEntry>>, ApiError> {
        let filters = [
            ("action", filter.action.clone()),
            ("target", filter.target.clone()),
            ("order", word(order).filter(|_| order != Order::default())),
        ];
        self.get(&path("/v1/audit", page, &filters)).await
    }
}
