use muster_wire::page::Page;
use muster_wire::settings::{SetSettings, Setting};

use super::{Answer, ApiError, OperatorClient};

impl OperatorClient {
    /// `GET /v1/settings`: all of them; there are few.
    pub async fn settings(&self) -> Result<Page<Answer<Setting>>, ApiError> {
        self.get("/v1/settings").await
    }

    /// `PUT /v1/settings`: what is not named stays as it is.
    pub async fn set_settings(&self, settings: &SetSettings) -> Result<Page<Answer<Setting>>, ApiError> {
        self.put("/v1/settings", settings).await
    }
}
