//! `/v1/audit` from both ends.

use serde_json::Value;

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
