use muster_ids::HostId;
use muster_wire::overview::{HistoryDays, HostHistory, Overview, OverviewHours};

use super::{Answer, ApiError, OperatorClient};

impl OperatorClient {
    /// `GET /v1/overview`
    pub async fn overview(&self, hours: Option<OverviewHours>) -> Result<Answer<Overview>, ApiError> {
        let query = hours.map(|hours| format!("?hours={}", hours.get())).unwrap_or_default();
        self.get(&format!("/v1/overview{query}")).await
    }

    /// `GET /v1/hosts/{host_id}/history`
    pub async fn host_history(
        &self,
        host_id: HostId,
        days: Option<HistoryDays>,
    ) -> Result<Answer<HostHistory>, ApiError> {
        let query = days.map(|days| format!("?days={}", days.get())).unwrap_or_default();
        self.get(&format!("/v1/hosts/{host_id}/history{query}")).await
    }
}
