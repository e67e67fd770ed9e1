//! From the open socket to the first work: challenge, hello, welcome, acknowledgement, configuration.

use std::time::Duration;

use muster_ids::HostId;
use muster_proof::{HostKey, hello};
use muster_wire::channel::{HelloClaims, ServerMessage, close};
use serde_json::json;

use crate::channel::repo;
use crate::world::{Joined, Socket, Told, World, both};

both! {
    async fn the_secret_arrives_before_anything_else(world) {
        let host = world.join("alpha", repo()).await;
        let (mut socket, _) = {
            let mut socket = host.dial(&world).await;
            let generation = socket.welcome(&host, &world, None).await;
            let config = socket.acknowledge(&generation, json!([])).await;
            let secrets: Vec<_> = config.secrets.iter().collect();
            assert_eq!(secrets.len(), 1);
            assert_eq!(secrets[0].1.document.expose()["password"], "correct horse");
            (socket, generation)
        };
        socket.heartbeat().await;
        let path = format!("/v1/hosts/{}", host.host_id);
        let shown = world.becomes(&path, "/presence/status", "online").await;
        assert_eq!(shown["reported"]["hostname"], "reported");
        world.becomes(&format!("{path}/secrets"), "/items/0/deliveries/0/key", &host.key_name().to_string()).await;
        let delivered = world.audited_times("secret.delivered", 1).await;
        assert_eq!(delivered[0]["actor"], host.key_name().to_string());
        world.audited_times("host_config.applied", 1).await;
    }

    async fn a_configuration_the_agent_has_is_not_sent_again(world) {
        let host = world.join("alpha", repo()).await;
        let mut socket = host.dial(&world).await;
        let generation = socket.welcome(&host, &world, None).await;
        let config = socket.acknowledge(&generation, json!([])).await;
        drop(socket);
        let mut socket = host.dial(&world).await;
        let next = socket.welcome(&host, &world, Some(generation)).await;
        let report = json!({
            "hostname": "alpha",
            "facts": { "os": "Debian 12", "arch": "x86_64", "cpu_cores": 2, "memory_mb": 2048, "disk_gb": 20 },
            "config_version": { "epoch": config.version.epoch, "n": config.version.n },
            "config_digest": config.digest,
        });
        socket.send(json!({ "type": "generation_acknowledged", "generation": next, "report": report })).await;
        assert_eq!(socket.within(Duration::from_millis(300)).await, None);
        world.audited_times("secret.delivered", 1).await;
    }

    async fn b29_a_recorded_handshake_gets_no_frame_but_the_challenge(world) {
        let host = world.join("alpha", repo()).await;
        let upgrade = host.proof(&world, "GET", "/v1/agent/connect", None);
        let mut first = Socket::open(&world, &upgrade).await.unwrap();
        let recorded = hello::sign(&host.key, &first.claims(&host, &world, None));
        first.send(json!({ "type": "hello", "proof": recorded })).await;
        assert!(matches!(first.message().await, ServerMessage::Welcome { .. }));
        assert_eq!(Socket::open(&world, &upgrade).await.err(), Some(401), "the upgrade was used");
        // On another node the upgrade would pass: the challenge is what stops the recording.
        let mut second = host.dial(&world).await;
        second.send(json!({ "type": "hello", "proof": recorded })).await;
        second.closes_with(close::POLICY).await;
        world.audited_times("channel.violation", 1).await;
        assert_eq!(first.within(Duration::from_millis(100)).await, None, "the first one is not disturbed");
    }

    async fn a_hello_for_another_host_challenge_server_or_generation_is_refused(world) {
        let host = world.join("alpha", repo()).await;
        let other = world.join("beta", repo()).await;
        let (_other_socket, foreign) = other.connect(&world, None).await;
        refused(&world, &host, |claims| claims.host_id = other.host_id).await;
        refused(&world, &host, |claims| claims.host_id = HostId::from_uuid(uuid::Uuid::nil())).await;
        refused(&world, &host, |claims| claims.challenge = "A".repeat(43)).await;
        refused(&world, &host, |claims| claims.challenge.clear()).await;
        refused(&world, &host, |claims| claims.server_url = "https://evil.example".to_owned()).await;
        refused(&world, &host, |claims| claims.server_url = "not a url".to_owned()).await;
        refused(&world, &host, |claims| claims.generation = Some(foreign.clone())).await;
        refused(&world, &host, |claims| claims.generation = Some("A".repeat(59))).await;
        refused(&world, &host, |claims| claims.generation = Some(String::new())).await;
        world.audited_times("channel.violation", 9).await;
        host.connect(&world, None).await;
    }

    async fn a_hello_by_another_key_is_refused(world) {
        let host = world.join("alpha", repo()).await;
        let stranger = HostKey::generate();
        let proofs: [fn(&HostKey, &HelloClaims) -> String; 2] =
            [hello::sign, |_, claims| serde_json::to_string(claims).unwrap()];
        for sign in proofs {
            let mut socket = host.dial(&world).await;
            let proof = sign(&stranger, &socket.claims(&host, &world, None));
            socket.send(json!({ "type": "hello", "proof": proof })).await;
            socket.closes_with(close::POLICY).await;
        }
    }
}

async fn refused(world: &World, host: &Joined, spoil: impl FnOnce(&mut HelloClaims)) {
    let mut socket = host.dial(world).await;
    let mut claims = socket.claims(host, world, None);
    spoil(&mut claims);
    socket.hello(host, &claims).await;
    match socket.next().await {
        Told::Closed(code, _) => assert_eq!(code, close::POLICY, "{claims:?}"),
        other => panic!("{claims:?}: {other:?}"),
    }
}
