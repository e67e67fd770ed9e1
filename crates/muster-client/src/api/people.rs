use muster_ids::{InvitationId, TeamId, UserId};
use muster_wire::invitation::{CreateInvitation, Invitation, MintedInvitation};
use muster_wire::page::Page;
use muster_wire::people::{
    CreateOwner, CreateTeam, Me, MintedToken, Person, SetRole, Setup, SetupStatus, Team,
};

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

    /// `GET /v1/people`: the members of the team.
    pub async fn people(&self, page: &PageRequest) -> Result<Page<Answer<Person>>, ApiError> {
        self.get(&path("/v1/people", page, &[])).await
    }

    /// `GET /v1/people/{user_id}`
    pub async fn person(&self, user_id: UserId) -> Result<Answer<Person>, ApiError> {
        self.get(&format!("/v1/people/{user_id}")).await
    }

    /// `PUT /v1/people/{user_id}/role`
    pub async fn set_role(&self, user_id: UserId, role: &SetRole) -> Result<Answer<Person>, ApiError> {
        self.put(&format!("/v1/people/{user_id}/role"), role).await
    }

    /// `POST /v1/people/{user_id}/remove`
    pub async fn remove_person(&self, user_id: UserId) -> Result<Answer<Person>, ApiError> {
        self.post_empty(&format!("/v1/people/{user_id}/remove")).await
    }

    /// `POST /v1/invitations`
    pub async fn invite(&self, invitation: &CreateInvitation) -> Result<Answer<MintedInvitation>, ApiError> {
        self.mint("/v1/invitations", invitation).await
    }

    /// `GET /v1/invitations`
    pub async fn invitations(&self, page: &PageRequest) -> Result<Page<Answer<Invitation>>, ApiError> {
        self.get(&path("/v1/invitations", page, &[])).await
    }

    /// `POST /v1/invitations/{invitation_id}/revoke`
    pub async fn revoke_invitation(&self, id: InvitationId) -> Result<Answer<Invitation>, ApiError> {
        self.post_empty(&format!("/v1/invitations/{id}/revoke")).await
    }
}
