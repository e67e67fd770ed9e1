//! `GET /v1/hosts`: what a search finds, and how filters combine.

use std::time::Duration;

use muster_store::{Priority, StoreError, params};
use serde_json::json;

use crate::many::crowd;
use crate::world::{World, both};

async fn found(world: &World, query: &str) -> Vec<String> {
    let page = world.must("GET", &format!("/v1/hosts?{query}"), None).await;
    page["items"].as_array().unwrap().iter().map(|host| host["name"].as_str().unwrap().to_owned()).collect()
}

/// Lets the first host have an address, an agent and a name nobody else has.
async fn tell_apart(world: &World, id: muster_ids::HostId) {
    let facts = r#"{"os":"Debian 12","arch":"x86_64","cpu_cores":2,"memory_mb":2048,"disk_gb":20,"address":"10.1.2.3","versions":{"agent":"0.9.1","kernel":"6.1"}}"#;
    let written = world.app.store.write(Priority::Normal, move |tx| {
        tx.execute("UPDATE host SET facts = $1, name = 'Web 100%_a' WHERE id = $2", params![facts, id])
    });
    assert_eq!(written.await.map_err(|error: StoreError| error.to_string()), Ok(1));
}

both! {
    async fn a_search_finds_name_host_name_uid_address_and_tag(world) {
        let hosts = crowd(&world, 3).await;
        tell_apart(&world, hosts[0].host_id).await;
        let own = &hosts[0].hostname;
        let tags = json!({ "tags": ["lab"] });
        world.must("PUT", &format!("/v1/hosts/{}/tags", hosts[1].host_id), Some(tags)).await;
        let shown = world.host(&hosts[2]).await;
        let uid = shown["reported"]["machine_uid"].as_str().unwrap().to_owned();
        let digest = uid.split_once(':').unwrap().1.to_owned();
        for (search, expected) in [
            ("wEB".to_owned(), vec!["Web 100%25_a"]),
            (own.to_uppercase(), vec!["Web 100%25_a"]),
            ("10.1.2".to_owned(), vec!["Web 100%25_a"]),
            ("lab".to_owned(), vec![hosts[1].hostname.as_str()]),
            (uid[..20].to_owned(), vec![hosts[2].hostname.as_str()]),
            (digest[..12].to_uppercase(), vec![hosts[2].hostname.as_str()]),
            ("smbios:".to_owned(), vec!["Web 100%25_a", &hosts[1].hostname, &hosts[2].hostname]),
            ("la".to_owned(), vec![]),
            ("0.1.2".to_owned(), vec![]),
            ("%25".to_owned(), vec![]),
            ("_".to_owned(), vec![]),
            ("web+100%25_".to_owned(), vec!["Web 100%25_a"]),
            ("web+100__".to_owned(), vec![]),
            ("10.1.2.3%22,%22versions".to_owned(), vec![]),
        ] {
            let expected: Vec<String> = expected.iter().map(|name| name.replace("%25", "%")).collect();
            assert_eq!(found(&world, &format!("q={search}")).await, expected, "{search}");
        }
    }

    async fn a_name_finds_the_hosts_that_are_called_exactly_so(world) {
        let hosts = crowd(&world, 2).await;
        tell_apart(&world, hosts[0].host_id).await;
        let (site, own) = (world.default_site().await, &hosts[1].hostname);
        for _ in 0..3 {
            world.must("POST", "/v1/hosts", Some(json!({ "name": "twin", "tags": [own] }))).await;
        }
        for (query, expected) in [
            (format!("name={own}"), vec![own.as_str()]),
            ("name=Web+100%25_a".to_owned(), vec!["Web 100%_a"]),
            ("name=web+100%25_a".to_owned(), vec![]),
            ("name=Web".to_owned(), vec![]),
            ("name=10.1.2.3".to_owned(), vec![]),
            ("name=twin".to_owned(), vec!["twin", "twin", "twin"]),
            (format!("name=twin&tag={own}&site_id={site}&state=invited&limit=2"), vec!["twin", "twin"]),
            ("name=twin&state=active".to_owned(), vec![]),
            ("name=twin&tag=other".to_owned(), vec![]),
        ] {
            assert_eq!(found(&world, &query).await, expected, "{query}");
        }
        let page = world.must("GET", "/v1/hosts?name=twin&limit=2", None).await;
        let cursor = page["next_cursor"].as_str().unwrap();
        assert_eq!(found(&world, &format!("name=twin&cursor={cursor}")).await, ["twin"]);
        for bad in ["name=".to_owned(), format!("name={}", "n".repeat(254)), "name=a&name=b".to_owned()] {
            world.admin("GET", &format!("/v1/hosts?{bad}"), None).await.problem(400, "invalid_query");
        }
    }

    async fn filters_combine(world) {
        let hosts = crowd(&world, 3).await;
        tell_apart(&world, hosts[0].host_id).await;
        let names: Vec<&str> = hosts.iter().map(|host| host.hostname.as_str()).collect();
        world.must("POST", "/v1/hosts", Some(json!({ "name": "invited" }))).await;
        world.must("POST", &format!("/v1/hosts/{}/suspend", hosts[1].host_id), None).await;
        let held = hosts[2].host_id;
        let hold = world.app.store.write(Priority::Normal, move |tx| {
            tx.execute("UPDATE host SET held_at = 1 WHERE id = $1", params![held])
        });
        assert_eq!(hold.await.map_err(|error: StoreError| error.to_string()), Ok(1));
        for (query, expected) in [
            ("door=3", vec!["Web 100%_a", names[1], names[2]]),
            ("door=1", vec![]),
            ("door=3&state=suspended", vec![names[1]]),
            ("agent_version=0.9.1", vec!["Web 100%_a"]),
            ("agent_version=0.9", vec![]),
            ("agent_version=6.1", vec![]),
            ("held=true", vec![names[2]]),
            ("held=false&door=3", vec!["Web 100%_a", names[1]]),
            ("kind=shared&q=inv", vec!["invited"]),
            ("kind=team", vec![]),
            ("seen_after=2020-01-01T00:00:00.000Z&state=invited", vec![]),
            ("q=smbios&held=false&state=active&door=3&kind=shared", vec!["Web 100%_a"]),
        ] {
            assert_eq!(found(&world, query).await, expected, "{query}");
        }
        for bad in ["door=0", "door=4", "held=1", "kind=mine", "agent_version=", "seen_after=now", "q="] {
            world.admin("GET", &format!("/v1/hosts?{bad}"), None).await.problem(400, "invalid_query");
        }
    }

    async fn hosts_are_found_by_when_they_were_seen_also_before_that_is_written_down(world) {
        let hosts = crowd(&world, 2).await;
        let (socket, _) = hosts[0].connect(&world, None).await;
        let then = world.host(&hosts[0]).await["presence"]["last_seen_at"].as_str().unwrap().to_owned();
        let before = async |at: &str| found(&world, &format!("seen_before={at}")).await;
        assert_eq!(before(&then).await, [""; 0]);
        let late = world.app.clock.now().plus(Duration::from_secs(3600)).to_string();
        let is_there = [hosts[0].hostname.clone()];
        assert_eq!(found(&world, &format!("seen_after={late}")).await, [""; 0]);
        muster_server::reconcile::flush(&world.app).await.unwrap();
        assert_eq!(found(&world, &format!("seen_after={then}")).await, is_there);
        assert_eq!(before(&late).await, is_there);
        assert_eq!(found(&world, &format!("seen_after={then}&seen_before={late}&limit=1")).await, is_there);
        drop(socket);
        world.disconnected(&hosts[0]).await;
        assert_eq!(found(&world, "seen_after=5m").await, is_there);
        assert_eq!(before("5m").await, [""; 0]);
        world.clock.advance(Duration::from_secs(3600));
        assert_eq!(found(&world, "seen_after=59m59s").await, [""; 0], "an hour ago is said as of now");
        assert_eq!(found(&world, "seen_before=59m59s&seen_after=2h").await, is_there);
        for bad in ["seen_before=7", "seen_before=7y", "seen_before=-7d", "seen_before="] {
            let refused = world.admin("GET", &format!("/v1/hosts?{bad}"), None).await;
            refused.problem(400, "invalid_query");
            let expected = json!([{ "pointer": "seen_before", "code": "malformed" }]);
            assert_eq!(refused.body["errors"], expected, "{bad}");
        }
    }
}
