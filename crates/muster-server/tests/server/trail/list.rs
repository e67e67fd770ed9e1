//! `/v1/audit` from both ends.

use muster_server::reconcile;
use muster_server::unit::{Author, Fact};
use muster_store::Priority;
use muster_wire::happening::Happening;
use serde_json::Value;

use crate::trail::sealing::{act, seal};

use crate::world::{World, both};

async fn walk(world: &World, query: &str) -> Vec<i64> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.must("GET", &format!("/v1/audit?limit=3&{query}{cursor}"), None).await;
        found.extend(page["items"].as_array().unwrap().iter().map(position));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// Walks back from the newest for so many entries.
async fn walk_newest(world: &World, count: usize) -> Vec<i64> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    while found.len() < count {
        let path = format!("/v1/audit?action=key.rotated&order=desc&limit=3{cursor}");
        let page = world.must("GET", &path, None).await;
        found.extend(page["items"].as_array().unwrap().iter().map(position));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    found
}

fn position(entry: &Value) -> i64 {
    entry["position"].as_i64().unwrap()
}

async fn busy(world: &World) {
    for _ in 0..8 {
        world.site_key().await;
    }
    world.audited("ticket.minted").await;
}

both! {
    async fn the_newest_first_is_the_oldest_first_turned_round(world) {
        busy(&world).await;
        for filter in ["", "action=ticket.minted&"] {
            let oldest = walk(&world, filter).await;
            let newest = walk(&world, &format!("{filter}order=desc")).await;
            assert!(oldest.len() >= 8 && oldest.is_sorted());
            assert_eq!(newest.into_iter().rev().collect::<Vec<_>>(), oldest, "{filter}");
            assert_eq!(walk(&world, &format!("{filter}order=asc")).await, oldest);
        }
        let target = &world.audited("ticket.minted").await[3]["target"];
        let target = target.as_str().unwrap();
        assert_eq!(walk(&world, &format!("target={target}&order=desc")).await.len(), 1);
    }

    /// Positions are given in the order of commits, so a cursor passes nothing that comes later.
    async fn nothing_is_skipped_or_doubled_while_others_write(world) {
        act(&world, 1, 20).await;
        seal(&world).await;
        let first = walk(&world, "action=key.rotated&order=desc").await[0];
        let app = world.app.clone();
        let writers: Vec<_> = (0..4)
            .map(|writer: u32| {
                let app = app.clone();
                tokio::spawn(async move {
                    for n in 0..30 {
                        let now = app.clock.now();
                        let change = app.change(Priority::Normal, now, move |unit| {
                            let team_id = unit.tx.platform_team_id()?.unwrap();
                            unit.happened(Fact::new(Happening::KeyRotated, team_id, &Author::system(), writer * 1000 + n));
                            Ok(())
                        });
                        change.await.unwrap();
                        reconcile::seal(&app).await.unwrap();
                    }
                })
            })
            .collect();
        let (mut seen, mut after) = (Vec::new(), 0);
        while seen.len() < 140 {
            let path = format!("/v1/audit?action=key.rotated&limit=3&after={after}");
            let page = world.must("GET", &path, None).await;
            seen.extend(page["items"].as_array().unwrap().iter().map(position));
            after = seen.last().copied().unwrap_or(0);
            let newest = walk_newest(&world, 9).await;
            assert!(newest.windows(2).all(|pair| pair[0] > pair[1]), "{newest:?}");
            assert!(newest.len() < 9 || newest[0] - newest[8] >= 8, "doubled: {newest:?}");
        }
        for writer in writers {
            writer.await.unwrap();
        }
        seal(&world).await;
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "doubled: {seen:?}");
        assert_eq!(seen, walk(&world, "action=key.rotated").await, "skipped, of {first}");
    }

    async fn filters_are_told_apart_from_nonsense(world) {
        busy(&world).await;
        let all = walk(&world, "action=ticket.minted,site.created").await;
        assert!(all.len() >= 8);
        let me = world.must("GET", "/v1/me", None).await["user_id"].as_str().unwrap().to_owned();
        assert!(walk(&world, &format!("actor={me}&outcome=ok")).await.len() >= 8);
        assert_eq!(walk(&world, "until=2000-01-01T00:00:00.000Z").await, [0i64; 0]);
        assert_eq!(walk(&world, "since=2000-01-01T00:00:00.000Z&action=ticket.minted").await.len(), 8);
        for query in ["action=nothing.known", "action=", "since=yesterday", "host_id=web-1", "after=-1", "actor=%00"] {
            let answer = world.admin("GET", &format!("/v1/audit?{query}"), None).await;
            answer.problem(400, "invalid_query");
        }
    }

    async fn a_cursor_goes_on_in_its_own_order_only(world) {
        busy(&world).await;
        for (order, other) in [("asc", "desc"), ("desc", "asc")] {
            let page = world.must("GET", &format!("/v1/audit?limit=3&order={order}"), None).await;
            let cursor = page["next_cursor"].as_str().unwrap();
            let turned = world.admin("GET", &format!("/v1/audit?order={other}&cursor={cursor}"), None).await;
            turned.problem(400, "invalid_cursor");
        }
        assert_eq!(world.admin("GET", "/v1/audit?order=newest", None).await.status, 400);
    }
}
