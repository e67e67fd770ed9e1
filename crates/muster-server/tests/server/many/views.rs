//! `/v1/me/views`: of one person in one team.

use serde_json::{Value, json};

use crate::world::{World, both};

async fn names(world: &World, headers: &str) -> Vec<String> {
    let answer = world.ask("GET", "/v1/me/views", headers, None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let items = answer.body["items"].as_array().unwrap().clone();
    items.iter().map(|view| view["name"].as_str().unwrap().to_owned()).collect()
}

fn query(text: &str) -> Option<Value> {
    Some(json!({ "query": text }))
}

both! {
    async fn a_view_is_saved_changed_and_removed(world) {
        let set = world.must("PUT", "/v1/me/views/My%20servers", query("state=active&tag=x")).await;
        assert_eq!((&set["name"], &set["query"]), (&json!("My servers"), &json!("state=active&tag=x")));
        world.must("PUT", "/v1/me/views/a", query("q=web&held=true&seen_before=7d&seen_after=2026-01-01T00:00:00.000Z")).await;
        world.must("PUT", "/v1/me/views/My%20servers", query("state=suspended")).await;
        let listed = world.must("GET", "/v1/me/views", None).await;
        assert_eq!(listed["items"].as_array().unwrap().len(), 2);
        assert_eq!((&listed["items"][0]["name"], &listed["items"][0]["query"]), (&json!("My servers"), &json!("state=suspended")));
        assert_eq!(world.must("POST", "/v1/me/views/a/remove", None).await["name"], "a");
        world.admin("POST", "/v1/me/views/a/remove", None).await.problem(404, "not_found");
    }

    async fn only_what_the_list_of_hosts_takes_is_saved(world) {
        let put = async |text: &str| world.admin("PUT", "/v1/me/views/v", query(text)).await;
        for bad in ["sort=name", "state=gone", "tag=x&tag=y", "q=%zz", "door=4", "seen_before=yesterday", "seen_after=7", "held=maybe"] {
            put(bad).await.invalid("/query", "invalid_query");
        }
        for page in ["state=active&limit=5", "cursor=x"] {
            put(page).await.invalid("/query", "not_a_filter");
        }
        put("").await.invalid("/query", "empty");
        put(&format!("q={}", "x".repeat(511))).await.invalid("/query", "too_long");
        world.admin("PUT", &format!("/v1/me/views/{}", "n".repeat(65)), query("q=a")).await.problem(400, "invalid_path");
        assert!(names(&world, &format!("authorization: Bearer {}\r\n", world.admin)).await.is_empty());
    }

    async fn a_person_has_fifty_in_a_team_and_others_see_none_of_them(world) {
        for n in 0..50 {
            world.must("PUT", &format!("/v1/me/views/v{n}"), query("state=active")).await;
        }
        world.admin("PUT", "/v1/me/views/v50", query("state=active")).await.problem(409, "too_many_views");
        world.must("PUT", "/v1/me/views/v49", query("state=retired")).await;
        let team = world.team("two").await;
        assert!(names(&world, &team.owner()).await.is_empty());
        let elsewhere = format!("authorization: Bearer {}\r\nmuster-team: {}\r\n", world.admin, team.id);
        assert!(names(&world, &elsewhere).await.is_empty(), "each team has its own");
        let set = world.ask("PUT", "/v1/me/views/there", &elsewhere, query("state=active")).await;
        assert_eq!(set.status, 200, "{set:?}");
    }

    async fn views_go_with_their_person(world) {
        let team = world.team("two").await;
        let set = world.ask("PUT", "/v1/me/views/mine", &team.owner(), query("state=active")).await;
        assert_eq!(set.status, 200, "{set:?}");
        let admin = format!("authorization: Bearer {}\r\nmuster-team: {}\r\n", world.admin, team.id);
        let removed = world.ask("POST", &format!("/v1/people/{}/remove", team.owner_id), &admin, None).await;
        assert_eq!(removed.status, 200, "{removed:?}");
        assert!(world.stored(&["SELECT name FROM saved_view"], &[]).await.is_empty());
    }
}
