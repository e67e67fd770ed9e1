//! Proofs that were used: remembered of those who hold something, of nobody else.

use std::time::Duration;

use muster_edge::Entropy;
use muster_ids::BearerKind;
use muster_proof::HtuUrl;
use muster_proof::dpop::{Claims, prove};
use serde_json::json;

use crate::limits::nobodys;
use crate::world::{Answer, Joined, Machine, World, ask, both};

/// An enrolment that can be sent again, byte for byte.
struct Knock {
    headers: String,
    body: String,
}

impl Knock {
    fn new(world: &World, machine: &Machine, ticket: &str) -> Self {
        let body = machine.request().to_string();
        let url = HtuUrl::parse(&world.url("/v1/enroll")).unwrap();
        let claims = Claims::new("POST", &url, world.app.clock.now(), Entropy.bytes());
        let proof = prove(&machine.key, &claims.bearer(ticket).body(body.as_bytes()));
        Self { headers: format!("authorization: Bearer {ticket}\r\ndpop: {proof}\r\n"), body }
    }

    /// The same with a signature that does not hold.
    fn forged(self) -> Self {
        let line = self.headers.trim_end();
        let last = if line.ends_with('A') { 'Q' } else { 'A' };
        Self { headers: format!("{}{last}\r\n", &line[..line.len() - 1]), ..self }
    }

    async fn send(&self, world: &World) -> Answer {
        ask(world.address, "POST", "/v1/enroll", &self.headers, Some(self.body.clone())).await
    }
}

async fn beat(world: &World, host: &Joined, proof: &str) -> Answer {
    let path = format!("/v1/hosts/{}/heartbeat", host.host_id);
    ask(world.address, "POST", &path, proof, Some("{}".to_owned())).await
}

fn proof_of_beat(world: &World, host: &Joined) -> String {
    host.proof(world, "POST", &format!("/v1/hosts/{}/heartbeat", host.host_id), Some("{}"))
}

both! {
    async fn b12_a_proof_is_remembered_only_with_a_ticket_that_may_admit(world) {
        let machine = Machine::new("alpha");
        let unknown = Knock::new(&world, &machine, &nobodys(BearerKind::EnrolmentToken, 1));
        let spent = world.enrolment_token(json!({})).await;
        Machine::new("first").join(&world, &spent).await;
        let dead = Knock::new(&world, &machine, &spent);
        for knock in [unknown, dead] {
            for _ in 0..3 {
                knock.send(&world).await.problem(401, "enrollment_rejected");
            }
        }
        let token = world.enrolment_token(json!({})).await;
        let good = Knock::new(&world, &machine, &token);
        assert_eq!(good.send(&world).await.status, 201);
        good.send(&world).await.problem(401, "invalid_dpop_proof");
    }

    async fn b11_the_signature_is_judged_after_the_ticket(world) {
        let machine = Machine::new("alpha");
        let unknown = nobodys(BearerKind::EnrolmentToken, 1);
        let with_a_good_one = Knock::new(&world, &machine, &unknown).send(&world).await;
        let with_a_bad_one = Knock::new(&world, &machine, &unknown).forged().send(&world).await;
        let secret = json!("A".repeat(43));
        let mut without = machine.request();
        without["agent_secret"] = secret;
        let bearer = format!("authorization: Bearer {unknown}\r\n");
        let without = world.ask("POST", "/v1/enroll", &bearer, Some(without)).await;
        for answer in [with_a_good_one, with_a_bad_one, without] {
            answer.problem(401, "enrollment_rejected");
        }
        let token = world.enrolment_token(json!({})).await;
        let forged = Knock::new(&world, &machine, &token).forged();
        forged.send(&world).await.problem(401, "invalid_dpop_proof");
        machine.join(&world, &token).await;
    }

    async fn b12_a_proof_by_a_key_nobody_knows_is_not_remembered(world) {
        let host = world.join("alpha", json!({})).await;
        let stranger = Joined { key: muster_proof::HostKey::generate(), hostname: "s".to_owned(), ..host };
        let proof = proof_of_beat(&world, &stranger);
        for _ in 0..3 {
            beat(&world, &stranger, &proof).await.problem(401, "unauthorized");
        }
    }

    async fn one_keys_proofs_fill_its_own_share_only(world) {
        let busy = world.join("busy", json!({})).await;
        let other = world.join("other", json!({})).await;
        for _ in 0..64 {
            assert_eq!(busy.heartbeat(&world).await.status, 200);
        }
        let answer = busy.heartbeat(&world).await;
        answer.problem(429, "too_many_proofs");
        assert!(answer.header("retry-after").is_some());
        assert_eq!(other.heartbeat(&world).await.status, 200);
        world.clock.advance(Duration::from_secs(121));
        assert_eq!(busy.heartbeat(&world).await.status, 200);
    }

    async fn a_step_of_the_wall_clock_forgets_no_proof(world) {
        let host = world.join("alpha", json!({})).await;
        let other = world.join("beta", json!({})).await;
        let proof = proof_of_beat(&world, &host);
        assert_eq!(beat(&world, &host, &proof).await.status, 200);
        let now = world.app.clock.now();
        world.clock.set_wall(now.plus(Duration::from_secs(3600)));
        assert_eq!(other.heartbeat(&world).await.status, 200);
        world.clock.set_wall(now);
        beat(&world, &host, &proof).await.problem(401, "invalid_dpop_proof");
    }
}
