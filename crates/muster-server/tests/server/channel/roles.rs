//! Each side has its own closed set of messages; whoever leaves it is out.

use muster_wire::channel::close;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::channel::repo;
use crate::world::both;

fn out_of_role() -> Vec<Value> {
    let attempt = json!({ "job_id": "job_0190c0de00007000800000000000c0de", "attempt": 1 });
    vec![
        json!({ "type": "challenge", "challenge": "x", "protocol": 1, "server_time": "2026-01-01T00:00:00Z" }),
        json!({ "type": "welcome", "generation": "x", "heartbeat_secs": 30, "server_time": "2026-01-01T00:00:00Z" }),
        json!({ "type": "config_update", "config": { "version": { "epoch": 0, "n": 1 }, "digest": "", "secrets": {} } }),
        json!({ "type": "job_run", "dispatch": {} }),
        json!({ "type": "job_recorded", "attempt": attempt }),
        json!({ "type": "revoked", "statement": "x" }),
        json!({ "type": "session_open" }),
        json!({ "type": "Hello", "proof": "x" }),
        json!({ "type": "" }),
        json!({ "proof": "x" }),
        json!({ "type": "heartbeat", "heartbeat": {}, "host_id": "host_0190c0de00007000800000000000c0de" }),
        json!({ "type": "heartbeat", "heartbeat": [] }),
        json!({ "type": "heartbeat", "heartbeat": { "load_percent": -1 } }),
        json!(["heartbeat", {}]),
        json!("heartbeat"),
        json!({}),
    ]
}

both! {
    async fn b3_a_message_out_of_role_ends_the_channel(world) {
        let host = world.join("alpha", repo()).await;
        let mut generation = None;
        for message in out_of_role() {
            let (mut socket, next) = host.connect(&world, generation).await;
            generation = Some(next);
            socket.send(message).await;
            socket.closes_with(close::POLICY).await;
        }
        let violations = world.audited_times("channel.violation", out_of_role().len()).await;
        assert_eq!(violations[0]["actor"], host.key_name().to_string());
    }

    async fn b3_before_the_hello_nothing_else_is_taken(world) {
        let host = world.join("alpha", repo()).await;
        let mut early = out_of_role();
        early.push(json!({ "type": "heartbeat", "heartbeat": {} }));
        early.push(json!({ "type": "goodbye", "reason": "bye" }));
        for message in early {
            let mut socket = host.dial(&world).await;
            socket.send(message).await;
            socket.closes_with(close::POLICY).await;
        }
        let shown = world.host(&host).await;
        assert_eq!(shown["presence"]["status"], "never_seen");
    }

    async fn a_second_hello_and_work_before_the_acknowledgement_are_out_of_order(world) {
        let host = world.join("alpha", repo()).await;
        let mut socket = host.dial(&world).await;
        let claims = socket.claims(&host, &world, None);
        socket.welcome(&host, &world, None).await;
        socket.hello(&host, &claims).await;
        socket.closes_with(close::POLICY).await;
        let mut socket = host.dial(&world).await;
        socket.welcome(&host, &world, None).await;
        socket.heartbeat().await;
        socket.closes_with(close::POLICY).await;
    }

    async fn frames_that_are_not_json_text_are_refused(world) {
        let host = world.join("alpha", repo()).await;
        let frames = [
            (Message::binary(vec![1, 2, 3]), 1003),
            (Message::text("{"), close::POLICY),
            (Message::text(""), close::POLICY),
            (Message::text("[".repeat(4000)), close::POLICY),
            (Message::text("{\"type\":\"goodbye\",\"reason\":\"a\",\"reason\":\"b\"}"), close::POLICY),
        ];
        let mut generation = None;
        for (frame, code) in frames {
            let (mut socket, next) = host.connect(&world, generation).await;
            generation = Some(next);
            socket.send_frame(frame.clone()).await;
            socket.closes_with(code).await;
            let mut socket = host.dial(&world).await;
            socket.send_frame(frame).await;
            socket.closes_with(code).await;
        }
    }

    async fn another_generation_or_configuration_than_the_one_sent_is_refused(world) {
        let host = world.join("alpha", repo()).await;
        let mut socket = host.dial(&world).await;
        socket.welcome(&host, &world, None).await;
        socket.acknowledge_only(&"A".repeat(59), json!([])).await;
        socket.closes_with(close::POLICY).await;
        let mut socket = host.dial(&world).await;
        let generation = socket.welcome(&host, &world, None).await;
        socket.acknowledge_only(&generation, json!([])).await;
        let mut config = socket.config().await;
        config.digest = "0".repeat(64);
        socket.apply(&config).await;
        socket.closes_with(close::POLICY).await;
        assert!(world.audited("secret.delivered").await.is_empty());
    }
}
