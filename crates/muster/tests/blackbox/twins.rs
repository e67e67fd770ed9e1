//! Two machines with one uid and one site key (DESIGN §1, promise 2; SECURITY B16, C10, C27).

use std::time::Duration;

use http::Method;
use muster_wire::claim::{ClaimReason, ClaimState};
use serde_json::json;

use crate::harness::{Agent, Backend, Installation, both, until};

const ROUNDS: usize = 10;

/// In which order two machines reach the door.
#[derive(Debug, Clone, Copy)]
enum Order {
    FirstThenSecond,
    SecondThenFirst,
    Together,
}

impl Order {
    fn of(round: usize) -> Self {
        [Self::Together, Self::FirstThenSecond, Self::SecondThenFirst, Self::Together][round % 4]
    }
}

both! {
    async fn b16_two_machines_with_one_uid_become_one_host_and_one_claim(backend: Backend) {
        let installation = Installation::start(backend).await;
        let key = installation.site_key.token.as_str();
        for round in 0..ROUNDS {
            let order = Order::of(round);
            let first = installation.machine(&format!("first-{round}"));
            let second = first.twin(&format!("second-{round}"));
            let (one, other) = match order {
                Order::FirstThenSecond => {
                    let one = first.enrol(key).await.unwrap();
                    (one, second.enrol(key).await.unwrap())
                }
                Order::SecondThenFirst => {
                    let other = second.enrol(key).await.unwrap();
                    (first.enrol(key).await.unwrap(), other)
                }
                Order::Together => {
                    let (one, other) = tokio::join!(first.enrol(key), second.enrol(key));
                    (one.unwrap(), other.unwrap())
                }
            };
            let (owner, owned, twin, waiting) = match (one.status, other.status) {
                (201, 202) => (&first, one, &second, other),
                (202, 201) => (&second, other, &first, one),
                statuses => panic!("{order:?}: {statuses:?}: {} {}", one.text, other.text),
            };
            assert_eq!(waiting.json["reason"], "collision", "{}", waiting.text);
            let host = owned.json["host_id"].as_str().unwrap().parse().unwrap();
            assert!(!waiting.text.contains(&format!("{host}")), "the claim's answer names the host");
            let mut channel = owner.connect(host).await;
            let before = installation.host_bytes(host).await;
            for _ in 0..4 {
                let again = twin.enrol(key).await.unwrap();
                assert_eq!((again.status, &again.json["claim_id"]), (202, &waiting.json["claim_id"]));
                let reuse = owner.enrol(key).await.unwrap();
                assert_eq!((reuse.status, &reuse.json["disposition"]), (200, &json!("reuse")), "{}", reuse.text);
                assert!(channel.is_alive().await, "{order:?}: the owner was disconnected");
            }
            let refused = twin.open(host).await.err().expect("the twin got a socket of the host");
            refused.assert_is_problem("the twin at the channel");
            let forged = twin.heartbeat(host).await;
            assert!(matches!(forged.status, 401 | 403), "{}", forged.text);
            assert_eq!(installation.host_bytes(host).await, before, "{order:?}: the contested host changed");
            assert!(channel.is_alive().await);
            channel.close().await;
        }
        assert_eq!(installation.hosts().await.len(), ROUNDS);
        let claims = installation.claims().await;
        assert_eq!(claims.len(), ROUNDS);
        for claim in &claims {
            assert_eq!((claim.reason, claim.state), (ClaimReason::Collision, ClaimState::Waiting));
        }
        assert_eq!(installation.server.metric("muster_channel_violations_total").await, 0.0);
    }

    async fn b16_a_copy_at_another_site_learns_and_changes_nothing(backend: Backend) {
        let installation = Installation::start(backend).await;
        let owner = installation.machine("owner");
        let host = owner.admitted(&installation.site_key.token).await;
        let mut channel = owner.connect(host).await;
        let before = installation.host_bytes(host).await;
        let site: muster_wire::site::Site =
            installation.owner.api.post("/v1/sites", &json!({ "name": "elsewhere" })).await.unwrap();
        let other_key: muster_wire::ticket::MintedTicket =
            installation.owner.api.post("/v1/site-keys", &json!({ "site_id": site.id })).await.unwrap();
        let twin = owner.twin("owner");
        for _ in 0..3 {
            let reply = twin.enrol(&other_key.token).await.unwrap();
            reply.assert_is_problem("a uid of another site");
            assert_eq!((reply.status, reply.code()), (409, "site_conflict"), "{}", reply.text);
            assert!(!reply.text.contains(&host.to_string()));
        }
        assert_eq!(installation.host_bytes(host).await, before);
        assert!(channel.is_alive().await);
        let claims = installation.claims().await;
        assert_eq!(claims.len(), 1);
        assert_eq!(claims[0].reason, ClaimReason::SiteConflict);
        let elsewhere = installation.another_team("other team").await;
        let theirs: muster_wire::site::Site = elsewhere.api.post("/v1/sites", &json!({ "name": "floor" })).await.unwrap();
        let their_key: muster_wire::ticket::MintedTicket =
            elsewhere.api.post("/v1/site-keys", &json!({ "site_id": theirs.id })).await.unwrap();
        let reply = owner.twin("owner").enrol(&their_key.token).await.unwrap();
        assert_eq!(reply.status, 201, "another team's uid is nobody's business: {}", reply.text);
        assert_eq!(installation.host_bytes(host).await, before);
    }

    async fn b16_a_replaced_host_hands_over_once(backend: Backend) {
        let installation = Installation::start(backend).await;
        let key = installation.site_key.token.as_str();
        let owner = installation.machine("owner");
        let host = owner.admitted(key).await;
        let mut channel = owner.connect(host).await;
        assert!(channel.is_alive().await, "everything before the decision was handled");
        let twin = owner.twin("reimaged");
        assert_eq!(twin.enrol(key).await.unwrap().status, 202);
        let claim = installation.claims().await.remove(0);
        let decision = json!({ "verdict": "replace", "evidence_version": claim.evidence_version });
        let path = format!("/v1/claims/{}/decision", claim.id);
        let stale = json!({ "verdict": "replace", "evidence_version": "something-older" });
        let refused = installation.ask(Method::POST, &path, Some(&stale)).await;
        assert_eq!((refused.status, refused.code()), (409, "claim_stale"), "{}", refused.text);
        let decided = installation.ask(Method::POST, &path, Some(&decision)).await;
        assert_eq!(decided.status, 200, "{}", decided.text);
        let (frames, close) = channel.until_end().await;
        let revoked = |frame: &_| matches!(frame, muster_wire::channel::ServerMessage::Revoked { .. });
        assert!(frames.iter().any(revoked), "the former key is told: {frames:?}");
        assert_eq!(close, Some(4403));
        assert_eq!(twin.admitted(key).await, host);
        let former = owner.enrol(key).await.unwrap();
        assert_eq!((former.status, former.code()), (401, "key_revoked"), "{}", former.text);
        let mut channel = twin.connect(host).await;
        assert!(channel.is_alive().await);
        assert_eq!(installation.hosts().await.len(), 1);
    }
}

/// The same with the real agents, both started at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b16_two_agents_started_together_do_not_flap() {
    let installation = Installation::start(Backend::Sqlite).await;
    let join_string = installation.site_key.join_string.as_str();
    let folder = installation.server.folder();
    let mut first = Agent::new(folder, "first", "b16-one-hardware");
    let mut second = Agent::new(folder, "second", "b16-one-hardware");
    let (one, other) = tokio::join!(first.join(join_string), second.join(join_string));
    let mut codes = [one.code, other.code];
    codes.sort_unstable();
    assert_eq!(codes, [0, 4], "{}\n{}", one.said(), other.said());
    let (owner, twin) = if one.code == 0 { (&mut first, &mut second) } else { (&mut second, &mut first) };
    let host = owner.host_id();
    owner.run();
    twin.run();
    installation.until_presence(host, "online", Duration::from_secs(10)).await;
    let before = installation.host_bytes(host).await;
    let connected = || async { installation.server.metric("muster_channels").await };
    until("the owner does not connect", Duration::from_secs(10), async || {
        (connected().await == 1.0).then_some(())
    })
    .await;
    for _ in 0..15 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(connected().await, 1.0, "the channels flap:\n{}\n{}", owner.said(), twin.said());
    }
    assert!(owner.is_running() && twin.is_running());
    assert_eq!(installation.host_bytes(host).await, before, "the contested host changed");
    assert_eq!((installation.hosts().await.len(), installation.claims().await.len()), (1, 1));
}
