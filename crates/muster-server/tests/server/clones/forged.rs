//! Statements that were forged, stolen or used before: one answer, the same bytes as for a host nobody knows.

use muster_ids::HostId;
use muster_proof::dpop::{Claims, prove};
use muster_proof::{HostKey, HtuUrl, successor};
use muster_wire::enroll::ForkClaims;
use serde_json::json;

use crate::clones::scene::{Copied, PATH, body, claims, fork, joined, proof, uid, written};
use crate::world::{Answer, Machine, World, ask, both};

/// What an attacker could compare.
fn comparable(answer: &Answer) -> String {
    let mut body = answer.body.clone();
    body.as_object_mut().unwrap().remove("instance");
    let own = ["x-request-id:", "date:", "dpop-nonce:"];
    let head = answer.head.lines().filter(|line| {
        let line = line.to_ascii_lowercase();
        !own.iter().any(|name| line.starts_with(name))
    });
    format!("{}\n{body}", head.collect::<Vec<_>>().join("\n"))
}

async fn of_nobody(world: &World) -> String {
    let copy = Copied::new("boot-a");
    let nobody = HostId::from_uuid(uuid::Uuid::from_u128(7));
    let statement = successor::sign_fork(&HostKey::generate(), &copy.claims(nobody));
    let answer = fork(world, &copy.own, nobody, &statement, &copy.uid).await;
    answer.problem(401, "enrollment_rejected");
    comparable(&answer)
}

both! {
    async fn b24_a_forged_or_stolen_statement_is_refused_like_that_of_nobody(world) {
        let (host, first, _) = joined(&world).await;
        let other = world.join("beta", json!({})).await;
        let acme = world.team("acme").await;
        let minted = world.ask("POST", "/v1/enrolment-tokens", &acme.owner(), Some(json!({}))).await;
        let foreign = Machine::new("gamma").join(&world, &minted.text("token")).await;
        let nobody = of_nobody(&world).await;
        let copy = Copied::holding(&first, "boot-a");
        let good = copy.claims(host.host_id);
        let counted = written(&world).await;
        let thief = HostKey::generate();
        let elsewhere = |host_id| ForkClaims { host_id, ..good.clone() };
        let of_thief = ForkClaims { key: thief.thumbprint(), ..good.clone() };
        let no_state = ForkClaims { generation: Some("made-up".to_owned()), ..good.clone() };
        // Who, of which host it says it is, with which statement.
        let forgeries: [(&str, &HostKey, HostId, String); 10] = [
            ("the thief's own key vouches", &copy.own, host.host_id, successor::sign_fork(&thief, &good)),
            ("another host's key", &copy.own, host.host_id, successor::sign_fork(&other.key, &good)),
            ("another host's key for that host", &copy.own, host.host_id,
                successor::sign_fork(&other.key, &elsewhere(other.host_id))),
            ("another team's host", &copy.own, host.host_id, successor::sign_fork(&foreign.key, &good)),
            ("the key of one host, naming another", &copy.own, other.host_id, successor::sign_fork(&host.key, &good)),
            ("a statement about another host", &copy.own, host.host_id,
                successor::sign_fork(&host.key, &elsewhere(other.host_id))),
            ("a machine's statement with the thief's new key", &thief, host.host_id,
                successor::sign_fork(&host.key, &good)),
            ("the thief's key, vouched for by itself", &thief, host.host_id, successor::sign_fork(&thief, &of_thief)),
            ("a state this server never gave", &copy.own, host.host_id, successor::sign_fork(&host.key, &no_state)),
            ("no statement", &copy.own, host.host_id, "not.a.statement".to_owned()),
        ];
        for (what, own, host_id, statement) in forgeries {
            let answer = fork(&world, own, host_id, &statement, &copy.uid).await;
            answer.problem(401, "enrollment_rejected");
            assert_eq!(comparable(&answer), nobody, "{what}");
        }
        // The key of the host itself is no new key.
        let itself = ForkClaims { key: host.key.thumbprint(), ..good.clone() };
        let statement = successor::sign_fork(&host.key, &itself);
        fork(&world, &host.key, host.host_id, &statement, &copy.uid).await.problem(401, "enrollment_rejected");
        assert_eq!(written(&world).await, counted, "nothing of it is written down");
        copy.waits(&world, &host).await;
    }

    async fn b24_a_proof_is_used_once_and_is_over_this_very_request(world) {
        let (host, first, _) = joined(&world).await;
        let copy = Copied::holding(&first, "boot-a");
        let statement = successor::sign_fork(&host.key, &copy.claims(host.host_id));
        let body = body(host.host_id, &statement, &copy.uid);
        let recorded = proof(&world, &copy.own, &body);
        let send = async |headers: &str, body: &str| {
            ask(world.address, "POST", PATH, headers, Some(body.to_owned())).await
        };
        assert_eq!(send(&recorded, &body).await.status, 202);
        send(&recorded, &body).await.problem(401, "invalid_dpop_proof");
        // Another body, another path, another method, no proof, a ticket beside it.
        let changed = body.replace(&copy.uid, &uid("another"));
        send(&proof(&world, &copy.own, &body), &changed).await.problem(401, "invalid_dpop_proof");
        let at = |method: &str, path: &str| {
            let url = HtuUrl::parse(&world.url(path)).unwrap();
            let claims = Claims::new(method, &url, world.app.clock.now(), rand()).body(body.as_bytes());
            format!("dpop: {}\r\n", prove(&copy.own, &claims))
        };
        for (method, path) in [("POST", "/v1/enroll"), ("PUT", PATH)] {
            send(&at(method, path), &body).await.problem(401, "invalid_dpop_proof");
        }
        send("", &body).await.problem(401, "invalid_dpop_proof");
        let ticket = world.enrolment_token(json!({})).await;
        let both = format!("{}authorization: Bearer {ticket}\r\n", proof(&world, &copy.own, &body));
        send(&both, &body).await.problem(401, "invalid_dpop_proof");
        assert_eq!(claims(&world, &host, "waiting").await.len(), 1);
    }

    async fn b24_a_key_that_ended_vouches_for_nobody(world) {
        let (host, first, _) = joined(&world).await;
        let path = format!("/v1/hosts/{}/keys/{}/revoke", host.host_id, host.key_name());
        world.must("POST", &path, None).await;
        let copy = Copied::holding(&first, "boot-a");
        let answer = copy.asks(&world, &host).await;
        answer.problem(401, "key_revoked");
        assert!(answer.body["revoked"].is_string(), "only the signed statement makes an agent give up: {answer:?}");
        assert_eq!(claims(&world, &host, "waiting").await.len(), 0);
    }

    async fn b24_the_key_of_another_host_is_no_key_of_a_copy(world) {
        let (host, first, _) = joined(&world).await;
        let other = world.join("beta", json!({})).await;
        let before = crate::clones::scene::all_of(&world, other.host_id).await;
        let copy = Copied { own: other.key, ..Copied::holding(&first, "boot-a") };
        copy.asks(&world, &host).await.problem(409, "key_in_use");
        assert_eq!(crate::clones::scene::all_of(&world, other.host_id).await, before);
        assert_eq!(claims(&world, &host, "waiting").await.len(), 0);
    }

    async fn b03_guesses_at_statements_are_counted(world) {
        let (host, ..) = joined(&world).await;
        let copy = Copied::new("boot-a");
        let statement = successor::sign_fork(&HostKey::generate(), &copy.claims(host.host_id));
        let mut last = 0;
        for _ in 0..700 {
            last = fork(&world, &copy.own, host.host_id, &statement, &copy.uid).await.status;
            if last == 429 {
                break;
            }
        }
        assert_eq!(last, 429, "a flood of guesses is slowed down");
        // A good statement is never refused because of its neighbours.
        Copied::new("boot-b").waits(&world, &host).await;
    }
}

fn rand<const N: usize>() -> [u8; N] {
    muster_edge::Entropy.bytes()
}
