//! The list of members, and who may change whom.

use std::time::Duration;

use serde_json::{Value, json};

use crate::people::scene::{Person, admin, audited, invite, items, join, remove, set_role, team};
use crate::world::both;

both! {
    async fn members_are_listed_page_by_page(world) {
        let ops = team(&world, "ops").await;
        for n in 0..4 {
            world.clock.advance(Duration::from_secs(1));
            join(&world, &ops.owner, &format!("member{n}"), "viewer").await;
        }
        let mut seen = Vec::new();
        let mut path = "/v1/people?limit=2".to_owned();
        loop {
            let page = ops.owner.must(&world, "GET", &path, None).await;
            seen.extend(items(&page).iter().map(|person| person["name"].as_str().unwrap().to_owned()));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/v1/people?limit=2&cursor={cursor}");
        }
        assert_eq!(seen, ["ops owner", "member0", "member1", "member2", "member3"]);
        let first = &items(&ops.owner.must(&world, "GET", "/v1/people?limit=2", None).await)[1];
        assert_eq!(first["role"], "viewer");
        assert_eq!(first["login"], "member0");
        assert_eq!(first["has_second_factor"], false);
        assert!(first["signed_in_at"].is_string() && first["removed_at"].is_null(), "{first}");
        let path = format!("/v1/people/{}", first["id"].as_str().unwrap());
        assert_eq!(&ops.owner.must(&world, "GET", &path, None).await, first);
    }

    async fn k13_nobody_makes_or_changes_somebody_mightier(world) {
        let root = admin(&world).await;
        let second = join(&world, &root, "second", "admin").await;
        let helper = join(&world, &root, "helper", "operator").await;
        let ops = team(&world, "ops").await;
        let operator = join(&world, &ops.owner, "operator", "operator").await;
        let viewer = join(&world, &ops.owner, "viewer", "viewer").await;
        for weak in [&operator, &viewer] {
            set_role(&world, weak, &viewer, "owner").await.problem(403, "forbidden");
            set_role(&world, weak, &ops.owner, "viewer").await.problem(403, "forbidden");
            remove(&world, weak, &ops.owner).await.problem(403, "forbidden");
            let invitation = json!({ "name": "x", "role": "viewer" });
            weak.ask(&world, "POST", "/v1/invitations", Some(invitation)).await.problem(403, "forbidden");
            weak.ask(&world, "GET", "/v1/invitations", None).await.problem(403, "forbidden");
            weak.ask(&world, "GET", "/v1/tokens", None).await.problem(403, "forbidden");
        }
        set_role(&world, &helper, &second, "viewer").await.problem(403, "forbidden");
        set_role(&world, &ops.owner, &viewer, "admin").await.invalid("/role", "does_not_fit_team");
        set_role(&world, &root, &helper, "owner").await.invalid("/role", "does_not_fit_team");
        set_role(&world, &root.in_team(&ops.id), &viewer, "admin").await.invalid("/role", "does_not_fit_team");
        assert_eq!(set_role(&world, &ops.owner, &viewer, "operator").await.status, 200);
        assert_eq!(set_role(&world, &root.in_team(&ops.id), &viewer, "owner").await.status, 200);
        let facts = audited(&world, &ops.owner, "person.role_set").await;
        assert_eq!(facts.len(), 2);
        assert_eq!(facts[0]["changed"], json!(["role"]));
        let actors: Vec<&Value> = facts.iter().map(|fact| &fact["actor"]).collect();
        assert!(actors.contains(&&json!(root.id)) && actors.contains(&&json!(ops.owner.id)), "{facts:?}");
    }

    /// A token that may manage people, of somebody who may, still makes nobody: that would be more than its scopes.
    async fn a_scoped_token_makes_and_changes_nobody(world) {
        let ops = team(&world, "ops").await;
        let viewer = join(&world, &ops.owner, "viewer", "viewer").await;
        let scoped = ops.owner.with_scopes(&world, &["manage_people", "see_people"]).await;
        set_role(&world, &scoped, &viewer, "owner").await.problem(403, "beyond_reach");
        remove(&world, &scoped, &viewer).await.problem(403, "beyond_reach");
        for role in ["viewer", "operator", "owner"] {
            let body = json!({ "name": "x", "role": role });
            scoped.ask(&world, "POST", "/v1/invitations", Some(body)).await.problem(403, "beyond_reach");
        }
        // The scope alone gives nothing to somebody whose role does not have it.
        let body = json!({ "name": "x", "scopes": ["manage_people"] });
        viewer.ask(&world, "POST", "/v1/me/tokens", Some(body)).await.problem(403, "beyond_reach");
        let root = admin(&world).await;
        let teams = root.with_scopes(&world, &["manage_teams", "see_teams"]).await;
        let path = format!("/v1/teams/{}/owners", ops.id);
        teams.ask(&world, "POST", &path, Some(json!({ "name": "x" }))).await.problem(403, "beyond_reach");
    }

    async fn the_last_admin_and_the_last_owner_stay(world) {
        let root = admin(&world).await;
        set_role(&world, &root, &root, "viewer").await.problem(409, "own_role");
        remove(&world, &root, &root).await.problem(409, "last_admin");
        let second = join(&world, &root, "second", "admin").await;
        set_role(&world, &second, &second, "viewer").await.problem(409, "own_role");
        let ops = team(&world, "ops").await;
        remove(&world, &ops.owner, &ops.owner).await.problem(409, "last_owner");
        set_role(&world, &ops.owner, &ops.owner, "viewer").await.problem(409, "own_role");
        let heir = join(&world, &ops.owner, "heir", "owner").await;
        assert_eq!(remove(&world, &ops.owner, &ops.owner).await.status, 200, "another owner stays");
        ops.owner.ask(&world, "GET", "/v1/me", None).await.problem(401, "unauthorized");
        remove(&world, &heir, &heir).await.problem(409, "last_owner");
        assert_eq!(set_role(&world, &root.in_team(&ops.id), &heir, "viewer").await.status, 200, "an admin may");
        assert_eq!(remove(&world, &root.in_team(&ops.id), &heir).await.status, 200);
        assert_eq!(remove(&world, &root, &second).await.status, 200);
        remove(&world, &root, &root).await.problem(409, "last_admin");
    }

    /// SECURITY B20: sessions and what somebody invited end with their role; tokens may what the new role may.
    async fn b20_a_role_takes_its_rights_along(world) {
        let root = admin(&world).await;
        let ops = team(&world, "ops").await;
        let owner = join(&world, &ops.owner, "second", "owner").await;
        let invitation = invite(&world, &owner, "accomplice", "owner").await;
        let stream = world.app.streams.open(owner.id.parse().unwrap(), crate::people::tokens::credential(&owner)).unwrap();
        assert_eq!(owner.browse(&world, "GET", "/v1/me", None).await.status, 200);
        let cut = stream.cut().clone();
        let closing = tokio::spawn(async move { cut.cancelled().await; drop(stream); });
        assert_eq!(set_role(&world, &ops.owner, &owner, "viewer").await.status, 200);
        assert!(closing.is_finished() && world.app.streams.is_empty(), "cut before the reply");
        owner.browse(&world, "GET", "/v1/me", None).await.problem(401, "unauthorized");
        let me = owner.must(&world, "GET", "/v1/me", None).await;
        assert_eq!(me["role"], "viewer");
        let body = json!({ "name": "x", "role": "viewer" });
        owner.ask(&world, "POST", "/v1/invitations", Some(body)).await.problem(403, "forbidden");
        crate::people::scene::accept(&world, &invitation, "mallory", "").await.problem(401, "invitation_rejected");
        // The same role again is no change, and ends nothing.
        assert_eq!(set_role(&world, &root.in_team(&ops.id), &ops.owner, "owner").await.status, 200);
        assert_eq!(audited(&world, &ops.owner, "person.role_set").await.len(), 1);
        assert_eq!(Person::with(&ops.owner.token).ask(&world, "GET", "/v1/me", None).await.status, 200);
    }
}
