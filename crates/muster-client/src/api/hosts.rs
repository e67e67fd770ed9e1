use muster_ids::{HostId, KeyName, SiteId, Timestamp};
use muster_wire::host::{
    Host, HostKind, HostState, InviteHost, InvitedHost, MoveHost, Presence, RetireHost, RetirementPreview,
    SetTags,
};
use muster_wire::host_change::{ChangeHosts, ChangedHosts, HostChangePreview, PreviewHostChange};
use muster_wire::host_key::{HostKey, KeyRotation, MintAgentKey, MintedAgentKey};
use muster_wire::page::Page;
use muster_wire::text::Tag;

use super::page::{path, word};
use super::{Answer, ApiError, OperatorClient, PageRequest};

/// Which hosts to list; everything left out matches all.
#[derive(Debug, Clone, Default)]
pub struct HostFilter {
    /// The query of a saved view; what else is said here wins over what it says.
    pub view: Option<String>,
    /// Only hosts of exactly this name.
    pub name: Option<String>,
    /// Only hosts of this site.
    pub site_id: Option<SiteId>,
    /// Only hosts in this state.
    pub state: Option<HostState>,
    /// Only hosts with this tag.
    pub tag: Option<Tag>,
    /// Only hosts with this presence.
    pub presence: Option<Presence>,
    /// Only hosts whose name, host name, machine uid or address begins with this, whatever its case, or with this tag.
    pub q: Option<String>,
    /// Only hosts that came through this door.
    pub door: Option<u8>,
    /// Only hosts whose agent has this version.
    pub agent_version: Option<String>,
    /// Only hosts last seen before this.
    pub seen_before: Option<Timestamp>,
    /// Only hosts seen since this.
    pub seen_after: Option<Timestamp>,
    /// Only hosts that are held, or that are not.
    pub held: Option<bool>,
    /// Only hosts of this kind.
    pub kind: Option<HostKind>,
}

impl OperatorClient {
    /// `GET /v1/hosts`
    pub async fn hosts(
        &self,
        filter: &HostFilter,
        page: &PageRequest,
    ) -> Result<Page<Answer<Host>>, ApiError> {
        let said = [
            ("name", filter.name.clone()),
            ("site_id", filter.site_id.map(|id| id.to_string())),
            ("state", filter.state.and_then(word)),
            ("tag", filter.tag.as_ref().map(Tag::to_string)),
            ("presence", filter.presence.and_then(word)),
            ("q", filter.q.clone()),
            ("door", filter.door.map(|door| door.to_string())),
            ("agent_version", filter.agent_version.clone()),
            ("seen_before", filter.seen_before.map(|at| at.to_string())),
            ("seen_after", filter.seen_after.map(|at| at.to_string())),
            ("held", filter.held.map(|held| held.to_string())),
            ("kind", filter.kind.and_then(word)),
        ];
        let is_said = |name: &str| said.iter().any(|(other, value)| *other == name && value.is_some());
        let view = filter.view.as_deref().unwrap_or_default();
        let view: Vec<(String, String)> = form_urlencoded::parse(view.as_bytes()).into_owned().collect();
        let view = view.iter().filter(|(name, _)| !is_said(name));
        let view = view.map(|(name, value)| (name.as_str(), Some(value.clone())));
        let filters: Vec<(&str, Option<String>)> = view.chain(said.iter().cloned()).collect();
        self.get(&path("/v1/hosts", page, &filters)).await
    }

    /// `GET /v1/hosts/{host_id}`
    pub async fn host(&self, host_id: HostId) -> Result<Answer<Host>, ApiError> {
        self.get(&format!("/v1/hosts/{host_id}")).await
    }

    /// `POST /v1/hosts`: invites a host and mints its registration token.
    pub async fn invite_host(&self, host: &InviteHost) -> Result<Answer<InvitedHost>, ApiError> {
        self.mint("/v1/hosts", host).await
    }

    /// `POST /v1/hosts` under a key of the caller's: the same request gets the same host and token, for a day.
    pub async fn invite_host_once(
        &self,
        host: &InviteHost,
        idempotency_key: &str,
    ) -> Result<Answer<InvitedHost>, ApiError> {
        self.mint_as("/v1/hosts", host, idempotency_key).await
    }

    /// `GET /v1/hosts/{host_id}/retirement`: what retiring would destroy.
    pub async fn retirement(&self, host_id: HostId) -> Result<Answer<RetirementPreview>, ApiError> {
        self.get(&format!("/v1/hosts/{host_id}/retirement")).await
    }

    /// `POST /v1/hosts/{host_id}/retire`: destroys what the preview showed.
    pub async fn retire_host(&self, host_id: HostId, seen: &RetireHost) -> Result<Answer<Host>, ApiError> {
        self.post(&format!("/v1/hosts/{host_id}/retire"), seen).await
    }

    /// `POST /v1/hosts/{host_id}/suspend`
    pub async fn suspend_host(&self, host_id: HostId) -> Result<Answer<Host>, ApiError> {
        self.post_empty(&format!("/v1/hosts/{host_id}/suspend")).await
    }

    /// `POST /v1/hosts/{host_id}/resume`
    pub async fn resume_host(&self, host_id: HostId) -> Result<Answer<Host>, ApiError> {
        self.post_empty(&format!("/v1/hosts/{host_id}/resume")).await
    }

    /// `POST /v1/hosts/{host_id}/move`: another site of the same team.
    pub async fn move_host(&self, host_id: HostId, to: &MoveHost) -> Result<Answer<Host>, ApiError> {
        self.post(&format!("/v1/hosts/{host_id}/move"), to).await
    }

    /// `GET /v1/hosts/{host_id}/keys`: every key it ever had, the newest first.
    pub async fn host_keys(
        &self,
        host_id: HostId,
        page: &PageRequest,
    ) -> Result<Page<Answer<HostKey>>, ApiError> {
        self.get(&path(&format!("/v1/hosts/{host_id}/keys"), page, &[])).await
    }

    /// `POST /v1/hosts/{host_id}/agent-keys`: shown once.
    pub async fn mint_agent_key(&self, host_id: HostId) -> Result<Answer<MintedAgentKey>, ApiError> {
        self.mint(&format!("/v1/hosts/{host_id}/agent-keys"), &MintAgentKey {}).await
    }

    /// `POST /v1/hosts/{host_id}/keys/rotate`: the host makes its next key pair when it is connected.
    pub async fn rotate_host_key(&self, host_id: HostId) -> Result<Answer<KeyRotation>, ApiError> {
        self.post_empty(&format!("/v1/hosts/{host_id}/keys/rotate")).await
    }

    /// `POST /v1/hosts/{host_id}/keys/{key_name}/revoke`: the host stays.
    pub async fn revoke_host_key(&self, host_id: HostId, key: KeyName) -> Result<Answer<HostKey>, ApiError> {
        self.post_empty(&format!("/v1/hosts/{host_id}/keys/{key}/revoke")).await
    }

    /// `POST /v1/hosts/changes/preview`: what a change of many hosts would do.
    pub async fn preview_host_change(
        &self,
        change: &PreviewHostChange,
    ) -> Result<Answer<HostChangePreview>, ApiError> {
        self.post("/v1/hosts/changes/preview", change).await
    }

    /// `POST /v1/hosts/changes`: does what the preview showed.
    pub async fn change_hosts(&self, change: &ChangeHosts) -> Result<Answer<ChangedHosts>, ApiError> {
        self.post("/v1/hosts/changes", change).await
    }

    /// `PUT /v1/hosts/{host_id}/tags`: all tags from now on.
    pub async fn set_tags(&self, host_id: HostId, tags: &SetTags) -> Result<Answer<Host>, ApiError> {
        self.put(&format!("/v1/hosts/{host_id}/tags"), tags).await
    }
}
