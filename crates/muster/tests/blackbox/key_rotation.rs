//! Rotation of a host's key with a real agent, and kill -9 of it wherever its connection breaks (SECURITY B24, C3, C16).

use std::time::Duration;

use http::Method;
use muster_ids::{HostId, KeyName};
use muster_testkit::proxy::{Fault, Proxy};
use muster_wire::host_key::{HostKey, HostKeyState};

use crate::harness::{Agent, Backend, Installation, Server, is_soak, until};

const WITHIN: Duration = Duration::from_secs(30);

struct Scene {
    installation: Installation,
    front: Proxy,
    agent: Agent,
    host: HostId,
}

impl Scene {
    /// A joined agent that reaches its server through a proxy that fails when told to.
    async fn start() -> Self {
        let mut server = Server::prepare(Backend::Sqlite);
        let front = Proxy::start(server.operators).await.unwrap();
        server.set_public_urls(vec![format!("http://{}", front.address())]);
        server.launch().await;
        let installation = Installation::over(server).await;
        let agent = Agent::new(installation.server.folder(), "rotated", "b24-rotated");
        let host = agent.joined(&installation.token().await.join_string).await;
        Self { installation, front, agent, host }
    }

    async fn keys(&self) -> Vec<HostKey> {
        let listed: Vec<HostKey> =
            self.installation.owner.all(&format!("/v1/hosts/{}/keys", self.host)).await;
        listed
    }

    async fn active(&self) -> KeyName {
        let keys = self.keys().await;
        let active: Vec<&HostKey> = keys.iter().filter(|key| key.state == HostKeyState::Active).collect();
        assert_eq!(active.len(), 1, "{keys:?}");
        active[0].name
    }

    async fn rotate(&self) {
        let path = format!("/v1/hosts/{}/keys/rotate", self.host);
        let asked = self.installation.ask(Method::POST, &path, None).await;
        assert!(asked.status < 300, "{}", asked.text);
    }

    fn on_disk(&self) -> Option<KeyName> {
        let key = muster_proof::HostKey::from_pkcs8(&self.agent.key_bytes()?).ok()?;
        Some(KeyName::Pair(key.thumbprint()))
    }

    /// Waits until both sides hold one key, which is another one than `former`.
    async fn until_rotated(&mut self, former: KeyName, what: &str) {
        until(&format!("{what}: no new key in use:\n{}", self.agent.said()), WITHIN, async || {
            let keys = self.keys().await;
            let is_settled = keys.iter().all(|key| key.state != HostKeyState::Next);
            let active = keys.iter().find(|key| key.state == HostKeyState::Active)?.name;
            (is_settled && active != former && self.on_disk() == Some(active)).then_some(())
        })
        .await;
        self.installation.until_presence(self.host, "online", WITHIN).await;
        assert!(self.agent.is_running(), "{what}: {}", self.agent.said());
        assert!(!self.agent.state.join("next.pk8").exists(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b24_a_running_agent_changes_its_key_and_the_former_one_opens_nothing() {
    let mut scene = Scene::start().await;
    let former = scene.active().await;
    let former_key = scene.agent.key_bytes().unwrap();
    scene.agent.run();
    scene.installation.until_presence(scene.host, "online", WITHIN).await;
    scene.rotate().await;
    scene.until_rotated(former, "with nothing in the way").await;
    let keys = scene.keys().await;
    let ended = keys.iter().find(|key| key.name == former).unwrap();
    assert_eq!(ended.state, HostKeyState::Replaced);
    assert!(scene.installation.claims().await.is_empty());

    // Somebody kept the former key: it is told so with the server's signature, and the operator hears of it.
    let mut thief = Agent::new(scene.installation.server.folder(), "thief", "b24-thief");
    std::process::Command::new("cp").arg("-a").arg(&scene.agent.state).arg(&thief.state).status().unwrap();
    std::fs::write(thief.state.join("key.pk8"), former_key).unwrap();
    thief.run();
    assert_eq!(thief.ended(WITHIN).await, 5, "{}", thief.said());
    until("nobody is told of the former key", WITHIN, async || {
        let audit = scene.installation.audit().await;
        let text = serde_json::to_string(&audit).unwrap();
        text.contains("key.former_used").then_some(())
    })
    .await;
    assert!(scene.agent.is_running());
}

/// The connection breaks after so many bytes of either side, and the agent dies with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c03_kill_9_at_any_step_of_a_rotation_leaves_one_key_that_works() {
    let rounds = if is_soak() { 120 } else { 8 };
    let mut scene = Scene::start().await;
    for round in 0..rounds {
        // Asked while the agent is away: the whole rotation happens on connections that break.
        let former = scene.active().await;
        scene.rotate().await;
        let step = (round / 2) % 60;
        let fault = if round % 2 == 0 {
            // The server's frames: the upgrade, challenge, welcome, configuration, question, answer.
            Fault::CutReplyAfter { bytes: 180 + step * if is_soak() { 17 } else { 260 } }
        } else {
            // The agent's: upgrade, hello, report, confirmation, next key.
            Fault::CutRequestAfter { bytes: 900 + step * if is_soak() { 61 } else { 900 } }
        };
        let what = format!("round {round}, {fault:?}");
        scene.front.fail(fault);
        let before = scene.front.accepted();
        scene.agent.run();
        let seen = tokio::time::timeout(Duration::from_millis(600), async {
            while scene.front.accepted() < before + 4 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        // Fewer connections are as good a moment to die.
        let _ = seen.await;
        scene.agent.kill9();
        scene.front.fail(Fault::None);
        scene.agent.run();
        scene.until_rotated(former, &what).await;
        scene.agent.kill9();
        assert!(scene.installation.claims().await.is_empty(), "{what}: a false alarm");
    }
    let audit = serde_json::to_string(&scene.installation.audit().await).unwrap();
    assert!(!audit.contains("key.former_used"), "the agent used a key it had replaced");
}
