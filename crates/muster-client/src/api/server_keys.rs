use muster_wire::server_keys::{InstructionKeys, RotateServerKey, TlsStatus};

use super::{Answer, ApiError, OperatorClient};

const INSTRUCTION_KEY: &str = "/v1/installation/instruction-key";

impl OperatorClient {
    /// `GET /v1/installation/instruction-key`
    pub async fn instruction_key(&self) -> Result<Answer<InstructionKeys>, ApiError> {
        self.get(INSTRUCTION_KEY).await
    }

    /// `POST /v1/installation/instruction-key/next`: made and announced to every agent.
    pub async fn announce_instruction_key(&self) -> Result<Answer<InstructionKeys>, ApiError> {
        self.post_empty(&format!("{INSTRUCTION_KEY}/next")).await
    }

    /// `POST /v1/installation/instruction-key/switch`: it signs from now on.
    pub async fn switch_instruction_key(&self, force: bool) -> Result<Answer<InstructionKeys>, ApiError> {
        self.post(&format!("{INSTRUCTION_KEY}/switch"), &RotateServerKey { force }).await
    }

    /// `POST /v1/installation/instruction-key/finish`: the former one is destroyed.
    pub async fn finish_instruction_key(&self, force: bool) -> Result<Answer<InstructionKeys>, ApiError> {
        self.post(&format!("{INSTRUCTION_KEY}/finish"), &RotateServerKey { force }).await
    }

    /// `GET /v1/installation/tls`
    pub async fn tls(&self) -> Result<Answer<TlsStatus>, ApiError> {
        self.get("/v1/installation/tls").await
    }

    /// `POST /v1/installation/tls/rotate`: the server's own next key is shown from now on.
    pub async fn rotate_tls(&self, force: bool) -> Result<Answer<TlsStatus>, ApiError> {
        self.post("/v1/installation/tls/rotate", &RotateServerKey { force }).await
    }
}
