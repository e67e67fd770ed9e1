//! Machines that cannot hold a key pair: the same doors, an agent key instead of a proof.

use muster_wire::channel::{ServerMessage, close};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::world::{Machine, Socket, World, both};

const SECRET: [u8; 32] = [9; 32];

async fn joined(world: &World) -> (String, String) {
    let token = world.enrolment_token(crate::channel::repo()).await;
    let mut request = Machine::new("alpha").request();
    request["agent_secret"] = data_encoding::BASE64URL_NOPAD.encode(&SECRET).into();
    let headers = format!("authorization: Bearer {token}\r\n");
    let answer = world.ask("POST", "/v1/enroll", &headers, Some(request)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let bearer = world.app.keyring.agent_key(&SECRET).expose().expose_secret().to_owned();
    (answer.text("host_id"), format!("authorization: Bearer {bearer}\r\n"))
}

both! {
    async fn an_agent_key_sends_heartbeats_for_its_own_host_only(world) {
        let (host_id, bearer) = joined(&world).await;
        let path = format!("/v1/hosts/{host_id}/heartbeat");
        let answer = world.ask("POST", &path, &bearer, Some(json!({}))).await;
        assert_eq!((answer.status, answer.body["heartbeat_secs"].as_u64()), (200, Some(30)), "{answer:?}");
        world.becomes(&format!("/v1/hosts/{host_id}"), "/presence/status", "online").await;
        let other = world.join("beta", json!({})).await;
        let foreign = format!("/v1/hosts/{}/heartbeat", other.host_id);
        world.ask("POST", &foreign, &bearer, Some(json!({}))).await.problem(403, "foreign_host");
        assert_eq!(world.host(&other).await["presence"]["status"], "never_seen");
        world.ask("POST", &path, &bearer, Some(json!({ "load": 1 }))).await.invalid("", "unknown_field");
        world.ask("POST", &path, "", Some(json!({}))).await.problem(401, "unauthorized");
        let wrong = bearer.replace("msa_", "mso_");
        world.ask("POST", &path, &wrong, Some(json!({}))).await.problem(401, "unauthorized");
    }

    async fn an_agent_key_opens_a_channel_with_a_plain_hello(world) {
        let (host_id, bearer) = joined(&world).await;
        let mut socket = Socket::open(&world, &bearer).await.unwrap();
        let hello = json!({
            "host_id": host_id, "challenge": socket.challenge, "server_url": world.url(""), "boot_id": "boot-1",
        });
        socket.send(json!({ "type": "hello", "proof": hello.to_string() })).await;
        let ServerMessage::Welcome { generation, .. } = socket.message().await else { panic!("no welcome") };
        let config = socket.acknowledge(&generation, json!([])).await;
        assert_eq!(config.secrets.iter().count(), 1);
        let mut replay = Socket::open(&world, &bearer).await.unwrap();
        replay.send(json!({ "type": "hello", "proof": hello.to_string() })).await;
        replay.closes_with(close::POLICY).await;
    }
}
