//! The upgrade: who may open a socket at all.

use muster_proof::dpop::prove;
use serde_json::json;

use crate::channel::repo;
use crate::world::{Socket, both};

const PATH: &str = "/v1/agent/connect";

both! {
    async fn a_socket_needs_a_proof_with_a_nonce_by_a_known_key(world) {
        let host = world.join("alpha", repo()).await;
        let other = world.join("beta", repo()).await;
        let status = async |headers: &str| Socket::upgrade(&world, headers).await.err();
        assert_eq!(status("").await, Some(401));
        assert_eq!(status(&format!("authorization: Bearer {}", world.admin)).await, Some(401));
        let without_nonce = { let mut claims = host.claims(&world, "GET", PATH); claims.nonce = None; claims };
        assert_eq!(status(&format!("dpop: {}", prove(&host.key, &without_nonce))).await, Some(401));
        let foreign = host.claims(&world, "GET", PATH).host(other.host_id);
        assert_eq!(status(&format!("dpop: {}", prove(&host.key, &foreign))).await, Some(401));
        let nobody = { let mut claims = host.claims(&world, "GET", PATH); claims.sub = None; claims };
        assert_eq!(status(&format!("dpop: {}", prove(&host.key, &nobody))).await, Some(401));
        let elsewhere = host.claims(&world, "GET", "/v1/enroll");
        assert_eq!(status(&format!("dpop: {}", prove(&host.key, &elsewhere))).await, Some(401));
        let stranger = muster_proof::HostKey::generate();
        let unknown = host.claims(&world, "GET", PATH);
        assert_eq!(status(&format!("dpop: {}", prove(&stranger, &unknown))).await, Some(401));
    }

    async fn the_401_says_what_is_missing(world) {
        let host = world.join("alpha", repo()).await;
        let mut claims = host.claims(&world, "GET", PATH);
        claims.nonce = None;
        let header = format!("dpop: {}\r\n", prove(&host.key, &claims));
        let answer = world.ask("GET", PATH, &header, None).await;
        answer.problem(401, "use_dpop_nonce");
        assert!(answer.header("dpop-nonce").is_some());
        world.ask("GET", PATH, "", None).await.problem(401, "unauthorized");
    }

    async fn b6_browsers_are_refused_before_the_upgrade(world) {
        let host = world.join("alpha", repo()).await;
        for origin in ["https://evil.example", "null", &world.url("")] {
            let headers = format!("{}origin: {origin}", host.proof(&world, "GET", PATH, None));
            assert_eq!(Socket::upgrade(&world, &headers).await.err(), Some(403), "{origin}");
        }
    }

    async fn only_websocket_in_the_subprotocol_of_the_channel_is_spoken(world) {
        let host = world.join("alpha", repo()).await;
        let plain = host.proof(&world, "GET", PATH, None);
        let answer = world.ask("GET", PATH, &plain, None).await;
        assert!(matches!(answer.status, 400 | 426), "{answer:?}");
        let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let headers = host.proof(&world, "GET", PATH, None) + &upgrade.replace("connection: upgrade\r\n", "");
        assert!(world.ask("GET", PATH, &headers, None).await.status >= 400);
        let spoken = format!("{}sec-websocket-protocol: chat", host.proof(&world, "GET", PATH, None));
        assert_eq!(Socket::upgrade(&world, &spoken).await.err(), Some(400));
        world.ask("POST", PATH, "", Some(json!({}))).await.problem(405, "method_not_allowed");
    }

    async fn b14_one_host_holds_few_sockets_whose_hello_is_to_come(world) {
        let host = world.join("alpha", repo()).await;
        let other = world.join("beta", repo()).await;
        let mut held = Vec::new();
        for _ in 0..8 {
            held.push(host.dial(&world).await);
        }
        let upgrade = host.proof(&world, "GET", PATH, None);
        assert_eq!(Socket::upgrade(&world, &upgrade).await.err(), Some(429));
        other.connect(&world, None).await;
    }
}
