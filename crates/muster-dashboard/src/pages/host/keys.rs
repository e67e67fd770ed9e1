//! `/hosts/{host_id}/keys`: what a host proves itself with, and how to end it or let it make another.

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use muster_ids::{HostId, KeyName};
use muster_wire::host_key::{HostKey, HostKeyKind, HostKeyState, KeyRotation, MintedAgentKey};
use muster_wire::page::Page;
use muster_wire::secret::SecretMetadata;
use serde_json::json;

use super::frame::{self, Frame, Tab};
use super::minted::ShownOnce;
use crate::form::Form;
use crate::path::Named;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};
use crate::words;

#[derive(Template)]
#[template(path = "host_keys.html")]
pub(crate) struct KeysPage {
    shell: Shell,
    frame: Frame,
    keys: Vec<HostKey>,
    once: String,
    next: Option<String>,
    first: Option<String>,
}

#[derive(Template)]
#[template(path = "host_key_revoke.html")]
pub(crate) struct RevokePage {
    shell: Shell,
    frame: Frame,
    key: HostKey,
    /// Whether the host has no other key that proves it.
    is_last: bool,
    /// Secrets whose present value this key received.
    exposes: Vec<String>,
}

/// `GET /hosts/{host_id}/keys`
pub(crate) async fn get(visit: Visit, Named(id): Named<HostId>) -> Answered {
    let frame = Frame::load(&visit, id, Tab::Keys).await?;
    show(&visit, frame).await
}

async fn show(visit: &Visit, frame: Frame) -> Answered {
    let list = visit.query.only(&["cursor"]).on(&format!("/v1/hosts/{}/keys", frame.host.id));
    let keys = if frame.may.manage { visit.api.get_if_shown(&list).await } else { Ok(None) };
    let keys: Option<Page<HostKey>> = keys?;
    let keys = keys.unwrap_or(Page { items: Vec::new(), next_cursor: None });
    let shell = frame::shell(visit, &frame);
    visit.page(&KeysPage::new(shell, frame, &visit.query, keys, visit.once()))
}

/// `POST /hosts/{host_id}/keys/rotate`
pub(crate) async fn rotate(visit: Visit, Named(id): Named<HostId>, _: Form) -> Answered {
    let mut frame = Frame::load(&visit, id, Tab::Keys).await?;
    let path = format!("/v1/hosts/{}/keys/rotate", frame.host.id);
    match visit.api.post::<KeyRotation>(&path, &()).await {
        Ok(_) => Ok(back(&frame, "rotation")),
        Err(refusal) if refusal.is_of_form() => {
            frame.refuse(&refusal);
            show(&visit, frame).await
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// `POST /hosts/{host_id}/keys/mint`
pub(crate) async fn mint(visit: Visit, Named(id): Named<HostId>, form: Form) -> Answered {
    let mut frame = Frame::load(&visit, id, Tab::Keys).await?;
    let path = format!("/v1/hosts/{}/agent-keys", frame.host.id);
    match visit.api.post_once::<MintedAgentKey>(&path, &json!({}), form.key().as_ref()).await {
        Ok(minted) => {
            let shell = frame::shell(&visit, &frame);
            visit.page(&ShownOnce::agent_key(shell, frame, &minted.body))
        }
        Err(refusal) if refusal.is_of_form() => {
            frame.refuse(&refusal);
            show(&visit, frame).await
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// `GET /hosts/{host_id}/keys/{key_name}/revoke`: what revoking it would end.
pub(crate) async fn preview(visit: Visit, Named((id, name)): Named<(HostId, KeyName)>) -> Answered {
    let frame = Frame::load(&visit, id, Tab::Keys).await?;
    show_preview(&visit, frame, name).await
}

async fn show_preview(visit: &Visit, frame: Frame, name: KeyName) -> Answered {
    let (keys, secrets) = (
        format!("/v1/hosts/{}/keys?limit=200", frame.host.id),
        format!("/v1/hosts/{}/secrets?limit=200", frame.host.id),
    );
    let (keys, secrets) =
        tokio::join!(visit.api.get::<Page<HostKey>>(&keys), visit.api.get::<Page<SecretMetadata>>(&secrets));
    let keys = keys?.items;
    let secrets = secrets?.items;
    let shell = frame::shell(visit, &frame);
    let view = RevokePage::new(shell, frame, &keys, name, &secrets)
        .ok_or_else(|| Refusal::of(StatusCode::NOT_FOUND))?;
    visit.page(&view)
}

/// `POST /hosts/{host_id}/keys/{key_name}/revoke`
pub(crate) async fn revoke(visit: Visit, Named((id, name)): Named<(HostId, KeyName)>, _: Form) -> Answered {
    let mut frame = Frame::load(&visit, id, Tab::Keys).await?;
    match visit.api.post::<HostKey>(&format!("/v1/hosts/{}/keys/{name}/revoke", frame.host.id), &()).await {
        Ok(_) => Ok(back(&frame, "revoked")),
        Err(refusal) if refusal.is_of_form() => {
            frame.refuse(&refusal);
            show_preview(&visit, frame, name).await
        }
        Err(refusal) => Err(refusal.into()),
    }
}

fn back(frame: &Frame, done: &str) -> Response {
    see_other(&frame.path(&format!("/keys?done={done}")), &http::HeaderMap::new())
}

impl KeysPage {
    fn new(shell: Shell, frame: Frame, query: &Query, keys: Page<HostKey>, once: String) -> Self {
        let (next, first) = query.ways(&frame.path("/keys"), keys.next_cursor.as_deref());
        Self { shell, frame, keys: keys.items, once, next, first }
    }

    fn kind(&self, kind: &HostKeyKind) -> &'static str {
        words::fleet::key_kind(*kind)
    }

    fn is_alive(&self, key: &HostKey) -> bool {
        is_alive(key)
    }

    /// Whether its key pair can be replaced by another of its machine.
    fn may_rotate(&self) -> bool {
        self.frame.may.manage
            && self.keys.iter().any(|key| key.kind == HostKeyKind::KeyPair && is_active(key))
    }

    /// Whether an agent key can be minted: a host with a key pair needs none.
    fn may_mint(&self) -> bool {
        let has_pair = self.keys.iter().any(|key| key.kind == HostKeyKind::KeyPair && is_active(key));
        self.frame.may.manage && !has_pair && self.frame.is_active()
    }
}

fn is_alive(key: &HostKey) -> bool {
    matches!(key.state, HostKeyState::Active | HostKeyState::Next)
}

fn is_active(key: &HostKey) -> bool {
    key.state == HostKeyState::Active
}

impl RevokePage {
    fn new(
        shell: Shell,
        frame: Frame,
        keys: &[HostKey],
        name: KeyName,
        secrets: &[SecretMetadata],
    ) -> Option<Self> {
        let key = keys.iter().find(|key| key.name == name && is_alive(key))?.clone();
        let is_last = !keys.iter().any(|other| other.name != key.name && is_active(other));
        let has = |secret: &&SecretMetadata| {
            secret
                .deliveries
                .iter()
                .any(|delivery| delivery.key == key.name && delivery.version == secret.version)
        };
        let exposes = secrets.iter().filter(has).map(|secret| secret.name.clone()).collect();
        Some(Self { shell, frame, is_last, exposes, key })
    }

    fn kind(&self) -> &'static str {
        words::fleet::key_kind(self.key.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::host::secrets::tests::secrets;
    use crate::samples::{self, HOSTILE, KEY, ago, of};

    fn keys() -> Vec<HostKey> {
        let key = |name: &str, kind: &str, state: &str, by: Option<&str>| -> HostKey {
            of(json!({
                "name": name, "kind": kind, "state": state, "created_by": by, "ticket_id": null, "created_at": ago(90_000),
                "first_used_at": null, "last_used_at": null, "ended_at": (state == "revoked").then(|| ago(60)), "ended_by": by,
            }))
        };
        vec![
            key(KEY, "key_pair", "active", None),
            key(samples::OTHER_KEY, "key_pair", "revoked", Some(HOSTILE)),
        ]
    }

    fn page(frame: Frame, keys: Vec<HostKey>) -> KeysPage {
        let shell = Shell::sample("web-01", &frame.path("/keys"));
        let keys = Page { items: keys, next_cursor: None };
        KeysPage::new(shell, frame, &Query::default(), keys, "once-12345".to_owned())
    }

    #[test]
    fn the_keys_of_a_host() {
        samples::check("host_keys", &page(Frame::sample(Tab::Keys), keys()));
    }

    #[test]
    fn who_may_not_see_keys_is_told_why() {
        let mut frame = Frame::sample(Tab::Keys);
        frame.may = frame::May::by(|_| false);
        let html = page(frame, Vec::new()).render().unwrap();
        assert!(html.contains("Ask an owner"), "{html}");
        assert!(!html.contains("/keys/rotate") && !html.contains("/keys/mint"));
    }

    #[test]
    fn revoking_says_what_it_ends() {
        let frame = Frame::sample(Tab::Keys);
        let shell = Shell::sample("web-01", "/hosts/x/keys");
        let view = RevokePage::new(shell, frame, &keys(), KEY.parse().unwrap(), &secrets()).unwrap();
        assert!(view.is_last && view.exposes == ["repo"]);
        samples::check("host_key_revoke", &view);
        let frame = Frame::sample(Tab::Keys);
        let ended = RevokePage::new(
            Shell::sample("x", "/"),
            frame,
            &keys(),
            samples::OTHER_KEY.parse().unwrap(),
            &[],
        );
        assert!(ended.is_none(), "a key that ended is not revoked again");
    }
}
