//! SECURITY B17: people, invitations and tokens of another team are as absent as those that are not there.

use serde_json::{Value, json};

use crate::people::scene::{admin, invite, items, join, seen, team};
use crate::world::both;

const NOBODY: &str = "user_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5";
const NOTHING: &str = "zzzzzzzzzzzz";

both! {
    async fn b17_foreign_is_absent(world) {
        let (ops, lab) = (team(&world, "ops").await, team(&world, "lab").await);
        let victim = join(&world, &lab.owner, "victim", "viewer").await;
        let invitation = invite(&world, &lab.owner, "guest", "viewer").await;
        let invitation_id = invitation.split('_').nth(1).unwrap();
        let token_id = victim.token.split('_').nth(1).unwrap();
        let role = || Some(json!({ "role": "viewer" }));
        for (method, path, foreign, absent, body) in [
            ("GET", "/v1/people/{}", victim.id.as_str(), NOBODY, None),
            ("PUT", "/v1/people/{}/role", &victim.id, NOBODY, role()),
            ("PUT", "/v1/people/{}/role", &lab.owner.id, NOBODY, role()),
            ("POST", "/v1/people/{}/remove", &victim.id, NOBODY, None),
            ("POST", "/v1/invitations/{}/revoke", invitation_id, NOTHING, None),
            ("POST", "/v1/tokens/{}/revoke", token_id, NOTHING, None),
            ("POST", "/v1/me/tokens/{}/revoke", token_id, NOTHING, None),
        ] {
            let foreign = ops.owner.ask(&world, method, &path.replace("{}", foreign), body.clone()).await;
            let absent = ops.owner.ask(&world, method, &path.replace("{}", absent), body).await;
            foreign.problem(404, "not_found");
            assert_eq!(seen(&foreign), seen(&absent), "{method} {path}");
        }
        // Somebody of the same team is not the owner of a token, either.
        let peer = join(&world, &lab.owner, "peer", "viewer").await;
        let path = format!("/v1/me/tokens/{token_id}/revoke");
        peer.ask(&world, "POST", &path, None).await.problem(404, "not_found");
        for list in ["/v1/people", "/v1/invitations", "/v1/tokens", "/v1/me/tokens"] {
            let own = ops.owner.must(&world, "GET", list, None).await;
            let texts = own.to_string();
            for id in [victim.id.as_str(), lab.owner.id.as_str(), invitation_id, token_id, lab.id.as_str()] {
                assert!(!texts.contains(id), "{list} shows {id}");
            }
        }
        // A cursor of one team, or of another list, is none here.
        join(&world, &ops.owner, "member", "viewer").await;
        let page = ops.owner.must(&world, "GET", "/v1/people?limit=1", None).await;
        let cursor = page["next_cursor"].as_str().unwrap();
        lab.owner.ask(&world, "GET", &format!("/v1/people?cursor={cursor}"), None).await.problem(400, "invalid_cursor");
        let elsewhere = ops.owner.ask(&world, "GET", &format!("/v1/tokens?cursor={cursor}"), None).await;
        elsewhere.problem(400, "invalid_cursor");
        ops.owner.in_team(&lab.id).ask(&world, "GET", "/v1/people", None).await.problem(404, "not_found");
        // Nothing happened to anybody.
        assert_eq!(victim.ask(&world, "GET", "/v1/me", None).await.status, 200);
        let root = admin(&world).await.in_team(&lab.id);
        let invitations = items(&root.must(&world, "GET", "/v1/invitations", None).await);
        assert!(invitations.iter().any(|found| found["id"] == invitation_id && found["status"] == "open"));
    }

    async fn removed_people_are_shown_by_name_and_listed_no_more(world) {
        let ops = team(&world, "ops").await;
        let gone = join(&world, &ops.owner, "gone", "viewer").await;
        crate::people::scene::remove(&world, &ops.owner, &gone).await;
        let names: Vec<Value> =
            items(&ops.owner.must(&world, "GET", "/v1/people", None).await).iter().map(|p| p["name"].clone()).collect();
        assert_eq!(names, ["ops owner"]);
        let shown = ops.owner.must(&world, "GET", &format!("/v1/people/{}", gone.id), None).await;
        assert!(shown["name"].as_str().unwrap().starts_with("gone (removed "), "{shown}");
        assert!(shown["removed_at"].is_string() && shown["login"].is_null());
    }
}
