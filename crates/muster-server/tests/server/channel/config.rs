//! The configuration a host should have and has: shown, sent again until it is confirmed, written down together.

use futures_util::future::join_all;
use muster_server::auth::Agent;
use muster_server::host_config;
use serde_json::json;

use crate::channel::repo;
use crate::world::{World, both};

async fn config(world: &World, host_id: muster_ids::HostId) -> serde_json::Value {
    world.must("GET", &format!("/v1/hosts/{host_id}"), None).await["config"].clone()
}

both! {
    async fn a_host_shows_since_when_it_lacks_what_it_should_have(world) {
        let host = world.join("alpha", repo()).await;
        let before = config(&world, host.host_id).await;
        assert!(before["drifted_since"].is_string());
        assert_eq!((&before["applied"], &before["sent_times"]), (&json!(null), &json!(0)));
        let (mut socket, generation) = host.connect(&world, None).await;
        let path = format!("/v1/hosts/{}", host.host_id);
        let shown = world.becomes(&path, "/config/applied_at", "2027-01-15T08:00:00.000Z").await;
        assert_eq!(shown["config"]["drifted_since"], json!(null));
        assert_eq!(shown["config"]["wanted"], shown["config"]["applied"]);
        assert_eq!(shown["config"]["sent_times"], 1);

        world.clock.advance(std::time::Duration::from_secs(60));
        world.must("PUT", &format!("{path}/secrets/repo"), Some(json!({ "password": "another one" }))).await;
        let sent = socket.config().await;
        let drifted = config(&world, host.host_id).await;
        assert_eq!((&drifted["drifted_since"], &drifted["sent_times"]), (&json!("2027-01-15T08:01:00.000Z"), &json!(1)));
        assert_eq!(drifted["wanted"]["n"], sent.version.n);
        // Not confirmed: the same one comes again with the next connection, and is confirmed once.
        drop(socket);
        world.disconnected(&host).await;
        let mut socket = host.dial(&world).await;
        let generation = socket.welcome(&host, &world, Some(generation)).await;
        let again = socket.acknowledge(&generation, json!([])).await;
        assert_eq!((again.version, &again.digest), (sent.version, &sent.digest));
        let shown = world.becomes(&path, "/config/applied_at", "2027-01-15T08:01:00.000Z").await;
        assert_eq!((&shown["config"]["drifted_since"], &shown["config"]["sent_times"]), (&json!(null), &json!(2)));
        socket.apply(&again).await;
        world.audited_times("host_config.applied", 2).await;
        let listed = world.must("GET", "/v1/hosts", None).await;
        assert_eq!(listed["items"][0]["config"], shown["config"]);
        assert_eq!(world.retire(&host).await.status, 200);
        assert_eq!(config(&world, host.host_id).await, json!(null));
    }

    /// Many at once are read and written down together; who may not have it any more is refused alone.
    async fn configurations_that_go_at_once_cost_few_transactions(world) {
        const HOSTS: usize = 40;
        let key = world.site_key().await;
        let mut agents = Vec::new();
        for n in 0..HOSTS {
            let host = crate::world::Machine::new(&format!("m{n}")).join(&world, &key).await;
            let found = host.key_name();
            let row = world.app.look(move |tx| tx.agent_by_key(&found)).await.unwrap().unwrap();
            agents.push(Agent {
                host_id: host.host_id,
                team_id: row.team_id,
                key: host.key_name(),
                material: row.material,
                is_next: false,
                seq: row.seq,
                source: "-".to_owned(),
            });
        }
        let gone = agents[7].host_id;
        world.must("POST", &format!("/v1/hosts/{gone}/suspend"), None).await;
        let before = world.app.store.committed().transactions;
        let loads = agents.iter().map(|agent| host_config::load(&world.app, agent.key));
        let loaded: Vec<_> = join_all(loads).await.into_iter().map(Result::unwrap).collect();
        let version = loaded[0].as_ref().unwrap().config.version;
        let sends = agents.iter().map(|agent| host_config::sending(&world.app, agent, version, &[]));
        let sent: Vec<bool> = join_all(sends).await.iter().map(Result::is_ok).collect();
        for (place, agent) in agents.iter().enumerate() {
            let may = agent.host_id != gone;
            assert_eq!((loaded[place].is_some(), sent[place]), (may, may), "{place}");
            let times = if may { 1 } else { 0 };
            assert_eq!(config(&world, agent.host_id).await["sent_times"], times);
        }
        let written = world.app.store.committed().transactions - before;
        assert!(written <= HOSTS as u64 / 4, "{written} transactions for {HOSTS} hosts");
    }

    /// A copy gets nothing, but what its state folder was copied with it has.
    async fn what_a_copied_key_received_is_exposed_until_it_changes(world) {
        let host = world.join("alpha", repo()).await;
        let exposed = async || {
            let listed = world.must("GET", &format!("/v1/hosts/{}/secrets", host.host_id), None).await;
            listed["items"][0]["exposed"].as_bool().unwrap()
        };
        let (socket, copied) = host.connect(&world, None).await;
        drop(socket);
        world.disconnected(&host).await;
        let (socket, current) = host.connect(&world, Some(copied.clone())).await;
        drop(socket);
        world.disconnected(&host).await;
        let (_socket, _) = host.connect(&world, Some(current)).await;
        assert!(!exposed().await);
        world.clock.advance(std::time::Duration::from_secs(1));
        let mut copy = host.dial(&world).await;
        copy.boot_id = "boot-of-the-copy".to_owned();
        let claims = copy.claims(&host, &world, Some(copied));
        copy.hello(&host, &claims).await;
        copy.closes_with(muster_wire::channel::close::GENERATION_STALE).await;
        crate::world::until("the copy is noticed", async || exposed().await).await;
        assert_eq!(world.host(&host).await["exposed_secrets"], json!(["repo"]));
        world.clock.advance(std::time::Duration::from_secs(1));
        let changed = json!({ "password": "changed where it is used" });
        world.must("PUT", &format!("/v1/hosts/{}/secrets/repo", host.host_id), Some(changed)).await;
        assert!(!exposed().await);
    }
}
