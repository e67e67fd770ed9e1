//! `/v1/audit/export`: whole or broken off, never silently short.

use std::time::Duration;

use muster_ids::TeamId;
use muster_server::unit::{Author, Fact};
use muster_store::Priority;
use muster_wire::happening::Happening;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::trail::sealing::{act, seal};
use crate::world::{World, both, until};

/// Takes a chunked body apart.
fn lines(raw: &str) -> Vec<Value> {
    let (mut text, mut rest) = (String::new(), raw);
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        text.push_str(&after[..size]);
        rest = after[size..].strip_prefix("\r\n").unwrap_or("");
    }
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn exported(world: &World, query: &str) -> Vec<Value> {
    let answer = world.admin("GET", &format!("/v1/audit/export{query}"), None).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/jsonl")),
        "{answer:?}"
    );
    assert!(answer.raw_body.ends_with("0\r\n\r\n"), "not whole");
    lines(&answer.raw_body)
}

/// Fills the trail with more than any buffer on the way holds.
async fn fill(world: &World) {
    for batch in 0..40_u32 {
        let change = world.app.change(Priority::Normal, world.app.clock.now(), move |unit| {
            let team_id: TeamId = unit.tx.platform_team_id()?.unwrap();
            for n in 0..50 {
                let fact = Fact::new(Happening::KeyRotated, team_id, &Author::system(), batch * 50 + n);
                unit.happened(fact.details(json!({ "padding": "x".repeat(8000) })));
            }
            Ok(())
        });
        change.await.unwrap();
        seal(world).await;
    }
}

both! {
    async fn an_export_holds_what_the_list_shows_and_is_written_down(world) {
        act(&world, 1, 450).await;
        seal(&world).await;
        let all = exported(&world, "").await;
        let listed = world.must("GET", "/v1/audit?limit=200", None).await;
        assert_eq!(all[..200], listed["items"].as_array().unwrap()[..]);
        assert!(all.windows(2).all(|pair| pair[0]["position"].as_u64() < pair[1]["position"].as_u64()));
        assert_eq!(exported(&world, "?action=key.rotated").await.len(), 450);
        assert_eq!(exported(&world, "?target=7").await.len(), 1);
        assert_eq!(exported(&world, "?all_teams=true&action=key.rotated").await.len(), 450);
        let entries = world.audited("audit.exported").await;
        assert_eq!(entries.len(), 4);
        assert_eq!(entries[1]["details"]["action"], json!(["key.rotated"]));
    }

    async fn no_page_of_another_site_has_an_export_written(world) {
        let bearer = format!("authorization: Bearer {}\r\n", world.admin);
        for (site, expected) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)] {
            let headers = format!("{bearer}sec-fetch-site: {site}\r\n");
            assert_eq!(world.ask("GET", "/v1/audit/export", &headers, None).await.status, expected, "{site}");
        }
        assert_eq!(world.audited("audit.exported").await.len(), 2);
    }

    async fn teams_are_apart_unless_an_admin_asks_for_all(world) {
        let team = world.team("workshop").await;
        let team_id = team.id.to_string();
        seal(&world).await;
        let own = lines(&world.ask("GET", "/v1/audit/export", &team.owner(), None).await.raw_body);
        assert!(!own.is_empty() && own.iter().all(|entry| entry["team_id"] == team_id.as_str()), "{own:?}");
        let of_platform = exported(&world, "").await;
        assert!(of_platform.iter().all(|entry| entry["team_id"] != team_id.as_str()));
        seal(&world).await;
        let all = exported(&world, "?all_teams=true").await;
        assert!(all.iter().any(|entry| entry["team_id"] == team_id.as_str()));
        let dense: Vec<u64> = (1..=all.len() as u64).collect();
        assert_eq!(all.iter().map(|entry| entry["position"].as_u64().unwrap()).collect::<Vec<_>>(), dense);
    }

    async fn a_download_that_is_cut_breaks_off(world) {
        fill(&world).await;
        let mut socket = TcpStream::connect(world.address).await.unwrap();
        let head = format!("GET /v1/audit/export HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n", world.admin);
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut begun = [0; 1024];
        socket.read_exact(&mut begun).await.unwrap();
        assert!(begun.starts_with(b"HTTP/1.1 200"));
        assert_eq!(world.app.streams.len(), 1);
        world.app.streams.end_all();
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut rest)).await.unwrap();
        assert!(read.is_err() || !rest.ends_with(b"0\r\n\r\n"), "cut, and yet it looks whole");
        assert!(rest.len() < 12_000_000, "{}", rest.len());
        until("its place is free", async || world.app.streams.is_empty()).await;
    }
}
