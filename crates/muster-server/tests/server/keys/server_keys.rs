//! The key that signs instructions: announced, switched to, finished; every agent gets the signature it accepts.

use std::time::Duration;

use muster_ids::{KeyThumbprint, Timestamp};
use muster_proof::instruction::{Pins, verify_pins, verify_revoked};
use muster_wire::JoinString;
use muster_wire::channel::ServerMessage;
use serde_json::{Value, json};

use crate::keys::scene::repo;
use crate::world::{Answer, Joined, Machine, Socket, World, both};

const KEY: &str = "/v1/installation/instruction-key";

async fn step(world: &World, name: &str, force: bool) -> Answer {
    let body = if name == "next" { None } else { Some(json!({ "force": force })) };
    let answer = world.admin("POST", &format!("{KEY}/{name}"), body).await;
    world.clock.advance(Duration::from_secs(60));
    answer
}

async fn shown(world: &World) -> Value {
    world.must("GET", KEY, None).await
}

fn thumbprint(shown: &Value, field: &str) -> KeyThumbprint {
    shown[field].as_str().unwrap().parse().unwrap()
}

/// Connects with what the agent keeps of the server's keys and returns the statement that came, if one did.
async fn connect(
    world: &World,
    host: &Joined,
    generation: Option<String>,
    keeps: Option<Timestamp>,
) -> (Socket, String, Option<String>) {
    let mut socket = host.dial(world).await;
    let generation = socket.welcome(host, world, generation).await;
    let mut report = json!({
        "hostname": "reported",
        "facts": { "os": "Debian 12", "arch": "x86_64", "cpu_cores": 2, "memory_mb": 2048, "disk_gb": 20 },
    });
    if let Some(keeps) = keeps {
        report["pins_issued_at"] = json!(keeps);
    }
    socket
        .send(json!({ "type": "generation_acknowledged", "generation": generation, "report": report }))
        .await;
    let config = socket.config().await;
    socket.apply(&config).await;
    let statement = statement(&mut socket).await;
    (socket, generation, statement)
}

/// Waits a little for a statement and takes it.
async fn statement(socket: &mut Socket) -> Option<String> {
    assert_eq!(socket.within(Duration::from_millis(300)).await, None);
    socket.pins.pop()
}

async fn keep(world: &World, host: &Joined, socket: &mut Socket, pins: &Pins) {
    socket.send(json!({ "type": "pins_kept", "issued_at": pins.issued_at })).await;
    let (host_id, issued_at) = (host.host_id, pins.issued_at);
    crate::world::until("the pins are kept", async || {
        let trust = world.app.look(move |tx| tx.host_trust(host_id)).await.unwrap().unwrap();
        trust.pins_issued_at == Some(issued_at)
    })
    .await;
}

fn join_string(minted: &Value) -> JoinString {
    minted["join_string"].as_str().unwrap().parse().unwrap()
}

both! {
    async fn every_step_of_a_rotation_waits_for_every_host(world) {
        let first = thumbprint(&shown(&world).await, "current");
        let host = world.join("alpha", repo()).await;
        let (mut socket, generation, said) = connect(&world, &host, None, None).await;
        let pins = verify_pins(&said.expect("a statement"), &first).unwrap();
        assert_eq!((pins.instruction_key, pins.next_instruction_key), (first, None));
        keep(&world, &host, &mut socket, &pins).await;

        step(&world, "switch", false).await.problem(409, "not_announced");
        step(&world, "finish", false).await.problem(409, "not_switched");
        assert_eq!(step(&world, "next", false).await.status, 200);
        step(&world, "next", false).await.problem(409, "already_announced");
        let announced = shown(&world).await;
        let second = thumbprint(&announced, "next");
        assert_eq!((&announced["hosts"], thumbprint(&announced, "current")), (&json!({ "hosts": 1, "informed": 0 }), first));

        // Told while it is connected, signed by the key it knows; who does not keep it is waited for.
        let told = verify_pins(&statement(&mut socket).await.expect("told at once"), &first).unwrap();
        assert_eq!(told.next_instruction_key, Some(second));
        let refused = step(&world, "switch", false).await;
        refused.problem(409, "hosts_not_informed");
        assert_eq!((&refused.body["not_informed"], &refused.body["hosts"]), (&json!(1), &json!(1)));
        keep(&world, &host, &mut socket, &told).await;
        assert_eq!(step(&world, "switch", false).await.status, 200);
        let switched = verify_pins(&statement(&mut socket).await.expect("told again"), &second).unwrap();
        assert_eq!((switched.instruction_key, switched.next_instruction_key), (second, None));
        assert!(told.issued_at < switched.issued_at);
        step(&world, "next", false).await.problem(409, "not_finished");

        // Whoever keeps the announcement needs nothing more.
        assert_eq!(step(&world, "finish", false).await.status, 200);
        let settled = shown(&world).await;
        assert_eq!((thumbprint(&settled, "current"), &settled["former"]), (second, &Value::Null));
        drop(socket);
        world.disconnected(&host).await;
        let (_socket, _, said) = connect(&world, &host, Some(generation), Some(switched.issued_at)).await;
        assert_eq!(said, None, "it keeps what was said last");
        for action in ["instruction_key.announced", "instruction_key.switched", "instruction_key.finished"] {
            assert_eq!(world.audited(action).await.len(), 1, "{action}");
        }
    }

    async fn b23_each_agent_is_revoked_with_the_signature_it_accepts(world) {
        let first = thumbprint(&shown(&world).await, "current");
        let informed = world.join("informed", repo()).await;
        let away = world.join("away", repo()).await;
        let old_ticket = world.must("POST", "/v1/enrolment-tokens", Some(json!({}))).await;
        assert_eq!(step(&world, "next", false).await.status, 200);
        let second = thumbprint(&shown(&world).await, "next");
        let (mut socket, _, said) = connect(&world, &informed, None, None).await;
        let pins = verify_pins(&said.expect("a statement"), &first).unwrap();
        keep(&world, &informed, &mut socket, &pins).await;
        step(&world, "switch", false).await.problem(409, "hosts_not_informed");
        assert_eq!(step(&world, "switch", true).await.status, 200, "forced");

        // A machine with a join string from before is let in by the name of the key it knows, and by no other.
        assert_eq!(join_string(&old_ticket).instruction_key, first);
        let machine = Machine::new("late");
        let answer = machine.enroll(&world, old_ticket["token"].as_str().unwrap()).await;
        assert_eq!((answer.status, answer.text("instruction_key")), (201, first.to_string()));
        let late = Joined { key: machine.key, host_id: answer.text("host_id").parse().unwrap(), hostname: "late".to_owned() };
        let (_late_socket, _, said) = connect(&world, &late, None, None).await;
        let told = verify_pins(&said.expect("a statement"), &first).expect("signed by the key it knows");
        assert_eq!(told.instruction_key, second, "and so it learns the next one");
        let new_ticket = world.must("POST", "/v1/enrolment-tokens", Some(json!({}))).await;
        assert_eq!(join_string(&new_ticket).instruction_key, second);
        let newcomer = Machine::new("newcomer").join(&world, new_ticket["token"].as_str().unwrap()).await;

        for (host, accepts, refuses) in [(&informed, second, first), (&away, first, second), (&newcomer, second, first)] {
            assert_eq!(world.retire(host).await.status, 200);
            let answer = host.heartbeat(&world).await;
            answer.problem(401, "key_revoked");
            let statement = answer.body["revoked"].as_str().unwrap();
            assert_eq!(verify_revoked(statement, &accepts).unwrap().host_id, host.host_id, "{}", host.hostname);
            assert!(verify_revoked(statement, &refuses).is_err());
        }
        // On the channel, too.
        let revoked = loop {
            match socket.message().await {
                ServerMessage::Revoked { statement } => break statement,
                ServerMessage::ConfigUpdate { .. } => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(verify_revoked(&revoked, &second).unwrap().host_id, informed.host_id);

        step(&world, "finish", false).await.problem(409, "hosts_not_informed");
        assert_eq!(step(&world, "finish", true).await.status, 200);
        // From now on there is one key, for everybody.
        let last = away.heartbeat(&world).await;
        assert!(verify_revoked(last.body["revoked"].as_str().unwrap(), &second).is_ok());
    }

    async fn nobody_says_that_an_agent_keeps_what_it_was_not_sent(world) {
        let host = world.join("alpha", repo()).await;
        let first = thumbprint(&shown(&world).await, "current");
        let (mut socket, _, said) = connect(&world, &host, None, None).await;
        let pins = verify_pins(&said.expect("a statement"), &first).unwrap();
        let later = pins.issued_at.plus(Duration::from_secs(3600));
        socket.send(json!({ "type": "pins_kept", "issued_at": later })).await;
        socket.closes_with(muster_wire::channel::close::POLICY).await;
        assert_eq!(shown(&world).await["hosts"], json!({ "hosts": 1, "informed": 0 }));
    }

    async fn only_admins_touch_the_keys_of_the_server(world) {
        let team = world.team("other").await;
        for (method, path) in [("GET", ""), ("POST", "/next"), ("POST", "/switch"), ("POST", "/finish")] {
            let body = (path.len() > 5).then(|| json!({ "force": true }));
            let answer = world.ask(method, &format!("{KEY}{path}"), &team.owner(), body).await;
            answer.problem(403, "forbidden");
        }
        assert_eq!(world.ask("GET", "/v1/installation/tls", &team.owner(), None).await.status, 403);
        let tls = world.must("GET", "/v1/installation/tls", None).await;
        assert_eq!(tls["kind"], "absent");
        let body = Some(json!({ "force": true }));
        world.admin("POST", "/v1/installation/tls/rotate", body).await.problem(409, "not_own_certificate");
    }

    async fn a_server_that_starts_again_knows_its_keys_and_says_nothing_new(world) {
        assert_eq!(step(&world, "next", false).await.status, 200);
        assert_eq!(step(&world, "switch", true).await.status, 200);
        let again = world.with_outbound(&[]).await;
        let (before, after) = (world.app.installation.instruction_keys(), again.installation.instruction_keys());
        assert_eq!((before.current(), before.former()), (after.current(), after.former()));
        assert_eq!(before.said(), after.said());
    }
}
