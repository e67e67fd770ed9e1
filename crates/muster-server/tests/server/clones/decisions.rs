//! What a person may decide, alone and many at once, and what ends a question without a decision.

use muster_wire::claim::CopyCause;
use serde_json::{Value, json};

use crate::clones::scene::{
    Copied, all_of, claims, decide, is_held, is_stale, joined, repo, the_claim, written,
};
use crate::world::{Joined, World, both};

async fn claim(world: &World, claim_id: &str) -> Value {
    world.must("GET", &format!("/v1/claims/{claim_id}"), None).await
}

fn one(claim: &Value, verdict: &str) -> Value {
    json!({ "claim_id": claim["id"], "verdict": verdict, "evidence_version": claim["evidence_version"] })
}

/// A host whose machine holds an agent key and no key pair.
async fn with_agent_key(world: &World) -> (Joined, String) {
    let host = world.must("POST", "/v1/hosts", Some(json!({ "name": "old" }))).await;
    let host_id = host["host"]["id"].as_str().unwrap().to_owned();
    let minted = world.must("POST", &format!("/v1/hosts/{host_id}/agent-keys"), Some(json!({}))).await;
    let host = Joined {
        key: muster_proof::HostKey::generate(),
        host_id: host_id.parse().unwrap(),
        hostname: "old".to_owned(),
    };
    (host, minted["token"].as_str().unwrap().to_owned())
}

/// Says hello with an agent key and this state; returns the generation of its welcome, acknowledged.
async fn says_hello(
    world: &World,
    host: &Joined,
    token: &str,
    holds: Option<String>,
    boot_id: &str,
) -> Option<String> {
    let headers = format!("authorization: Bearer {token}\r\n");
    let mut socket = crate::world::Socket::open(world, &headers).await.unwrap();
    boot_id.clone_into(&mut socket.boot_id);
    let claims = socket.claims(host, world, holds);
    let proof = serde_json::to_string(&claims).unwrap();
    socket.send(json!({ "type": "hello", "proof": proof })).await;
    match socket.message().await {
        muster_wire::channel::ServerMessage::Welcome { generation, .. } => {
            socket.acknowledge(&generation, json!([])).await;
            drop(socket);
            world.disconnected(host).await;
            Some(generation)
        }
        muster_wire::channel::ServerMessage::Goodbye { reason, .. } => {
            assert_eq!(reason.as_str(), "generation_stale");
            None
        }
        other => panic!("{other:?}"),
    }
}

both! {
    async fn a_copy_of_a_host_with_agent_keys_can_make_no_key_and_only_be_rejected(world) {
        let (host, token) = with_agent_key(&world).await;
        let first = says_hello(&world, &host, &token, None, "boot-1").await;
        says_hello(&world, &host, &token, first.clone(), "boot-1").await.unwrap();
        assert_eq!(says_hello(&world, &host, &token, first, "boot-a").await, None);
        let waiting = the_claim(&world, &host).await;
        let id = waiting["id"].as_str().unwrap();
        assert_eq!(waiting["verdicts"], json!(["reject"]));
        for verdict in ["replace", "new"] {
            decide(&world, id, verdict, false).await.problem(409, "copy_has_no_key");
        }
        assert_eq!(decide(&world, id, "reject", false).await.status, 200);
        assert_eq!(claims(&world, &host, "waiting").await.len(), 0);
    }

    async fn b16_many_are_decided_each_by_itself(world) {
        let (host, first, _) = joined(&world).await;
        let copies = ["boot-a", "boot-b", "boot-c"].map(|boot_id| Copied::holding(&first, boot_id));
        for copy in &copies {
            copy.waits(&world, &host).await;
        }
        let waiting = claims(&world, &host, "waiting").await;
        let gone = json!({ "id": format!("claim_{}", "0".repeat(32)), "evidence_version": "x" });
        let stale = json!({ "id": waiting[1]["id"], "evidence_version": "not what was seen" });
        let decisions =
            [one(&waiting[0], "reject"), one(&stale, "new"), one(&waiting[2], "new")];
        let with_gone = json!({ "decisions": [one(&waiting[0], "reject"), one(&gone, "reject")] });
        world.admin("POST", "/v1/claims/decisions", Some(with_gone)).await.problem(404, "not_found");
        assert_eq!(claims(&world, &host, "waiting").await.len(), 3, "a request about nothing decides nothing");
        let decided = world.must("POST", "/v1/claims/decisions", Some(json!({ "decisions": decisions }))).await;
        let items = decided["items"].as_array().unwrap();
        let said: Vec<_> = items.iter().map(|item| (&item["state"], &item["refused"]["code"])).collect();
        let null = Value::Null;
        assert_eq!(
            said,
            [
                (&json!("rejected"), &null),
                (&null, &json!("claim_stale")),
                (&json!("new"), &null),
            ]
        );
        assert!(items[2]["result_host_id"].is_string());
        assert_eq!(claim(&world, waiting[1]["id"].as_str().unwrap()).await["state"], "waiting");
        // As often as it is sent: what was decided is decided.
        let again = world.must("POST", "/v1/claims/decisions", Some(json!({ "decisions": decisions }))).await;
        assert_eq!(again["items"][0]["refused"]["code"], "claim_not_waiting");
        let too_many: Vec<_> = (0..101).map(|_| one(&gone, "reject")).collect();
        let answer = world.admin("POST", "/v1/claims/decisions", Some(json!({ "decisions": too_many }))).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        // A stranger's decision finds nothing.
        let acme = world.team("acme").await;
        let foreign = json!({ "decisions": [one(&waiting[1], "reject")] });
        let answer = world.ask("POST", "/v1/claims/decisions", &acme.owner(), Some(foreign)).await;
        answer.problem(404, "not_found");
        assert_eq!(claim(&world, waiting[1]["id"].as_str().unwrap()).await["state"], "waiting");
    }

    /// The key of who decides it gets what they may not see: a claim is no way around that.
    async fn b16_secrets_go_along_with_a_replace_by_who_may_manage_them_only(world) {
        let (host, first, current) = joined(&world).await;
        let copy = Copied::holding(&first, "boot-a");
        let shown = claim(&world, &copy.waits(&world, &host).await).await;
        let path = format!("/v1/claims/{}/decision", shown["id"].as_str().unwrap());
        let mut decision = one(&shown, "replace");
        decision["with_secrets"] = json!(true);
        let many = json!({ "decisions": [decision] });
        decision.as_object_mut().unwrap().remove("claim_id");
        let scoped = async |scopes: &[&str]| {
            let body = json!({ "name": "scoped", "scopes": scopes });
            let minted = world.must("POST", "/v1/me/tokens", Some(body)).await;
            format!("authorization: Bearer {}\r\n", minted["token"].as_str().unwrap())
        };
        let decides = scoped(&["decide_claims"]).await;
        let (before, counted) = (all_of(&world, host.host_id).await, written(&world).await);
        let refused = world.ask("POST", &path, &decides, Some(decision.clone())).await;
        refused.problem(403, "forbidden");
        assert!(refused.text("detail").contains("manage secrets"), "{refused:?}");
        let refused = world.ask("POST", "/v1/claims/decisions", &decides, Some(many)).await;
        assert_eq!(refused.body["items"][0]["refused"]["code"], "forbidden", "{refused:?}");
        assert_eq!((all_of(&world, host.host_id).await, written(&world).await), (before, counted));
        let (_socket, _) = host.connect(&world, Some(current)).await;
        let both = scoped(&["decide_claims", "manage_secrets"]).await;
        let decided = world.ask("POST", &path, &both, Some(decision)).await;
        assert_eq!((decided.status, decided.text("state")), (200, "replaced".to_owned()), "{decided:?}");
        let machine = copy.host(&host.host_id.to_string());
        let mut socket = machine.dial(&world).await;
        let generation = socket.welcome(&machine, &world, None).await;
        assert_eq!(socket.acknowledge(&generation, json!([])).await.secrets.iter().count(), 1);
    }

    async fn a_rejected_start_stays_rejected_until_it_is_cleared(world) {
        let (host, first, _) = joined(&world).await;
        is_stale(&world, &host, Some(&first), "boot-a").await;
        let bare = the_claim(&world, &host).await["id"].as_str().unwrap().to_owned();
        assert_eq!(decide(&world, &bare, "reject", false).await.status, 200);
        let copy = Copied::holding(&first, "boot-a");
        copy.asks(&world, &host).await.problem(403, "claim_rejected");
        is_stale(&world, &host, Some(&first), "boot-a").await;
        assert_eq!(claims(&world, &host, "waiting").await.len(), 0);
        world.must("POST", &format!("/v1/claims/{bare}/clear"), None).await;
        assert_ne!(copy.waits(&world, &host).await, bare);
    }

    async fn retiring_or_leaving_closes_the_claims_of_copies(world) {
        for leaves in [false, true] {
            let host = world.join(if leaves { "leaves" } else { "retires" }, json!({})).await;
            let copy = Copied { cause: CopyCause::InstallIdDiffers, ..Copied::new("boot-a") };
            let claim_id = copy.waits(&world, &host).await;
            if leaves {
                let answer = host.post(&world, &format!("/v1/hosts/{}/leave", host.host_id), None).await;
                assert_eq!(answer.status, 200, "{answer:?}");
            } else {
                assert_eq!(world.retire(&host).await.status, 200);
            }
            assert_eq!(claim(&world, &claim_id).await["state"], "closed");
            decide(&world, &claim_id, "replace", false).await.problem(409, "claim_not_waiting");
            copy.asks(&world, &host).await.problem(401, "key_revoked");
            assert!(!is_held(&world, &host).await);
        }
    }

    async fn the_claim_of_a_copy_follows_its_host_to_another_site(world) {
        let (host, first, _) = joined(&world).await;
        let copy = Copied::holding(&first, "boot-a");
        let claim_id = copy.waits(&world, &host).await;
        let site = world.must("POST", "/v1/sites", Some(json!({ "name": "annex" }))).await;
        let to = json!({ "site_id": site["id"] });
        world.must("POST", &format!("/v1/hosts/{}/move", host.host_id), Some(to)).await;
        let moved = claim(&world, &claim_id).await;
        assert_eq!((&moved["state"], &moved["site_id"]), (&json!("waiting"), &site["id"]));
        assert_eq!(copy.waits(&world, &host).await, claim_id);
    }

    async fn two_verdicts_for_one_host_are_one_and_a_stale_one(world) {
        let (host, first, _) = joined(&world).await;
        let [a, b] = ["boot-a", "boot-b"].map(|boot_id| Copied::holding(&first, boot_id));
        let a_claim = claim(&world, &a.waits(&world, &host).await).await;
        let b_claim = claim(&world, &b.waits(&world, &host).await).await;
        let decisions = [one(&a_claim, "replace"), one(&b_claim, "replace")];
        let decided = world.must("POST", "/v1/claims/decisions", Some(json!({ "decisions": decisions }))).await;
        assert_eq!(decided["items"][0]["state"], "replaced", "{decided}");
        assert_eq!(decided["items"][1]["refused"]["code"], "claim_stale", "the host has another key by now");
        assert_eq!(a.asks(&world, &host).await.status, 200);
        b.waits(&world, &host).await;
    }

    async fn a_ticket_does_not_close_the_question_of_a_copy(world) {
        let (host, first, _) = joined(&world).await;
        let copy = Copied { uid: crate::clones::scene::uid("alpha"), ..Copied::holding(&first, "boot-a") };
        let claim_id = copy.waits(&world, &host).await;
        let machine = crate::world::Machine { key: copy.own, hostname: "alpha".to_owned(), uid: copy.uid };
        let ticket = world.enrolment_token(repo()).await;
        let answer = machine.enroll(&world, &ticket).await;
        assert_eq!((answer.status, answer.text("claim_id")), (202, claim_id.clone()), "{answer:?}");
        assert_eq!(claim(&world, &claim_id).await["state"], "waiting");
    }
}
