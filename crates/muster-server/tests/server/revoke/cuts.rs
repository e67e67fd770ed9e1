//! What is open when a right ends is closed before the reply says so, and stays closed.

use std::time::Duration;

use muster_wire::channel::ServerMessage;
use serde_json::json;
use tokio::time::Instant;

use crate::keys::scene::{decide, repo, waiting};
use crate::revoke::{PROMISED, Watching, must_in, text};
use crate::world::{Joined, Machine, World, both};

#[derive(Debug, Clone, Copy)]
enum Act {
    RevokeKey,
    Suspend,
    Retire,
    Replace,
}

async fn act(world: &World, host: &Joined, act: Act, site_key: &str) {
    let path = format!("/v1/hosts/{}", host.host_id);
    let answer = match act {
        Act::RevokeKey => world.admin("POST", &format!("{path}/keys/{}/revoke", host.key_name()), None).await,
        Act::Suspend => world.admin("POST", &format!("{path}/suspend"), None).await,
        Act::Retire => world.retire(host).await,
        Act::Replace => {
            assert_eq!(Machine::new(&host.hostname).enroll(world, site_key).await.status, 202);
            let claim = text(&waiting(world).await[0], "id");
            decide(world, &claim, "replace", true).await
        }
    };
    assert_eq!(answer.status, 200, "{act:?}: {answer:?}");
}

fn p99(took: &mut [Duration]) -> Duration {
    took.sort_unstable();
    took[(took.len() * 99).div_ceil(100) - 1]
}

both! {
    async fn b20_hosts_are_cut_before_the_reply_and_refused_after_it(world) {
        let rounds = if std::env::var_os("MUSTER_SOAK").is_some() { 100 } else { 6 };
        let site_key = world.site_key().await;
        let mut took = Vec::new();
        for round in 0..rounds {
            for what in [Act::RevokeKey, Act::Suspend, Act::Retire, Act::Replace] {
                let host = Machine::new(&format!("{what:?}-{round}").to_lowercase()).join(&world, &site_key).await;
                let secret = format!("/v1/hosts/{}/secrets/repo", host.host_id);
                world.must("PUT", &secret, Some(repo()["repo"].clone())).await;
                let (mut socket, generation) = host.connect(&world, None).await;
                let begun = Instant::now();
                act(&world, &host, what, &site_key).await;
                took.push(begun.elapsed());
                assert!(!world.app.hub.is_connected(host.host_id), "{what:?}: cut before the reply");
                assert!(world.app.credentials.get(&host.key_name()).is_none(), "{what:?}");
                let words = socket.message().await;
                match what {
                    Act::Suspend => assert!(matches!(words, ServerMessage::Goodbye { .. }), "{words:?}"),
                    _ => assert!(matches!(words, ServerMessage::Revoked { .. }), "{what:?}: {words:?}"),
                }
                let refused = host.heartbeat(&world).await;
                match what {
                    Act::Suspend => refused.problem(403, "host_suspended"),
                    _ => refused.problem(401, "key_revoked"),
                }
                let proof = host.proof(&world, "GET", "/v1/agent/connect", None);
                assert!(world.ask("GET", "/v1/agent/connect", &proof, None).await.status >= 401, "{what:?}");
                drop(generation);
            }
        }
        let slowest = p99(&mut took);
        println!("revoke to refused, asked until answered: p99 {slowest:?} of {}", took.len());
        assert!(slowest < PROMISED, "{slowest:?}");
    }

    async fn b20_people_s_streams_are_cut_before_the_reply_and_refused_after_it(world) {
        let rounds = if std::env::var_os("MUSTER_SOAK").is_some() { 50 } else { 4 };
        let mut took = Vec::new();
        for round in 0..rounds {
            for what in ["role", "remove", "token"] {
                let team = world.team(&format!("{what}-{round}")).await;
                let owner = format!("/v1/people/{}", team.owner_id);
                let streams = [Watching::open(&world, &team.token).await, Watching::open(&world, &team.token).await];
                let begun = Instant::now();
                match what {
                    "role" => {
                        let body = json!({ "role": "viewer" });
                        must_in(&world, &team, "PUT", &format!("{owner}/role"), Some(body)).await;
                    }
                    "remove" => {
                        must_in(&world, &team, "POST", &format!("{owner}/remove"), None).await;
                    }
                    _ => {
                        let id = &team.token[4..16];
                        let path = format!("/v1/tokens/{id}/revoke");
                        assert_eq!(world.ask("POST", &path, &team.owner(), None).await.status, 200);
                    }
                }
                took.push(begun.elapsed());
                assert!(world.app.streams.is_empty(), "{what}: cut before the reply");
                for stream in streams {
                    assert!(stream.has_ended().await, "{what}");
                }
                let again = world.ask("GET", "/v1/sites", &team.owner(), None).await.status;
                // Who has another role has it at once; who has none, or no credential, has nothing.
                assert_eq!(again, if what == "role" { 200 } else { 401 }, "{what}");
            }
        }
        let slowest = p99(&mut took);
        println!("revoke to refused, people: p99 {slowest:?} of {}", took.len());
        assert!(slowest < PROMISED, "{slowest:?}");
    }

    async fn the_time_it_took_is_measured_for_hosts_and_people(world) {
        let count = async || {
            let metrics = world.app.metrics.render(world.app.store.committed()).unwrap();
            let line = metrics.lines().find(|line| line.starts_with("muster_revoke_to_refused_seconds_count")).unwrap();
            line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
        };
        let before = count().await;
        let host = world.join("alpha", repo()).await;
        assert_eq!(count().await, before, "nobody lost anything");
        world.must("POST", &format!("/v1/hosts/{}/suspend", host.host_id), None).await;
        assert_eq!(count().await, before + 1);
        let team = world.team("other").await;
        must_in(&world, &team, "POST", &format!("/v1/people/{}/remove", team.owner_id), None).await;
        assert_eq!(count().await, before + 2);
    }
}
