//! Old entries go, the chain stays.

use std::time::Duration;

use muster_server::reconcile;
use serde_json::{Value, json};

use crate::trail::sealing::{act, meddle, seal, trail};
use crate::world::{World, both};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn verified(world: &World, query: &str) -> Value {
    world.must("GET", &format!("/v1/audit/verify{query}"), None).await
}

both! {
    async fn what_is_dropped_for_its_age_leaves_a_chain_that_holds(world) {
        world.must("PUT", "/v1/settings", Some(json!({ "audit_keep_days": 30 }))).await;
        let set = &world.audited("setting.changed").await[0];
        assert_eq!((&set["changed"], &set["details"]["audit_keep_days"]["to"]), (&json!(["audit_keep_days"]), &json!(30)));
        for n in 0..3 {
            act(&world, 1 + n * 400, 400).await;
            seal(&world).await;
        }
        let old = verified(&world, "").await["head"].as_str().unwrap().to_owned();
        let last_old = trail(&world).await.last().unwrap().0;
        assert_eq!(reconcile::prune(&world.app).await.unwrap(), 0, "nothing is old enough");
        world.clock.advance(DAY * 20);
        act(&world, 5000, 3).await;
        seal(&world).await;
        let recent = verified(&world, "").await["head"].as_str().unwrap().to_owned();
        world.clock.advance(DAY * 12);
        assert_eq!(reconcile::prune(&world.app).await.unwrap(), last_old.unsigned_abs());
        seal(&world).await;
        assert_eq!(trail(&world).await[0].0, last_old + 1);
        assert_eq!(world.audited("audit.pruned").await.len(), 1, "one entry a run, however many chunks");
        let whole = verified(&world, &format!("?anchor={recent}")).await;
        assert_eq!((&whole["breaks"], &whole["anchor"], &whole["begin"]), (&json!([]), &json!("holds"), &json!(last_old)));
        assert_eq!(verified(&world, &format!("?anchor={old}")).await["anchor"], "holds", "the link that is kept");
        assert_eq!(verified(&world, "?anchor=3:0000000000000000").await["anchor"], "dropped");
        assert_eq!(reconcile::prune(&world.app).await.unwrap(), 0, "not before another day is over");
        // The beginning cannot be moved: what is kept of it is the server's.
        meddle(&world, "UPDATE installation SET value = (SELECT value FROM installation WHERE name = 'audit_head') WHERE name = 'audit_tail'").await;
        assert_eq!(verified(&world, "").await["breaks"][0]["kind"], "tail");
    }

    async fn who_makes_a_row_old_does_not_make_the_server_drop_it(world) {
        act(&world, 1, 20).await;
        seal(&world).await;
        let before = trail(&world).await.len();
        meddle(&world, "UPDATE audit SET at = 1").await;
        assert_eq!(reconcile::prune(&world.app).await.unwrap(), 0);
        assert_eq!(trail(&world).await.len(), before);
        assert_eq!(reconcile::prune(&world.app).await.unwrap(), 0);
        assert_eq!(world.events("audit.broken").await.len(), 1, "told once");
    }

    async fn settings_have_bounds(world) {
        let listed = world.must("GET", "/v1/settings", None).await;
        let keep = &listed["items"][0];
        assert_eq!((&keep["name"], &keep["value"], &keep["least"]), (&json!("audit_keep_days"), &json!(400), &json!(30)));
        let answer = world.admin("PUT", "/v1/settings", Some(json!({ "audit_keep_days": 29 }))).await;
        answer.invalid("/audit_keep_days", "out_of_range");
        assert_eq!(world.admin("PUT", "/v1/settings", Some(json!({ "audit_keep_hours": 40 }))).await.status, 422);
        world.must("PUT", "/v1/settings", Some(json!({}))).await;
        assert_eq!(world.audited("setting.changed").await.len(), 0, "nothing was changed");
    }
}
