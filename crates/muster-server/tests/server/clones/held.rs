//! Held hosts: neither side gets or does anything until a person answered.

use std::time::Duration;

use muster_wire::channel::close;
use muster_wire::claim::CopyCause;
use serde_json::{Value, json};

use crate::clones::scene::{
    Copied, all_of, claims, decide, is_held, is_stale, joined, knock, says_goodbye, the_claim, written,
};
use crate::world::{Joined, Machine, Socket, World, both};

const LONG: Duration = Duration::from_secs(25 * 3600);

/// The thief was first: it went on with a copy of the current state while the machine was off, and fell silent; then the
/// machine came back. Returns the host, the state the machine holds, and the one the thief holds.
async fn thief_was_first(world: &World) -> (Joined, String, String) {
    let (host, _, current) = joined(world).await;
    world.clock.advance(LONG);
    let (socket, thief) = host.connect(world, Some(current.clone())).await;
    drop(socket);
    world.disconnected(&host).await;
    world.clock.advance(LONG);
    is_stale(world, &host, Some(&current), "boot-2").await;
    (host, current, thief)
}

async fn is_refused_everything(world: &World, host: &Joined, generation: &str) {
    let refused = host.heartbeat(world).await;
    refused.problem(403, "host_held");
    assert!(refused.header("retry-after").is_some());
    let leave = format!("/v1/hosts/{}/leave", host.host_id);
    host.post(world, &leave, None).await.problem(403, "host_held");
    let mut socket = knock(world, host, Some(generation), "boot-1").await;
    says_goodbye(&mut socket, "held", close::HELD).await;
}

async fn config_of(world: &World, host: &Joined, generation: Option<String>) -> (Socket, usize) {
    let mut socket = host.dial(world).await;
    let generation = socket.welcome(host, world, generation).await;
    let config = socket.acknowledge(&generation, json!([])).await;
    (socket, config.secrets.iter().count())
}

both! {
    async fn c10_a_host_whose_holder_was_not_seen_for_a_day_is_held_and_neither_side_gets_anything(world) {
        let (host, current, thief) = thief_was_first(&world).await;
        let shown = world.host(&host).await;
        let claim = the_claim(&world, &host).await;
        assert_eq!(shown["held"]["claim_id"], claim["id"], "it says why: {shown}");
        assert!(shown["held"]["held_at"].is_string());
        assert_eq!(claim["sighting"]["consequence"], "held");
        assert_eq!(world.events("host.held").await, [host.host_id.to_string()]);
        world.audited_times("host.held", 1).await;
        let before = all_of(&world, host.host_id).await;
        let job = json!({ "work": { "kind": "backup", "paths": ["/etc"] } });
        let job = world.must("POST", &format!("/v1/hosts/{}/jobs", host.host_id), Some(job)).await;
        is_refused_everything(&world, &host, &thief).await;
        // At its own door, too.
        let key = world.site_key().await;
        let again = Machine { key: host.key, hostname: "alpha".to_owned(), uid: crate::clones::scene::uid("alpha") };
        again.enroll(&world, &key).await.problem(403, "host_held");
        let host = Joined { key: again.key, host_id: host.host_id, hostname: host.hostname };
        // The older side is told that it is the older one, for it must make itself a key.
        is_stale(&world, &host, Some(&current), "boot-3").await;
        let job = world.must("GET", &format!("/v1/jobs/{}", job["id"].as_str().unwrap()), None).await;
        assert_eq!(job["state"], "queued", "no work for either");
        assert_eq!(all_of(&world, host.host_id).await, before);
    }

    async fn c10_the_same_start_holds_a_host_whose_holder_fell_silent_since(world) {
        let (host, first, current) = joined(&world).await;
        is_stale(&world, &host, Some(&first), "boot-a").await;
        let claim = the_claim(&world, &host).await;
        assert_eq!(claim["sighting"]["consequence"], "works_on");
        world.clock.advance(LONG);
        is_stale(&world, &host, Some(&first), "boot-a").await;
        assert!(is_held(&world, &host).await, "it was seen once before, while the holder was around");
        let again = the_claim(&world, &host).await;
        assert_eq!((&again["id"], &again["sighting"]["consequence"]), (&claim["id"], &json!("held")));
        assert_eq!(again["evidence_version"], claim["evidence_version"]);
        assert_eq!(world.events("host.held").await.len(), 1);
        is_refused_everything(&world, &host, &current).await;
        let counted = written(&world).await;
        is_stale(&world, &host, Some(&first), "boot-a").await;
        assert_eq!(written(&world).await, counted, "now that it stands so, nothing more is written");
        // A start that a person refused says nothing new about who is genuine.
        assert_eq!(decide(&world, claim["id"].as_str().unwrap(), "reject", false).await.status, 200);
        assert!(!is_held(&world, &host).await);
        is_stale(&world, &host, Some(&first), "boot-a").await;
        assert!(!is_held(&world, &host).await);
    }

    async fn c17_replace_for_the_genuine_machine_kills_the_thiefs_key(world) {
        let (host, current, thief) = thief_was_first(&world).await;
        let machine = Copied::holding(&current, "boot-2");
        let claim_id = machine.waits(&world, &host).await;
        assert_eq!(json!(claim_id), the_claim(&world, &host).await["id"], "one question");
        let decided = decide(&world, &claim_id, "replace", true).await;
        assert_eq!(decided.status, 200, "{decided:?}");
        assert!(!is_held(&world, &host).await);
        assert_eq!(world.events("host.freed").await, [host.host_id.to_string()]);
        let refused = host.heartbeat(&world).await;
        refused.problem(401, "key_revoked");
        let proof = host.proof(&world, "GET", "/v1/agent/connect", None);
        assert_eq!(Socket::open(&world, &proof).await.err(), Some(401), "holding {thief}");
        let answer = machine.asks(&world, &host).await;
        assert_eq!((answer.status, answer.text("host_id")), (200, host.host_id.to_string()), "{answer:?}");
        let machine = machine.host(&answer.text("host_id"));
        let (_socket, secrets) = config_of(&world, &machine, None).await;
        assert_eq!(secrets, 1);
        machine.heartbeat(&world).await;
    }

    async fn the_last_verdict_frees_the_host_and_no_earlier_one(world) {
        let (host, current, thief) = thief_was_first(&world).await;
        let machine = Copied::holding(&current, "boot-2").waits(&world, &host).await;
        is_stale(&world, &host, Some(&current), "boot-9").await;
        let waiting = claims(&world, &host, "waiting").await;
        let bare = waiting.iter().find(|claim| claim["id"] != json!(machine)).unwrap();
        let bare = bare["id"].as_str().unwrap().to_owned();
        assert_eq!(decide(&world, &bare, "reject", false).await.status, 200);
        is_refused_everything(&world, &host, &thief).await;
        assert_eq!(decide(&world, &machine, "reject", false).await.status, 200);
        assert!(!is_held(&world, &host).await, "the other one is genuine");
        assert_eq!(host.heartbeat(&world).await.status, 200);
        let (_socket, secrets) = config_of(&world, &host, Some(thief)).await;
        assert_eq!(secrets, 1);
    }

    async fn new_says_that_both_are_genuine_and_the_copy_gets_nothing_of_the_host(world) {
        let (host, current, thief) = thief_was_first(&world).await;
        let copy = Copied::holding(&current, "boot-2");
        let claim_id = copy.waits(&world, &host).await;
        assert_eq!(decide(&world, &claim_id, "new", false).await.status, 200);
        let answer = copy.asks(&world, &host).await;
        assert_ne!(answer.text("host_id"), host.host_id.to_string());
        let own = copy.host(&answer.text("host_id"));
        let (_socket, secrets) = config_of(&world, &own, None).await;
        assert_eq!(secrets, 0, "a copy brings no secrets along");
        let shown = world.host(&own).await;
        assert_eq!((&shown["tags"], &shown["ticket_id"]), (&json!([]), &Value::Null));
        assert!(!is_held(&world, &host).await);
        let (_socket, secrets) = config_of(&world, &host, Some(thief)).await;
        assert_eq!(secrets, 1);
    }

    async fn a_copy_of_a_held_host_waits_for_as_long_as_it_is_held(world) {
        let (host, current, thief) = thief_was_first(&world).await;
        world.clock.advance(Duration::from_secs(9 * 24 * 3600));
        muster_server::reconcile::expire(&world.app).await.unwrap();
        let claim = the_claim(&world, &host).await;
        let resumed = world.admin("POST", &format!("/v1/hosts/{}/resume", host.host_id), None).await;
        resumed.problem(409, "copy_waits");
        is_refused_everything(&world, &host, &thief).await;
        let decided = decide(&world, claim["id"].as_str().unwrap(), "reject", false).await;
        assert_eq!(decided.status, 200, "{decided:?}");
        assert!(!is_held(&world, &host).await);
        // A claim that holds nobody lapses.
        is_stale(&world, &host, Some(&current), "boot-7").await;
        assert_eq!(claims(&world, &host, "waiting").await.len(), 1, "it was seen a moment ago, or is held anew");
    }

    async fn a_claim_of_a_host_that_works_on_lapses_and_may_be_opened_again(world) {
        let (host, first, _) = joined(&world).await;
        let copy = Copied { cause: CopyCause::InstallIdDiffers, ..Copied::holding(&first, "boot-a") };
        let claim_id = copy.waits(&world, &host).await;
        world.clock.advance(Duration::from_secs(8 * 24 * 3600));
        decide(&world, &claim_id, "reject", false).await.problem(409, "claim_not_waiting");
        muster_server::reconcile::expire(&world.app).await.unwrap();
        let lapsed = world.must("GET", &format!("/v1/claims/{claim_id}"), None).await;
        assert_eq!(lapsed["state"], "expired");
        assert_ne!(copy.waits(&world, &host).await, claim_id);
    }

    async fn c10_a_site_may_suspend_a_copied_host_at_once_and_its_channel_is_cut(world) {
        let site = world.default_site().await;
        let policy = json!({ "policy": { "on_clone": "suspend" } });
        world.must("PUT", &format!("/v1/sites/{site}/policy"), Some(policy)).await;
        let (host, first, second) = joined(&world).await;
        let (mut socket, _) = host.connect(&world, Some(second)).await;
        let (_, ()) = tokio::join!(
            is_stale(&world, &host, Some(&first), "boot-a"),
            says_goodbye(&mut socket, "suspended", close::REVOKED)
        );
        let shown = world.host(&host).await;
        assert_eq!((&shown["state"], &shown["held"]), (&json!("suspended"), &Value::Null));
        host.heartbeat(&world).await.problem(403, "host_suspended");
        let copy = Copied::holding(&first, "boot-a");
        let claim_id = copy.waits(&world, &host).await;
        assert_eq!(the_claim(&world, &host).await["sighting"]["consequence"], "suspended");
        // Replacing its key is no way around the suspension.
        assert_eq!(decide(&world, &claim_id, "replace", false).await.status, 200);
        assert_eq!(world.host(&host).await["state"], "suspended");
        copy.asks(&world, &host).await.problem(403, "host_suspended");
        world.must("POST", &format!("/v1/hosts/{}/resume", host.host_id), None).await;
        assert_eq!(copy.asks(&world, &host).await.status, 200);
        host.heartbeat(&world).await.problem(401, "key_revoked");
    }

    async fn a_host_that_a_person_resumed_is_not_suspended_again_by_the_same_start(world) {
        let site = world.default_site().await;
        let policy = json!({ "policy": { "on_clone": "suspend" } });
        world.must("PUT", &format!("/v1/sites/{site}/policy"), Some(policy)).await;
        let (host, first, _) = joined(&world).await;
        let state = async || world.host(&host).await["state"].as_str().unwrap().to_owned();
        is_stale(&world, &host, Some(&first), "boot-a").await;
        assert_eq!(state().await, "suspended");
        world.must("POST", &format!("/v1/hosts/{}/resume", host.host_id), None).await;
        let counted = written(&world).await;
        is_stale(&world, &host, Some(&first), "boot-a").await;
        assert_eq!(written(&world).await, counted);
        Copied::holding(&first, "boot-a").waits(&world, &host).await;
        assert_eq!(state().await, "active");
        is_stale(&world, &host, Some(&first), "boot-b").await;
        assert_eq!(state().await, "suspended", "another start is another copy");
    }

    async fn a_rejoin_makes_every_copy_worthless_and_frees_the_host(world) {
        let (host, current, _) = thief_was_first(&world).await;
        let copy = Copied::holding(&current, "boot-5");
        let claim_id = copy.waits(&world, &host).await;
        let claim = world.must("GET", &format!("/v1/claims/{claim_id}"), None).await;
        let path = format!("/v1/hosts/{}/registration-token", host.host_id);
        let minted = world.must("POST", &path, Some(json!({ "rejoin": true }))).await;
        let machine = Machine::new("alpha");
        let answer = machine.enroll(&world, minted["token"].as_str().unwrap()).await;
        assert_eq!((answer.status, answer.text("host_id")), (200, host.host_id.to_string()), "{answer:?}");
        assert!(!is_held(&world, &host).await);
        host.heartbeat(&world).await.problem(401, "key_revoked");
        // The bare one is closed; the one with a key of its own waits, and must be looked at anew.
        assert_eq!(the_claim(&world, &host).await["id"], json!(claim_id));
        let decision = json!({ "verdict": "reject", "evidence_version": claim["evidence_version"] });
        let path = format!("/v1/claims/{claim_id}/decision");
        world.admin("POST", &path, Some(decision)).await.problem(409, "claim_stale");
        assert_eq!(copy.waits(&world, &host).await, claim_id, "what waits is answered, though the former key ended");
        assert_eq!(decide(&world, &claim_id, "reject", false).await.status, 200);
        copy.asks(&world, &host).await.problem(403, "claim_rejected");
        Copied::holding(&current, "boot-6").asks(&world, &host).await.problem(401, "key_revoked");
    }

    async fn reimage_auto_takes_over_no_held_host(world) {
        let site = world.default_site().await;
        let policy = json!({ "policy": { "reimage": "auto", "reimage_after_secs": 0 } });
        world.must("PUT", &format!("/v1/sites/{site}/policy"), Some(policy)).await;
        let host = world.join("alpha", json!({})).await;
        let (socket, first) = host.connect(&world, None).await;
        drop(socket);
        world.disconnected(&host).await;
        let (socket, _) = host.connect(&world, Some(first.clone())).await;
        drop(socket);
        world.disconnected(&host).await;
        world.clock.advance(LONG);
        is_stale(&world, &host, Some(&first), "boot-2").await;
        assert!(is_held(&world, &host).await);
        let key = world.site_key().await;
        let answer = Machine::new("alpha").enroll(&world, &key).await;
        assert_eq!((answer.status, &answer.body["reason"]), (202, &json!("reimage")), "{answer:?}");
    }
}
