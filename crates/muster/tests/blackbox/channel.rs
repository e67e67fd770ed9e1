//! The live channel over the real TLS listener: recorded handshakes, foreign roles, foreign ids, sizes
//! (SECURITY B3, B4, B14, B29).

use std::time::Duration;

use http::Method;
use muster_wire::channel::{AgentMessage, MAX_FRAME, MAX_FRAME_BEFORE_HELLO};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Backend, Channel, Installation, Machine, both, until};

const POLICY: Option<u16> = Some(1008);
const RANDOM_JOB: &str = "job_0190000000007000800000000000abcd";

/// Plays a recorded upgrade and hello again; nothing but the challenge may come of it.
async fn assert_replay_is_dead(
    machine: &Machine,
    upgrade: &http::HeaderMap,
    hello: &AgentMessage,
    host: muster_ids::HostId,
) {
    match machine.upgrade(upgrade.clone()).await {
        Err(refused) => {
            refused.assert_is_problem("a recorded upgrade");
            assert_eq!(refused.status, 401, "{}", refused.text);
        }
        Ok(socket) => {
            let mut channel = Channel::new(socket, host, machine.connect_url());
            channel.challenge().await;
            channel.send(hello).await;
            let (frames, close) = channel.until_end().await;
            assert_eq!((frames, close), (Vec::new(), POLICY), "a recorded hello was believed");
        }
    }
}

both! {
    async fn b29_a_recorded_handshake_gets_no_frame_but_the_challenge(backend: Backend) {
        let installation = Installation::start(backend).await;
        let token = installation.token_with(json!({ "secrets": { "note": { "value": "for the host only" } } })).await;
        let machine = installation.machine("recorded");
        let host = machine.admitted(&token.token).await;
        let upgrade = machine.upgrade_headers(host).await.unwrap();
        let mut channel = Channel::new(machine.upgrade(upgrade.clone()).await.unwrap(), host, machine.connect_url());
        let challenge = channel.challenge().await;
        let hello = channel.hello(&machine, &challenge, None);
        channel.send(&hello).await;
        let secrets = channel.after_hello(&machine).await;
        assert_eq!(secrets["note"]["document"]["value"], "for the host only");
        for _ in 0..3 {
            assert_replay_is_dead(&machine, &upgrade, &hello, host).await;
            assert!(channel.is_alive().await, "the replay disturbed the host");
        }
        channel.close().await;
        assert_replay_is_dead(&machine, &upgrade, &hello, host).await;
        // Somebody in the middle may hold the socket of a fresh upgrade, yet has only the old hello.
        let mut fresh = machine.open(host).await.unwrap();
        fresh.challenge().await;
        fresh.send(&hello).await;
        assert_eq!(fresh.until_end().await, (Vec::new(), POLICY));
    }

    async fn b03_a_machine_that_leaves_its_role_is_cut(backend: Backend) {
        let installation = Installation::start(backend).await;
        let machine = installation.machine("actor");
        let host = machine.admitted(&installation.site_key.token).await;
        let out_of_role = [
            json!({ "type": "challenge", "challenge": "x", "protocol": 1, "server_time": "2026-01-01T00:00:00.000Z" }),
            json!({ "type": "welcome", "generation": "x", "heartbeat_secs": 1, "server_time": "2026-01-01T00:00:00.000Z" }),
            json!({ "type": "config_update", "config": {} }),
            json!({ "type": "job_run", "dispatch": {} }),
            json!({ "type": "revoked", "statement": "x" }),
            json!({ "type": "terminal_open", "session": "x" }),
            json!({ "type": "host_retire", "host_id": host }),
            json!({ "type": "_send_pub" }),
            json!({ "type": "heartbeat", "heartbeat": {}, "host_id": host }),
            json!({ "heartbeat": {} }),
            json!(["heartbeat", {}]),
            json!(null),
        ];
        for message in &out_of_role {
            let mut early = machine.open(host).await.unwrap();
            early.challenge().await;
            early.send_json(message).await;
            assert_eq!(early.until_end().await, (Vec::new(), POLICY), "before the hello: {message}");
        }
        let mut generation = None;
        for message in &out_of_role {
            let mut late = machine.connect_with(host, generation).await;
            late.send_json(message).await;
            assert_eq!(late.until_end().await, (Vec::new(), POLICY), "after the handshake: {message}");
            generation = late.generation;
        }
        assert!(installation.server.metric("muster_channel_violations_total").await >= out_of_role.len() as f64);
    }

    async fn b04_a_host_cannot_speak_for_another(backend: Backend) {
        let installation = Installation::start(backend).await;
        let token = installation.token_with(json!({ "secrets": { "note": { "value": "b" } } })).await;
        let (attacker, victim) = (installation.machine("attacker"), installation.machine("victim"));
        let own = attacker.admitted(&installation.site_key.token).await;
        let other = victim.admitted(&token.token).await;
        let before = installation.host_bytes(other).await;

        let forged = attacker.heartbeat_as(own, other).await;
        forged.assert_is_problem("a heartbeat for another host");
        assert_eq!(forged.status, 403, "{}", forged.text);
        let forged = attacker.heartbeat_as(other, other).await;
        forged.assert_is_problem("a heartbeat in another host's name");
        assert!(matches!(forged.status, 401 | 403), "{}", forged.text);

        let refused = attacker.open(other).await.err().expect("a socket of another host");
        refused.assert_is_problem("an upgrade in another host's name");
        let mut channel = Channel::new(
            attacker.upgrade(attacker.upgrade_headers(own).await.unwrap()).await.unwrap(),
            other,
            attacker.connect_url(),
        );
        let challenge = channel.challenge().await;
        let hello = channel.hello(&attacker, &challenge, None);
        channel.send(&hello).await;
        assert_eq!(channel.until_end().await, (Vec::new(), POLICY), "a hello that names another host");

        assert_eq!(installation.host_bytes(other).await, before, "the other host changed");
        assert_eq!(installation.host(other).await.presence.last_seen_at, None, "the victim was never there");
    }

    async fn b04_results_count_for_the_host_that_was_given_the_job_only(backend: Backend) {
        let installation = Installation::start(backend).await;
        let (attacker, victim) = (installation.machine("attacker"), installation.machine("victim"));
        let own = attacker.admitted(&installation.site_key.token).await;
        let other = victim.admitted(&installation.site_key.token).await;
        let secret = json!({ "url": "rest:http://127.0.0.1:9/", "password": "x" });
        let put = installation.ask(Method::PUT, &format!("/v1/hosts/{other}/secrets/repo"), Some(&secret)).await;
        assert_eq!(put.status, 200, "{}", put.text);
        let work = json!({ "work": { "kind": "backup", "paths": ["/nowhere"] } });
        let job = installation.ask(Method::POST, &format!("/v1/hosts/{other}/jobs"), Some(&work)).await;
        assert_eq!(job.status, 201, "{}", job.text);
        let id = job.json["id"].as_str().unwrap();
        let mut generation = None;
        for job_id in [id, RANDOM_JOB] {
            for message in [
                json!({ "type": "job_started", "attempt": { "job_id": job_id, "attempt": 1 } }),
                json!({ "type": "job_progress", "attempt": { "job_id": job_id, "attempt": 1 },
                    "progress": { "percent": 99, "bytes_done": 1, "bytes_total": 1 } }),
                json!({ "type": "job_log", "attempt": { "job_id": job_id, "attempt": 1 }, "text": "forged" }),
                json!({ "type": "job_finished", "attempt": { "job_id": job_id, "attempt": 1 }, "end": { "outcome": "succeeded",
                    "result": { "snapshot_id": "forged", "bytes_processed": 1, "bytes_added": 1, "files": 1 } } }),
            ] {
                let mut channel = attacker.connect_with(own, generation).await;
                channel.send_json(&message).await;
                channel.heartbeat().await;
                channel.is_alive().await;
                channel.close().await;
                generation = channel.generation;
            }
        }
        let after = installation.ask(Method::GET, &format!("/v1/jobs/{id}"), None).await;
        assert_eq!(after.text, job.text, "the victim's job changed");
        let log = installation.ask(Method::GET, &format!("/v1/jobs/{id}/log"), None).await;
        assert!(!log.text.contains("forged"), "{}", log.text);
    }

    async fn b14_frames_are_small_before_the_hello_and_bounded_after(backend: Backend) {
        let installation = Installation::start(backend).await;
        let machine = installation.machine("loud");
        let host = machine.admitted(&installation.site_key.token).await;
        let mut early = machine.open(host).await.unwrap();
        early.challenge().await;
        early.send_raw(Message::text("x".repeat(MAX_FRAME_BEFORE_HELLO + 1))).await;
        let (frames, close) = early.until_end().await;
        assert!(frames.is_empty(), "{frames:?}");
        assert!(matches!(close, Some(1008 | 1009) | None), "{close:?}");
        let mut late = machine.connect(host).await;
        late.send_raw(Message::text("x".repeat(MAX_FRAME + 1))).await;
        let (frames, close) = late.until_end().await;
        assert!(frames.is_empty(), "{frames:?}");
        assert!(matches!(close, Some(1009) | None), "{close:?}");
        let mut binary = machine.connect_with(host, late.generation.clone()).await;
        binary.send_raw(Message::binary(vec![0; 16])).await;
        let (frames, close) = binary.until_end().await;
        assert!(frames.is_empty() && matches!(close, Some(1003 | 1008)), "{frames:?} {close:?}");
        let mut again = machine.connect_with(host, binary.generation.clone()).await;
        assert!(again.is_alive().await);
    }

    async fn c10_an_older_generation_gets_nothing_and_the_current_one_works_on(backend: Backend) {
        let installation = Installation::start(backend).await;
        let machine = installation.machine("copied");
        let host = machine.admitted(&installation.site_key.token).await;
        let mut first = machine.connect(host).await;
        let older = first.generation.clone();
        first.close().await;
        let mut second = machine.connect_with(host, older.clone()).await;
        let current = second.generation.clone();
        assert_ne!(older, current);
        second.close().await;
        let mut third = machine.connect_with(host, current).await;
        let before = installation.host_bytes(host).await;
        let mut stale = machine.open(host).await.unwrap();
        let challenge = stale.challenge().await;
        let hello = stale.hello(&machine, &challenge, older);
        stale.send(&hello).await;
        let (frames, close) = stale.until_end().await;
        let says_more = frames.iter().any(|frame| !matches!(frame, muster_wire::channel::ServerMessage::Goodbye { .. }));
        assert!(!says_more, "a stale copy was told {frames:?}");
        assert_eq!(close, Some(4409));
        assert!(third.is_alive().await, "the copy disturbed the holder");
        assert_eq!(installation.host_bytes(host).await, before);
    }

    async fn b14_a_machine_that_never_says_hello_is_cut(backend: Backend) {
        let installation = Installation::start(backend).await;
        let machine = installation.machine("mute");
        let host = machine.admitted(&installation.site_key.token).await;
        let mut silent = machine.open(host).await.unwrap();
        silent.challenge().await;
        let closed = tokio::time::timeout(Duration::from_secs(15), async {
            loop {
                if let crate::harness::Next::Closed(close) = silent.next().await {
                    return close;
                }
            }
        });
        closed.await.expect("a socket without a hello stays open");
        until("the socket is still counted", Duration::from_secs(5), async || {
            (installation.server.metric("muster_channels").await == 0.0).then_some(())
        })
        .await;
        let shown = installation.ask(Method::GET, &format!("/v1/hosts/{host}"), None).await;
        assert_eq!(shown.json["presence"]["status"], Value::from("never_seen"), "{}", shown.text);
    }
}
