//! A host's key pair takes the place of another: both speak, once, and the former one is dead for good (B24).

use std::time::Duration;

use muster_domain::host_key_rotation::{MOST_AT_ONCE, NEXT_KEY_STANDS};
use muster_proof::HostKey;
use muster_proof::successor::sign_next_key;
use muster_server::reconcile;
use muster_wire::channel::{NextKeyClaims, Protocol, ServerMessage, close};
use serde_json::{Value, json};

use crate::keys::scene::{join_with_secret, repo, revoke, waiting};
use crate::world::{Answer, Joined, Socket, Told, World, both};

/// Asks a host for its next key as the admin.
async fn ask(world: &World, host: &Joined) -> Answer {
    world.admin("POST", &format!("/v1/hosts/{}/keys/rotate", host.host_id), None).await
}

/// Connects a host and asks it for its next key.
async fn asked(world: &World, host: &Joined) -> (Socket, String) {
    let (mut socket, generation) = host.connect(world, None).await;
    assert_eq!(ask(world, host).await.status, 200);
    assert_eq!(socket.message().await, ServerMessage::RotateKey {});
    (socket, generation)
}

/// Asks once more on an open channel.
async fn asked_again(world: &World, host: &Joined, socket: &mut Socket) {
    assert_eq!(ask(world, host).await.status, 200);
    assert_eq!(socket.message().await, ServerMessage::RotateKey {});
}

fn claims(host: &Joined, socket: &Socket) -> NextKeyClaims {
    NextKeyClaims {
        host_id: host.host_id,
        former: host.key.thumbprint(),
        challenge: socket.challenge.clone(),
    }
}

async fn offer(socket: &mut Socket, next: &HostKey, claims: &NextKeyClaims) {
    socket.send(json!({ "type": "next_key", "proof": sign_next_key(next, claims) })).await;
}

/// The host as it is with its next key.
fn with(host: &Joined, next: HostKey) -> Joined {
    Joined { key: next, host_id: host.host_id, hostname: host.hostname.clone() }
}

/// A host that has a next key stored, and itself with that key.
async fn with_next(world: &World, name: &str) -> (Joined, Joined, Socket) {
    let host = world.join(name, repo()).await;
    world.clock.advance(Duration::from_secs(5));
    let (mut socket, _) = asked(world, &host).await;
    let next = HostKey::generate();
    let honest = claims(&host, &socket);
    offer(&mut socket, &next, &honest).await;
    assert_eq!(socket.message().await, ServerMessage::NextKeyStored { key: next.thumbprint() });
    let next = with(&host, next);
    (host, next, socket)
}

async fn states(world: &World, host: &Joined) -> Vec<(String, String)> {
    let page = world.must("GET", &format!("/v1/hosts/{}/keys", host.host_id), None).await;
    let text = |key: &Value, field: &str| key[field].as_str().unwrap().to_owned();
    page["items"].as_array().unwrap().iter().map(|key| (text(key, "name"), text(key, "state"))).collect()
}

async fn refused_in_role(world: &World, socket: &mut Socket, violations: usize) {
    socket.closes_with(close::POLICY).await;
    let told = world.audited_times("channel.violation", violations).await;
    assert_eq!(told[0]["outcome"], "refused");
}

both! {
    async fn the_next_key_comes_into_use_when_its_machine_comes_with_it(world) {
        let (host, next, former_socket) = with_next(&world, "alpha").await;
        let key = |host: &Joined| host.key_name().to_string();
        assert_eq!(states(&world, &host).await, [(key(&next), "next".to_owned()), (key(&host), "active".to_owned())]);
        // The former one works on meanwhile, and asking again changes nothing.
        assert_eq!(host.heartbeat(&world).await.status, 200);
        assert_eq!(ask(&world, &host).await.status, 200);

        // Its agent closes the channel of the former key and comes at once: no copy is suspected.
        drop(former_socket);
        let (mut socket, generation) = next.connect(&world, None).await;
        assert_eq!(
            states(&world, &host).await,
            [(key(&next), "active".to_owned()), (key(&host), "replaced".to_owned())]
        );
        assert_eq!(next.heartbeat(&world).await.status, 200);
        assert_eq!(socket.within(Duration::from_millis(200)).await, None, "it is asked for no other key");
        drop(socket);
        world.disconnected(&next).await;
        let (_socket, _) = next.connect(&world, Some(generation)).await;
        assert_eq!(world.events("clone.suspected").await, [""; 0]);
        assert_eq!(world.audited("key.next_stored").await.len(), 1);
        let rotated = world.audited("key.rotated").await;
        assert_eq!((rotated.len(), &rotated[0]["details"]["replaced_by"]), (1, &json!(key(&next))));
        // What its secrets went to is the same machine: nothing is exposed by it.
        let secrets = world.must("GET", &format!("/v1/hosts/{}/secrets", host.host_id), None).await;
        assert_eq!(secrets["items"][0]["exposed"], false, "{secrets}");
    }

    async fn b20_a_stolen_key_that_was_rotated_in_order_still_exposes_what_it_received(world) {
        let (host, next, socket) = with_next(&world, "alpha").await;
        drop(socket);
        let (_next_socket, _) = next.connect(&world, None).await;
        assert_eq!(revoke(&world, &host.host_id.to_string(), &next.key_name().to_string()).await.status, 200);
        let secrets = world.must("GET", &format!("/v1/hosts/{}/secrets", host.host_id), None).await;
        assert_eq!(secrets["items"][0]["exposed"], true, "{secrets}");
    }

    async fn c10_a_key_that_was_rotated_away_and_shows_itself_exposes_what_it_received(world) {
        let (host, next, socket) = with_next(&world, "alpha").await;
        drop(socket);
        let (_next_socket, _) = next.connect(&world, None).await;
        let exposed = async || {
            world.app.former_uses.write(&world.app).await.unwrap();
            let secrets = world.must("GET", &format!("/v1/hosts/{}/secrets", host.host_id), None).await;
            secrets["items"][0]["exposed"].clone()
        };
        assert_eq!(exposed().await, false);
        // Whoever went on with the next key was not the machine: here it comes back.
        let proof = host.proof(&world, "GET", "/v1/agent/connect", None);
        world.ask("GET", "/v1/agent/connect", &proof, None).await.problem(401, "key_revoked");
        assert_eq!(exposed().await, true);
        assert_eq!(world.events("key.former_used").await, [host.key_name().to_string()]);
    }

    async fn the_same_next_key_again_is_answered_again_and_another_one_takes_its_place(world) {
        let (host, next, mut socket) = with_next(&world, "alpha").await;
        let again = claims(&host, &socket);
        asked_again(&world, &host, &mut socket).await;
        offer(&mut socket, &next.key, &again).await;
        assert_eq!(socket.message().await, ServerMessage::NextKeyStored { key: next.key.thumbprint() });
        // A machine that lost the one it showed.
        world.clock.advance(NEXT_KEY_STANDS);
        let other = HostKey::generate();
        asked_again(&world, &host, &mut socket).await;
        offer(&mut socket, &other, &again).await;
        assert_eq!(socket.message().await, ServerMessage::NextKeyStored { key: other.thumbprint() });
        drop(socket);
        // The one that gave way opens nothing any more.
        let proof = next.proof(&world, "GET", "/v1/agent/connect", None);
        world.ask("GET", "/v1/agent/connect", &proof, None).await.problem(401, "key_revoked");
        let other = with(&host, other);
        let (_socket, _) = other.connect(&world, None).await;
        assert_eq!(other.heartbeat(&world).await.status, 200);
    }

    async fn b14_a_host_cannot_fill_the_table_of_keys_with_next_ones(world) {
        let host = world.join("alpha", repo()).await;
        world.clock.advance(Duration::from_secs(5));
        let (mut socket, generation) = asked(&world, &host).await;
        let next = HostKey::generate();
        let honest = claims(&host, &socket);
        offer(&mut socket, &next, &honest).await;
        assert_eq!(socket.message().await, ServerMessage::NextKeyStored { key: next.thumbprint() });
        let next = with(&host, next);
        // One answer for each time it is asked.
        offer(&mut socket, &HostKey::generate(), &honest).await;
        refused_in_role(&world, &mut socket, 1).await;
        // Nor for each connection, on which it is asked again.
        world.disconnected(&host).await;
        let mut generation = Some(generation);
        for _ in 0..4 {
            let (mut socket, newer) = host.connect(&world, generation).await;
            assert_eq!(socket.message().await, ServerMessage::RotateKey {});
            let honest = claims(&host, &socket);
            offer(&mut socket, &HostKey::generate(), &honest).await;
            socket.heartbeat().await;
            assert_eq!(socket.within(Duration::from_millis(100)).await, None, "it is not taken");
            drop(socket);
            world.disconnected(&host).await;
            generation = Some(newer);
        }
        let key = |host: &Joined| host.key_name().to_string();
        let expected = [(key(&next), "next".to_owned()), (key(&host), "active".to_owned())];
        assert_eq!(states(&world, &host).await, expected);
        assert_eq!(world.audited("key.next_stored").await.len(), 1);
        assert_eq!(world.audited("key.rotated").await.len(), 0);
    }

    async fn c10_a_next_key_does_not_push_out_a_connection_that_answers(world) {
        let (host, next, mut socket) = with_next(&world, "alpha").await;
        let mut thief = next.dial(&world).await;
        "boot-of-the-thief".clone_into(&mut thief.boot_id);
        let hello = thief.claims(&next, &world, None);
        thief.hello(&next, &hello).await;
        // Listening answers pings.
        let (told, ()) = tokio::join!(socket.within(Duration::from_secs(1)), async {
            match thief.message().await {
                ServerMessage::Goodbye { reason, .. } => assert_eq!(reason.as_str(), "fenced"),
                other => panic!("not a goodbye: {other:?}"),
            }
            thief.closes_with(close::FENCED).await;
        });
        assert_eq!(told, None, "the machine is not disturbed");
        socket.heartbeat().await;
        assert!(world.app.hub.is_connected(host.host_id));
        let claims = waiting(&world).await;
        assert_eq!(claims.len(), 1, "{claims:?}");
        assert_eq!(claims[0]["machine"]["former_key"], host.key_name().to_string());
        let key = |host: &Joined| host.key_name().to_string();
        let expected = [(key(&next), "revoked".to_owned()), (key(&host), "active".to_owned())];
        assert_eq!(states(&world, &host).await, expected, "and the next key is nobody's");
    }

    async fn c10_a_held_host_has_no_next_key(world) {
        let (host, next, socket) = with_next(&world, "alpha").await;
        drop(socket);
        world.disconnected(&host).await;
        world.clock.advance(Duration::from_secs(25 * 3600));
        let mut older = host.dial(&world).await;
        let hello = older.claims(&host, &world, None);
        older.hello(&host, &hello).await;
        assert!(matches!(older.message().await, ServerMessage::Goodbye { .. }));
        older.closes_with(close::GENERATION_STALE).await;
        assert!(!world.host(&host).await["held"].is_null());
        assert_eq!(states(&world, &host).await[0], (next.key_name().to_string(), "revoked".to_owned()));
        let proof = next.proof(&world, "GET", "/v1/agent/connect", None);
        world.ask("GET", "/v1/agent/connect", &proof, None).await.problem(401, "key_revoked");
    }

    async fn b24_a_next_key_opens_its_channel_and_nothing_else(world) {
        let (host, next, _socket) = with_next(&world, "alpha").await;
        next.heartbeat(&world).await.problem(403, "next_key");
        let leave = format!("/v1/hosts/{}/leave", host.host_id);
        next.post(&world, &leave, None).await.problem(403, "next_key");
        assert_eq!(host.heartbeat(&world).await.status, 200, "nothing happened to the host");
    }

    async fn b24_no_host_renews_with_what_belongs_to_another(world) {
        let (beta, beta_next, _beta_socket) = with_next(&world, "beta").await;
        let host = world.join("alpha", repo()).await;
        world.clock.advance(Duration::from_secs(5));
        let gamma = world.join("gamma", repo()).await;
        let gone = world.join("gone", repo()).await;
        assert_eq!(world.retire(&gone).await.status, 200);
        let generated = HostKey::generate;
        type Bend = fn(&Joined, &mut NextKeyClaims);
        let honest: Bend = |_, _| ();
        let attacks: [(&str, HostKey, Bend); 7] = [
            ("with another host's key", HostKey::from_pkcs8(&gamma.key.to_pkcs8()).unwrap(), honest),
            ("with another host's next key", HostKey::from_pkcs8(&beta_next.key.to_pkcs8()).unwrap(), honest),
            ("with a former key", HostKey::from_pkcs8(&gone.key.to_pkcs8()).unwrap(), honest),
            ("with its own key", HostKey::from_pkcs8(&host.key.to_pkcs8()).unwrap(), honest),
            ("for another host", generated(), |other, claims| claims.host_id = other.host_id),
            ("after another key", generated(), |other, claims| claims.former = other.key.thumbprint()),
            ("with a recorded proof", generated(), |_, claims| claims.challenge = "A".repeat(43)),
        ];
        let mut generation = None;
        for (count, (attack, key, bend)) in attacks.into_iter().enumerate() {
            let (mut socket, newer) = host.connect(&world, generation).await;
            if count == 0 {
                assert_eq!(ask(&world, &host).await.status, 200);
            }
            assert_eq!(socket.message().await, ServerMessage::RotateKey {}, "{attack}");
            let mut bent = claims(&host, &socket);
            bend(&beta, &mut bent);
            offer(&mut socket, &key, &bent).await;
            refused_in_role(&world, &mut socket, count + 1).await;
            world.disconnected(&host).await;
            generation = Some(newer);
        }
        let keys = states(&world, &host).await;
        assert_eq!(keys, [(host.key_name().to_string(), "active".to_owned())], "nothing was stored");
        let (_socket, _) = host.connect(&world, generation).await;
    }

    async fn b24_a_key_that_nobody_asked_for_is_refused(world) {
        let host = world.join("alpha", repo()).await;
        let (mut socket, _) = host.connect(&world, None).await;
        let next = HostKey::generate();
        let honest = claims(&host, &socket);
        offer(&mut socket, &next, &honest).await;
        refused_in_role(&world, &mut socket, 1).await;
        assert_eq!(states(&world, &host).await.len(), 1);
    }

    async fn whoever_ends_the_active_key_ends_the_next_one(world) {
        let key = |host: &Joined| host.key_name().to_string();
        for (name, how) in [("revoked", 0), ("suspended", 1), ("retired", 2)] {
            let (host, next, _socket) = with_next(&world, name).await;
            match how {
                0 => drop(revoke(&world, &host.host_id.to_string(), &key(&host)).await),
                1 => drop(world.must("POST", &format!("/v1/hosts/{}/suspend", host.host_id), None).await),
                _ => drop(world.retire(&host).await),
            }
            let proof = next.proof(&world, "GET", "/v1/agent/connect", None);
            let answer = world.ask("GET", "/v1/agent/connect", &proof, None).await;
            answer.problem(401, "key_revoked");
            assert_eq!(states(&world, &host).await[0], (key(&next), "revoked".to_owned()), "{name}");
        }
    }

    async fn only_hosts_with_a_key_pair_that_may_act_are_asked(world) {
        let bearer = join_with_secret(&world, "printer", [3; 32], repo()).await;
        let path = format!("/v1/hosts/{}/keys/rotate", bearer.host_id);
        world.admin("POST", &path, None).await.problem(409, "host_has_agent_keys");
        let host = world.join("alpha", repo()).await;
        world.must("POST", &format!("/v1/hosts/{}/suspend", host.host_id), None).await;
        ask(&world, &host).await.problem(409, "not_possible");
        world.must("POST", &format!("/v1/hosts/{}/resume", host.host_id), None).await;
        assert_eq!(ask(&world, &host).await.status, 200);
        assert_eq!(world.retire(&host).await.status, 200);
        ask(&world, &host).await.problem(409, "not_possible");
        let other = world.team("other").await;
        let beta = world.join("beta", repo()).await;
        let path = format!("/v1/hosts/{}/keys/rotate", beta.host_id);
        world.ask("POST", &path, &other.owner(), None).await.problem(404, "not_found");
        assert_eq!(world.audited("key.rotation_asked").await.len(), 1);
    }

    async fn old_keys_are_asked_for_a_few_at_a_time(world) {
        let ticket = world.site_key().await;
        let most = usize::try_from(MOST_AT_ONCE).unwrap();
        for n in 0..most + 3 {
            crate::world::Machine::new(&format!("m{n}")).join(&world, &ticket).await;
        }
        let bearer = join_with_secret(&world, "printer", [3; 32], json!({})).await;
        assert_eq!(reconcile::ask_some(&world.app).await.unwrap(), 0, "they are new");
        world.clock.advance(Duration::from_secs(91 * 24 * 3600));
        world.must("PUT", "/v1/settings", Some(json!({ "host_key_max_age_days": 0 }))).await;
        assert_eq!(reconcile::ask_some(&world.app).await.unwrap(), 0, "keys do not age");
        world.must("PUT", "/v1/settings", Some(json!({ "host_key_max_age_days": 90 }))).await;
        assert_eq!(reconcile::ask_some(&world.app).await.unwrap(), most);
        assert_eq!(reconcile::ask_some(&world.app).await.unwrap(), 3);
        assert_eq!(reconcile::ask_some(&world.app).await.unwrap(), 0, "each is asked once");
        let asked = world.audited("key.rotation_asked").await;
        assert_eq!(asked.len(), most + 3);
        assert!(asked.iter().all(|entry| entry["target"] != bearer.key && entry["actor"] == "system"));
    }

    async fn c23_an_agent_of_the_version_before_works_and_hears_of_none_of_this(world) {
        let host = world.join("alpha", repo()).await;
        assert_eq!(ask(&world, &host).await.status, 200);
        let proof = host.proof(&world, "GET", "/v1/agent/connect", None);
        let mut socket = Socket::open_as(&world, &proof, Protocol::V1).await.unwrap();
        let claims = socket.claims(&host, &world, None);
        socket.hello(&host, &claims).await;
        let ServerMessage::Welcome { generation, reconnect_window_secs, .. } = socket.message().await else {
            panic!("no welcome")
        };
        assert_eq!(reconnect_window_secs, None);
        let config = socket.acknowledge(&generation, json!([])).await;
        assert_eq!(config.secrets.iter().count(), 1);
        socket.heartbeat().await;
        let job = json!({ "work": { "kind": "backup", "paths": ["/etc"] } });
        world.must("POST", &format!("/v1/hosts/{}/jobs", host.host_id), Some(job)).await;
        let ServerMessage::JobRun { dispatch } = socket.message().await else { panic!("no work") };
        assert_eq!(dispatch.issued_at, None);
        let attempt = json!({ "job_id": dispatch.attempt.job_id, "attempt": dispatch.attempt.attempt });
        socket.send(json!({ "type": "job_started", "attempt": attempt })).await;
        let result = json!({ "snapshot_id": "abcd1234", "bytes_processed": 10, "bytes_added": 5, "files": 2 });
        let end = json!({ "outcome": "succeeded", "result": result });
        socket.send(json!({ "type": "job_finished", "attempt": attempt, "end": end })).await;
        assert!(matches!(socket.message().await, ServerMessage::JobRecorded { .. }));
        // Its server's keys change: nothing is said that it does not know.
        world.must("POST", "/v1/installation/instruction-key/next", None).await;
        assert_eq!(socket.within(Duration::from_millis(300)).await, None);
        assert!(socket.pins.is_empty());
        let path = format!("/v1/hosts/{}/suspend", host.host_id);
        world.must("POST", &path, None).await;
        assert!(matches!(socket.message().await, ServerMessage::Goodbye { .. }));
        assert!(matches!(socket.next().await, Told::Closed(close::REVOKED, _)));
    }
}
