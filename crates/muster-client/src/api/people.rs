use muster_ids::TeamId;
use muster_wire::page::Page;
use muster_wire::people::{CreateOwner, CreateTeam, Me, MintedToken, Setup, SetupStatus, Team};

use super::{Answer, ApiError, OperatorClient, PageRequest, page::path};

impl OperatorClient {
    /// `GET /v1/setup`: whether the first admin exists. Needs no token.
    pub async fn setup_status(&self) -> Result<Answer<SetupStatus>, ApiError> {
        self.get("/v1/setup").await
    }

    /// `POST /v1/setup`: makes the first admin. Needs no token.
    pub async fn setup(&self, setup: &Setup) -> Result<Answer<MintedToken>, ApiError> {
        self.mint("/v1/setup", setup).await
    }

    /// `GET /v1/me`: who the token acts as.
    pub async fn me(&self) -> Result<Answer<Me>, ApiError> {
        self.get("/v1/me").await
    }

    /// `GET /v1/teams`
    pub async fn teams(&self, page: &PageRequest) -> Result<Page<Answer<Team>>, ApiError> {
        self.get(&path("/v1/teams", page, &[])).await
    }

    /// `POST /v1/teams`
    pub async fn create_team(&self, team: &CreateTeam) -> Result<Answer<Team>, ApiError> {
        self.post("/v1/teams", team).await
    }

    /// `POST /v1/teams/{team_id}/owners`: makes an owner and their first token.
    pub async fn create_owner(
        &self,
        team_id: TeamId,
        owner: &CreateOwner,
    ) -> Result<Answer<MintedToken>, ApiError> {
        self.mint(&format!("/v1/teams/{team_id}/owners"), owner).await
    }
}
