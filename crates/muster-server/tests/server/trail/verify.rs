//! Whoever can write to the database changes the trail; `verify` says where and how.

use muster_server::trail::verify::{Asked, verify};
use muster_store::{Priority, Tx, Value as Sql, params};
use muster_wire::audit::AuditVerification;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::trail::sealing::{act, meddle, seal, trail};
use crate::world::{World, both};

async fn verified(world: &World, query: &str) -> Value {
    world.must("GET", &format!("/v1/audit/verify{query}"), None).await
}

/// Returns `kind position` of every break, whatever the size of the parts.
async fn breaks(world: &World) -> Vec<String> {
    let whole = verified(world, "").await;
    assert_eq!(whole["is_end"], true, "{whole}");
    let (mut after, mut in_parts) = (0, 0);
    loop {
        let part = verified(world, &format!("?after={after}&limit=7")).await;
        in_parts += part["breaks"].as_array().unwrap().len();
        if part["is_end"] == true {
            break;
        }
        after = part["through"].as_u64().unwrap();
    }
    let found = whole["breaks"].as_array().unwrap();
    assert_eq!(found.is_empty(), in_parts == 0, "in parts it looks different: {whole}");
    let said = |found: &Value| match found["until"].as_u64() {
        Some(until) => format!("{} {}-{until}", found["kind"].as_str().unwrap(), found["position"]),
        None => format!("{} {}", found["kind"].as_str().unwrap(), found["position"]),
    };
    found.iter().map(said).collect()
}

async fn meddle_with(world: &World, sql: &'static str, values: Vec<Sql>) {
    let write = world.app.store.write(Priority::Normal, move |tx: &mut Tx<'_>| tx.execute(sql, &values));
    assert_eq!(write.await.unwrap(), 1, "{sql}");
}

/// Verifies like a process that remembers nothing.
async fn by_a_stranger(world: &World, anchor: Option<&str>) -> AuditVerification {
    let (keyring, anchor) = (world.app.keyring.clone(), anchor.map(|anchor| anchor.parse().unwrap()));
    let asked = Asked { after: 0, limit: 1000, anchor, remembered: None };
    world.app.look(move |tx| verify(tx, &keyring, asked)).await.unwrap()
}

/// Writes rows and returns the position of the first and the last of them.
async fn written(world: &World, count: u32) -> (i64, i64) {
    act(world, 1, count).await;
    seal(world).await;
    let last = trail(world).await.last().unwrap().0;
    (last - i64::from(count) + 1, last)
}

async fn swap(world: &World, one: i64, other: i64) {
    const MOVE: &str = "UPDATE audit SET position = $1 WHERE position = $2";
    for (to, from) in [(1_000_000, one), (one, other), (other, 1_000_000)] {
        meddle_with(world, MOVE, params![to, from].to_vec()).await;
    }
}

both! {
    async fn an_honest_trail_holds(world) {
        let (_, last) = written(&world, 25).await;
        assert_eq!(breaks(&world).await, [""; 0]);
        let whole = verified(&world, "").await;
        assert_eq!((whole["through"].as_i64(), whole["checked"].as_i64()), (Some(last), Some(last)), "{whole}");
        let head = whole["head"].as_str().unwrap();
        assert!(head.starts_with(&format!("{last}:")), "{head}");
        act(&world, 100, 5).await;
        seal(&world).await;
        assert_eq!(verified(&world, &format!("?anchor={head}")).await["anchor"], "holds");
        assert_eq!(verified(&world, "?anchor=3:0000000000000000").await["anchor"], "broken");
        assert_eq!(verified(&world, "?anchor=99999:0000000000000000").await["anchor"], "broken");
        for query in ["?anchor=3", "?anchor=3:00", "?limit=0", "?limit=1001", "?after=-1"] {
            world.admin("GET", &format!("/v1/audit/verify{query}"), None).await.problem(400, "invalid_query");
        }
    }

    async fn a_change_of_any_column_is_found_where_it_is(world) {
        let (first, _) = written(&world, 60).await;
        let mut expected = Vec::new();
        for (index, change) in [
            "UPDATE audit SET id = team_id WHERE position = $1",
            "UPDATE audit SET team_id = id WHERE position = $1",
            "UPDATE audit SET at = at + 1 WHERE position = $1",
            "UPDATE audit SET actor = actor || 'x' WHERE position = $1",
            "UPDATE audit SET source = '' WHERE position = $1",
            "UPDATE audit SET action = 'key.rotatee' WHERE position = $1",
            "UPDATE audit SET target = target || '0' WHERE position = $1",
            "UPDATE audit SET outcome = 'oK' WHERE position = $1",
            "UPDATE audit SET details = details || ' ' WHERE position = $1",
            "UPDATE audit SET role = NULL WHERE position = $1",
            "UPDATE audit SET role = 'admin' WHERE position = $1",
            "UPDATE audit SET changed = NULL WHERE position = $1",
            "UPDATE audit SET changed = '[\"x\"]' WHERE position = $1",
            "UPDATE audit SET role = NULL, changed = NULL WHERE position = $1",
            "UPDATE audit SET host_id = id WHERE position = $1",
            "UPDATE audit SET mac = (SELECT mac FROM audit WHERE position = 1) WHERE position = $1",
            "UPDATE audit SET mac = NULL WHERE position = $1",
        ]
        .into_iter()
        .enumerate()
        {
            let position = first + 2 + 3 * index as i64;
            meddle_with(&world, change, params![position].to_vec()).await;
            expected.push(format!("changed {position}"));
            let found = breaks(&world).await;
            let places = |of: &[String]| -> Vec<String> {
                of.iter().map(|text| text.split(' ').nth(1).unwrap().to_owned()).collect()
            };
            assert_eq!(places(&found), places(&expected), "{change}: {found:?}");
        }
    }

    async fn a_row_that_is_gone_is_missing(world) {
        let (first, _) = written(&world, 20).await;
        meddle_with(&world, "DELETE FROM audit WHERE position = $1", params![first + 5].to_vec()).await;
        assert_eq!(breaks(&world).await, [format!("missing {}", first + 5)]);
    }

    async fn a_row_that_is_gone_is_found_though_the_others_close_up(world) {
        let (first, last) = written(&world, 6).await;
        meddle_with(&world, "DELETE FROM audit WHERE position = $1", params![first + 2].to_vec()).await;
        for position in first + 3..=last {
            const MOVE: &str = "UPDATE audit SET position = position - 1 WHERE position = $1";
            meddle_with(&world, MOVE, params![position].to_vec()).await;
        }
        let found = breaks(&world).await;
        // What it was sealed after is nowhere any more; the rows after it are found in other places.
        assert_eq!(found[0], format!("changed {}", first + 2), "{found:?}");
        assert_eq!(found[1], format!("moved {}", first + 3), "{found:?}");
        assert_eq!(found.last().unwrap(), &format!("truncated {last}"), "{found:?}");
    }

    async fn rows_that_changed_places_are_found_at_both(world) {
        let (first, _) = written(&world, 40).await;
        swap(&world, first + 3, first + 4).await;
        assert_eq!(breaks(&world).await, [format!("moved {}", first + 3), format!("moved {}", first + 4)]);
        swap(&world, first + 3, first + 4).await;
        assert_eq!(breaks(&world).await, [""; 0]);
        swap(&world, first + 2, first + 30).await;
        let found = breaks(&world).await;
        for position in [first + 2, first + 30] {
            assert!(found.contains(&format!("moved {position}")), "{found:?}");
        }
    }

    async fn a_forged_row_is_found_sealed_or_not(world) {
        let (_, last) = written(&world, 10).await;
        const FORGE: &str = "INSERT INTO audit (id, team_id, at, actor, source, action, target, outcome, details,
                                                role, changed, position, mac)
             SELECT $1, team_id, at, actor, source, action, 'forged', outcome, details, role, changed, $2, $3
               FROM audit WHERE position = 3";
        let id = |n: u128| Sql::Uuid(Uuid::from_u128(n));
        meddle_with(&world, FORGE, vec![id(1), Sql::Integer(last + 1), Sql::Bytes(vec![5; 32])]).await;
        assert_eq!(breaks(&world).await, [format!("inserted {}", last + 1)], "beyond the head");
        // What follows it was sealed as if it were not there.
        act(&world, 50, 2).await;
        seal(&world).await;
        assert_eq!(breaks(&world).await, [format!("inserted {}", last + 1)], "before the head");
        // A row that waits for its place like an honest one is sealed for what it is.
        meddle_with(&world, FORGE, vec![id(2), Sql::Null, Sql::Null]).await;
        seal(&world).await;
        let place = world.audited("key.rotated").await.iter().rfind(|entry| entry["target"] == "forged")
            .unwrap()["position"].as_i64().unwrap();
        assert_eq!(breaks(&world).await, [format!("inserted {}", last + 1), format!("inserted {place}")]);
        let told = world.audited("audit.broken").await;
        assert_eq!(told.last().unwrap()["details"]["inserted"], 1, "{told:?}");
    }

    async fn a_row_that_is_changed_before_it_is_sealed_is_not_the_servers(world) {
        written(&world, 3).await;
        act(&world, 77, 1).await;
        meddle(&world, "UPDATE audit SET target = '78' WHERE target = '77'").await;
        seal(&world).await;
        let found = breaks(&world).await;
        assert!(found.len() == 1 && found[0].starts_with("inserted "), "{found:?}");
    }

    async fn a_tail_that_is_cut_is_missed_and_a_head_cannot_be_forged(world) {
        let (_, last) = written(&world, 10).await;
        let head = verified(&world, "").await["head"].as_str().unwrap().to_owned();
        let read = world.app.look(|tx| tx.query_one("SELECT value FROM installation WHERE name = 'audit_head'", params![], |row| row.get::<Vec<u8>>(0)));
        let kept_then = read.await.unwrap();
        act(&world, 50, 5).await;
        seal(&world).await;
        let anchor = verified(&world, "").await["head"].as_str().unwrap().to_owned();
        const CUT: &str = "DELETE FROM audit WHERE target IN ('50', '51', '52', '53', '54')";
        meddle(&world, CUT).await;
        assert_eq!(breaks(&world).await, [format!("truncated {}-{}", last + 1, last + 5)]);
        // A head of their own making.
        const REWRITE: &str = "UPDATE installation SET value = $1 WHERE name = 'audit_head'";
        let mut forged = last.to_be_bytes().to_vec();
        forged.extend([3; 64]);
        meddle_with(&world, REWRITE, params![forged].to_vec()).await;
        assert_eq!(breaks(&world).await, [format!("head {last}")]);
        // The head of an earlier time: this process remembers, another one needs an anchor.
        meddle_with(&world, REWRITE, params![kept_then].to_vec()).await;
        assert_eq!(breaks(&world).await, [format!("truncated {}-{}", last + 1, last + 5)]);
        let strange = by_a_stranger(&world, Some(&anchor)).await;
        assert_eq!((strange.breaks.len(), strange.anchor), (0, Some(muster_wire::audit::AnchorState::Broken)));
        assert_eq!(by_a_stranger(&world, Some(&head)).await.anchor, Some(muster_wire::audit::AnchorState::Holds));
        // Nothing goes on silently from the earlier head.
        world.clock.advance(std::time::Duration::from_secs(11));
        seal(&world).await;
        assert_eq!(world.events("audit.broken").await, ["audit"], "an idle server tells of it, too");
        assert_eq!(trail(&world).await.last().unwrap().0, last + 6, "places are given again");
    }

    async fn an_emptied_trail_does_not_hold(world) {
        written(&world, 5).await;
        meddle(&world, "DELETE FROM audit").await;
        meddle(&world, "DELETE FROM installation WHERE name = 'audit_head'").await;
        assert_eq!(by_a_stranger(&world, None).await.breaks.len(), 1);
        assert!(!breaks(&world).await.is_empty());
    }

    async fn a_trail_that_was_wiped_while_the_server_was_stopped_is_told(world) {
        written(&world, 5).await;
        meddle(&world, "DELETE FROM audit").await;
        meddle(&world, "DELETE FROM installation WHERE name = 'audit_head'").await;
        let restarted = world.with_outbound(&[]).await;
        muster_server::reconcile::seal(&restarted).await.unwrap();
        let told = restarted.look(|tx| tx.query("SELECT subject FROM outbox WHERE kind = 'audit.broken'", params![], |row| row.get::<String>(0)));
        assert_eq!(told.await.unwrap(), ["audit"]);
    }

    async fn what_waits_for_its_place_is_counted(world) {
        seal(&world).await;
        act(&world, 1, 3).await;
        assert_eq!(verified(&world, "").await["unsealed"], 3);
        seal(&world).await;
        assert_eq!(verified(&world, "").await["unsealed"], 0);
    }

    async fn only_who_manages_the_trail_verifies_it(world) {
        let team = world.must("POST", "/v1/teams", Some(json!({ "name": "workshop" }))).await;
        let path = format!("/v1/teams/{}/owners", team["id"].as_str().unwrap());
        let owner = world.must("POST", &path, Some(json!({ "name": "Bob" }))).await;
        let bearer = format!("authorization: Bearer {}\r\n", owner["token"].as_str().unwrap());
        world.ask("GET", "/v1/audit/verify", &bearer, None).await.problem(403, "forbidden");
        world.ask("GET", "/v1/audit/export?all_teams=true", &bearer, None).await.problem(403, "forbidden");
        assert_eq!(world.ask("GET", "/v1/audit/export", &bearer, None).await.status, 200);
    }
}
