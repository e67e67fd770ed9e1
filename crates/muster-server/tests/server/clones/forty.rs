//! Forty machines from one image of a machine that had joined: one works on, the others are questions.

use muster_testkit::canary::Canary;
use muster_wire::channel::{ServerMessage, close};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::clones::scene::{Copied, SECRET, all_of, claims, knock, repo};
use crate::world::{Told, both};

const MACHINES: usize = 40;

both! {
    async fn c10_forty_machines_of_one_image_are_one_host_and_39_claims_that_are_decided_together(world) {
        // The image: a machine that joined and was connected once.
        let host = world.join("alpha", repo()).await;
        let (socket, image) = host.connect(&world, None).await;
        drop(socket);
        world.disconnected(&host).await;
        // All of them start; one is the first.
        let (mut first, _) = host.connect(&world, Some(image.clone())).await;
        let secret = Canary::new("repository", SECRET);
        let before = all_of(&world, host.host_id).await;
        let enough = CancellationToken::new();
        let listening = enough.clone();
        // Listening answers pings.
        let listener = tokio::spawn(async move {
            tokio::select! {
                told = first.within(std::time::Duration::from_secs(120)) => panic!("the first was disturbed: {told:?}"),
                () = listening.cancelled() => first,
            }
        });
        let mut copies = Vec::new();
        for n in 1..MACHINES {
            let copy = Copied::holding(&image, &format!("boot-{n}"));
            let mut socket = knock(&world, &host, Some(&image), &copy.boot_id).await;
            loop {
                match socket.next().await {
                    Told::Message(message) => {
                        assert!(!secret.is_in(serde_json::to_string(&message).unwrap().as_bytes()));
                        assert!(matches!(*message, ServerMessage::Goodbye { .. }), "{message:?}");
                    }
                    Told::Closed(code, _) => {
                        assert!(matches!(code, close::GENERATION_STALE | close::FENCED), "{code}");
                        break;
                    }
                    Told::Gone => panic!("not told why"),
                }
            }
            let answer = copy.asks(&world, &host).await;
            assert_eq!(answer.status, 202, "{n}: {answer:?}");
            assert!(!secret.is_in(answer.raw_body.as_bytes()) && !answer.raw_body.contains("repo"));
            copies.push(copy);
        }
        assert_eq!(claims(&world, &host, "waiting").await.len(), MACHINES - 1);
        for copy in &copies {
            copy.waits(&world, &host).await;
        }
        assert_eq!(world.events("clone.suspected").await.len(), MACHINES - 1, "once for each");
        assert_eq!(all_of(&world, host.host_id).await, before, "nothing of the host changed");
        // One of them is wanted, the others are not.
        let waiting = claims(&world, &host, "waiting").await;
        let decisions: Vec<_> = waiting
            .iter()
            .map(|claim| {
                let is_wanted = claim["machine"]["key"] == json!(copies[0].key_name());
                let verdict = if is_wanted { "new" } else { "reject" };
                json!({ "claim_id": claim["id"], "verdict": verdict, "evidence_version": claim["evidence_version"] })
            })
            .collect();
        let decided = world.must("POST", "/v1/claims/decisions", Some(json!({ "decisions": decisions }))).await;
        let items = decided["items"].as_array().unwrap();
        assert!(items.iter().all(|item| item["refused"].is_null()), "{decided}");
        assert_eq!(items.iter().filter(|item| item["state"] == "rejected").count(), MACHINES - 2);
        let mut copies = copies.into_iter();
        let wanted = copies.next().unwrap();
        for copy in copies {
            copy.asks(&world, &host).await.problem(403, "claim_rejected");
        }
        let answer = wanted.asks(&world, &host).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let own = wanted.host(&answer.text("host_id"));
        let mut socket = own.dial(&world).await;
        let generation = socket.welcome(&own, &world, None).await;
        let config = socket.acknowledge(&generation, json!([])).await;
        assert!(!secret.is_in(serde_json::to_string(&config).unwrap().as_bytes()), "no secret reached any copy");
        assert_eq!(all_of(&world, host.host_id).await, before, "the host is byte for byte what it was");
        enough.cancel();
        let mut first = listener.await.unwrap();
        first.heartbeat().await;
        assert!(world.app.hub.is_connected(host.host_id));
    }
}
