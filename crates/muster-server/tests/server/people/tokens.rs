//! API tokens: none may more than its maker, and none outlives a revocation.

use std::time::Duration;

use muster_ids::{Bearer, TeamId, TokenId, UserId};
use muster_server::auth::Credential;
use muster_store::Priority;
use muster_store::rows::OperatorTokenRow;
use serde_json::json;

use crate::people::scene::{Person, accept, admin, audited, ids_of, items, join, set_role, team};
use crate::world::{World, both};

/// The credential behind somebody's token.
pub(crate) fn credential(person: &Person) -> Credential {
    Credential::Token(TokenId::new(Bearer::parse(&person.token).unwrap().id))
}

fn id(person: &Person) -> String {
    person.token.split('_').nth(1).unwrap().to_owned()
}

async fn mint(world: &World, by: &Person, body: serde_json::Value) -> Person {
    let minted = by.must(world, "POST", "/v1/me/tokens", Some(body)).await;
    Person { token: minted["token"].as_str().unwrap().to_owned(), team: None, ..by.clone() }
}

both! {
    async fn a_token_is_shown_once_and_lapses(world) {
        let root = admin(&world).await;
        world.clock.advance(Duration::from_secs(1));
        let body = json!({ "name": "ci", "scopes": ["see_fleet", "own_account"] });
        let minted = root.ask_once(&world, "POST", "/v1/me/tokens", Some(body.clone()), "key-minted-1").await;
        let again = root.ask_once(&world, "POST", "/v1/me/tokens", Some(body), "key-minted-1").await;
        assert_eq!((minted.status, &minted.raw_body), (201, &again.raw_body));
        let shown = &minted.body["api_token"];
        assert_eq!(shown["scopes"], json!(["own_account", "see_fleet"]));
        assert_eq!(shown["expires_at"], "2027-04-15T08:00:01.000Z", "90 days");
        let ci = Person::with(&minted.text("token"));
        assert_eq!(ci.ask(&world, "GET", "/v1/hosts", None).await.status, 200);
        let me = ci.must(&world, "GET", "/v1/me", None).await;
        assert_eq!(me["permissions"], json!(["own_account", "see_fleet"]));
        ci.ask(&world, "POST", "/v1/sites", Some(json!({ "name": "x" }))).await.problem(403, "forbidden");
        let listed = root.must(&world, "GET", "/v1/me/tokens", None).await;
        assert_eq!(items(&listed).len(), 2);
        assert_eq!(&items(&listed)[1], shown);
        assert!(!listed.to_string().contains("mso_"));
        world.clock.advance(Duration::from_secs(90 * 24 * 3600));
        ci.ask(&world, "GET", "/v1/me", None).await.problem(401, "unauthorized");
        assert_eq!(items(&root.must(&world, "GET", "/v1/me/tokens", None).await)[1]["status"], "expired");
        let facts = world.audited("token.minted").await;
        assert_eq!(facts[0]["details"]["minted_with"]["token_id"], id(&root).as_str());
    }

    async fn tokens_are_listed_from_either_end(world) {
        let owner = team(&world, "ops").await.owner;
        let scopes = json!({ "name": "limited", "scopes": ["own_account"] });
        world.clock.advance(Duration::from_secs(1));
        let limited = mint(&world, &owner, scopes.clone()).await;
        world.clock.advance(Duration::from_secs(1));
        let child = mint(&world, &limited, scopes).await;
        let made = [id(&owner), id(&limited), id(&child)];
        // A token that may less than its owner sees itself and what was made with it.
        let lists = [("/v1/me/tokens", &owner), ("/v1/tokens", &owner), ("/v1/me/tokens", &limited)];
        for ((list, who), expected) in lists.into_iter().zip([&made[..], &made, &made[1..]]) {
            let oldest_first = ids_of(&world, who, list, "asc").await;
            let mut newest_first = ids_of(&world, who, list, "desc").await;
            newest_first.reverse();
            assert_eq!((&oldest_first[..], &newest_first[..]), (expected, expected), "{list}");
        }
        for list in ["/v1/me/tokens", "/v1/tokens"] {
            let page = owner.must(&world, "GET", &format!("{list}?limit=1&order=desc"), None).await;
            let path = format!("{list}?cursor={}", page["next_cursor"].as_str().unwrap());
            owner.ask(&world, "GET", &path, None).await.problem(400, "invalid_cursor");
            owner.ask(&world, "GET", &format!("{list}?order=newest"), None).await.problem(400, "invalid_query");
        }
    }

    async fn a_scoped_token_does_not_escalate(world) {
        let ops = team(&world, "ops").await;
        let scoped = mint(&world, &ops.owner, json!({ "name": "s", "scopes": ["own_account", "see_fleet"] })).await;
        let refused = async |by: &Person, body| {
            by.ask(&world, "POST", "/v1/me/tokens", Some(body)).await.problem(403, "beyond_reach");
        };
        refused(&scoped, json!({ "name": "x" })).await;
        refused(&scoped, json!({ "name": "x", "scopes": ["own_account", "see_fleet", "run_jobs"] })).await;
        refused(&scoped, json!({ "name": "x", "scopes": ["manage_people"] })).await;
        refused(&ops.owner, json!({ "name": "x", "scopes": ["manage_teams"] })).await;
        let none = json!({ "name": "x", "scopes": [] });
        ops.owner.ask(&world, "POST", "/v1/me/tokens", Some(none)).await.invalid("/scopes", "empty");
        let child = mint(&world, &scoped, json!({ "name": "x", "scopes": ["see_fleet"] })).await;
        child.ask(&world, "GET", "/v1/me/tokens", None).await.problem(403, "forbidden");
        child.ask(&world, "POST", "/v1/me/tokens", Some(json!({ "name": "x" }))).await.problem(403, "forbidden");
        // What its owner was once shown, under the same key, is not its to see.
        let body = json!({ "name": "whole" });
        let whole = ops.owner.ask_once(&world, "POST", "/v1/me/tokens", Some(body.clone()), "key-shared-1").await;
        assert_eq!(whole.status, 201);
        let replay = scoped.ask_once(&world, "POST", "/v1/me/tokens", Some(body), "key-shared-1").await;
        replay.problem(403, "beyond_reach");
        assert!(!replay.raw_body.contains("mso_"));
    }

    async fn a_token_does_not_make_one_that_outlives_it(world) {
        let root = admin(&world).await;
        let short = mint(&world, &root, json!({ "name": "short", "expires_in_secs": 3600 })).await;
        let longer = json!({ "name": "x", "expires_in_secs": 3601 });
        let refused = short.ask(&world, "POST", "/v1/me/tokens", Some(longer)).await;
        refused.invalid("/expires_in_secs", "outlives_its_maker");
        let child = mint(&world, &short, json!({ "name": "child" })).await;
        world.clock.advance(Duration::from_secs(3599));
        assert_eq!(child.ask(&world, "GET", "/v1/me", None).await.status, 200);
        world.clock.advance(Duration::from_secs(1));
        for gone in [&short, &child] {
            gone.ask(&world, "GET", "/v1/me", None).await.problem(401, "unauthorized");
        }
        for bad in [299, 31_536_001] {
            let body = json!({ "name": "x", "expires_in_secs": bad });
            let refused = root.ask(&world, "POST", "/v1/me/tokens", Some(body)).await;
            refused.invalid("/expires_in_secs", "out_of_range");
        }
    }

    async fn a_bound_token_acts_in_its_team_alone_and_as_an_owner_would(world) {
        let root = admin(&world).await;
        let (ops, lab) = (team(&world, "ops").await, team(&world, "lab").await);
        let bound = mint(&world, &root, json!({ "name": "ops", "team_id": ops.id })).await;
        assert_eq!(items(&bound.must(&world, "GET", "/v1/people", None).await)[0]["id"], ops.owner.id.as_str());
        for foreign in [&lab.id, &root.must(&world, "GET", "/v1/me", None).await["team_id"].as_str().unwrap().to_owned()] {
            bound.in_team(foreign).ask(&world, "GET", "/v1/people", None).await.problem(404, "not_found");
        }
        // Nothing of it reaches beyond the team: no teams, no owners elsewhere, no token of another team, no admin.
        bound.ask(&world, "POST", "/v1/teams", Some(json!({ "name": "x" }))).await.problem(403, "forbidden");
        let path = format!("/v1/teams/{}/owners", lab.id);
        bound.ask(&world, "POST", &path, Some(json!({ "name": "x" }))).await.problem(403, "forbidden");
        let teams = items(&bound.must(&world, "GET", "/v1/teams", None).await);
        assert_eq!((teams.len(), &teams[0]["id"]), (1, &json!(ops.id)));
        for body in [json!({ "name": "x", "team_id": lab.id }), json!({ "name": "x", "team_id": foreign_team() })] {
            bound.ask(&world, "POST", "/v1/me/tokens", Some(body)).await.problem(404, "not_found");
        }
        let child = mint(&world, &bound, json!({ "name": "child" })).await;
        child.in_team(&lab.id).ask(&world, "GET", "/v1/people", None).await.problem(404, "not_found");
        let here = root.must(&world, "GET", "/v1/me", None).await["team_id"].clone();
        let at_home = mint(&world, &root, json!({ "name": "home", "team_id": here })).await;
        let admin = json!({ "name": "x", "role": "admin" });
        at_home.ask(&world, "POST", "/v1/invitations", Some(admin)).await.problem(403, "beyond_reach");
        at_home.ask(&world, "POST", "/v1/teams", Some(json!({ "name": "x" }))).await.problem(403, "forbidden");
        set_role(&world, &at_home, &root, "viewer").await.problem(403, "beyond_reach");
        // Owners have no other team to bind to; foreign and absent ones are the same.
        for body in [json!({ "name": "x", "team_id": lab.id }), json!({ "name": "x", "team_id": foreign_team() })] {
            ops.owner.ask(&world, "POST", "/v1/me/tokens", Some(body)).await.problem(404, "not_found");
        }
    }

    async fn the_role_of_now_counts(world) {
        let root = admin(&world).await;
        let ops = team(&world, "ops").await;
        let operator = join(&world, &ops.owner, "operator", "operator").await;
        let scoped = operator.with_scopes(&world, &["run_jobs", "mint_tokens", "see_fleet"]).await;
        let body = json!({});
        assert_eq!(scoped.ask(&world, "POST", "/v1/enrolment-tokens", Some(body.clone())).await.status, 201);
        assert_eq!(set_role(&world, &ops.owner, &operator, "viewer").await.status, 200);
        scoped.ask(&world, "POST", "/v1/enrolment-tokens", Some(body)).await.problem(403, "forbidden");
        assert_eq!(scoped.ask(&world, "GET", "/v1/hosts", None).await.status, 200);
        // A token bound elsewhere by somebody who is no admin any more acts nowhere.
        let second = join(&world, &root, "second", "admin").await;
        let bound = mint(&world, &second, json!({ "name": "ops", "team_id": ops.id })).await;
        assert_eq!(bound.ask(&world, "GET", "/v1/people", None).await.status, 200);
        assert_eq!(set_role(&world, &root, &second, "operator").await.status, 200);
        bound.ask(&world, "GET", "/v1/people", None).await.problem(404, "not_found");
    }

    /// SECURITY B20: what a token has open is cut before the reply to its revocation.
    async fn b20_a_revoked_token_ends_at_once(world) {
        let ops = team(&world, "ops").await;
        let viewer = join(&world, &ops.owner, "viewer", "viewer").await;
        let stolen = mint(&world, &viewer, json!({ "name": "stolen" })).await;
        let other = mint(&world, &viewer, json!({ "name": "other" })).await;
        let open = |person: &Person| {
            let stream = world.app.streams.open(person.id.parse().unwrap(), credential(person)).unwrap();
            let cut = stream.cut().clone();
            tokio::spawn(async move { cut.cancelled().await; drop(stream); })
        };
        let (cut, stays) = (open(&stolen), open(&other));
        let path = format!("/v1/me/tokens/{}/revoke", id(&stolen));
        let revoked = other.must(&world, "POST", &path, None).await;
        assert_eq!(revoked["status"], "revoked");
        assert!(cut.is_finished() && !stays.is_finished());
        stolen.ask(&world, "GET", "/v1/me", None).await.problem(401, "unauthorized");
        let again = other.must(&world, "POST", &path, None).await;
        assert_eq!(again["revoked_at"], revoked["revoked_at"], "revoking again changes nothing");
        assert_eq!(audited(&world, &ops.owner, "token.revoked").await.len(), 1);
        // By those who manage people: the list is metadata, and scopes do not keep anybody from taking away.
        let listed = ops.owner.must(&world, "GET", "/v1/tokens", None).await;
        assert_eq!(items(&listed).len(), 4);
        assert!(!listed.to_string().contains("mso_") && !listed.to_string().contains("verifier"));
        let scanner = ops.owner.with_scopes(&world, &["manage_people"]).await;
        let path = format!("/v1/tokens/{}/revoke", id(&other));
        assert_eq!(scanner.must(&world, "POST", &path, None).await["status"], "revoked");
        assert!(stays.is_finished());
        other.ask(&world, "GET", "/v1/me", None).await.problem(401, "unauthorized");
    }

    /// SECURITY B20: whoever stole a token and made others with it keeps none of them.
    async fn b20_a_revoked_token_takes_what_was_made_with_it_along(world) {
        let ops = team(&world, "ops").await;
        let stolen = mint(&world, &ops.owner, json!({ "name": "stolen" })).await;
        let child = mint(&world, &stolen, json!({ "name": "child" })).await;
        let grandchild = mint(&world, &child, json!({ "name": "grandchild" })).await;
        let path = format!("/v1/me/tokens/{}/revoke", id(&stolen));
        ops.owner.must(&world, "POST", &path, None).await;
        for gone in [&stolen, &child, &grandchild] {
            gone.ask(&world, "GET", "/v1/me", None).await.problem(401, "unauthorized");
        }
        assert_eq!(audited(&world, &ops.owner, "token.revoked").await.len(), 3);
        assert_eq!(ops.owner.ask(&world, "GET", "/v1/me", None).await.status, 200);
    }

    /// SECURITY B20: who a stolen token invited does not come in after it is revoked, nor after it lapsed.
    async fn b20_a_revoked_token_takes_its_invitations_along(world) {
        let ops = team(&world, "ops").await;
        let stolen = mint(&world, &ops.owner, json!({ "name": "stolen", "expires_in_secs": 3600 })).await;
        let child = mint(&world, &stolen, json!({ "name": "child" })).await;
        let invite = async |by: &Person, body| by.ask(&world, "POST", "/v1/invitations", Some(body)).await;
        let longer = json!({ "name": "x", "role": "owner", "expires_in_secs": 3601 });
        invite(&stolen, longer).await.invalid("/expires_in_secs", "outlives_its_maker");
        let open = invite(&child, json!({ "name": "open", "role": "owner" })).await;
        assert_eq!(open.body["invitation"]["expires_at"], "2027-01-15T09:00:00.000Z", "no longer than the token");
        let kept = invite(&ops.owner, json!({ "name": "kept", "role": "owner" })).await;
        let taken = invite(&stolen, json!({ "name": "mallory", "role": "owner" })).await;
        let mallory = accept(&world, &taken.text("token"), "mallory", "").await;
        assert_eq!(mallory.status, 201);
        ops.owner.must(&world, "POST", &format!("/v1/me/tokens/{}/revoke", id(&stolen)), None).await;
        accept(&world, &open.text("token"), "late", "").await.problem(401, "invitation_rejected");
        assert_eq!(accept(&world, &kept.text("token"), "kept", "").await.status, 201, "made with another token");
        // Who is in already is not silently forgotten.
        let facts = audited(&world, &ops.owner, "token.revoked").await;
        let of = |token: &Person| facts.iter().find(|fact| fact["target"] == id(token).as_str()).unwrap()["details"].clone();
        assert_eq!(of(&stolen)["invited"], json!([mallory.text("user_id")]));
        assert_eq!(of(&child)["revoked_invitations"], 1);
    }

    /// What else its owner has is nothing to a token that may less.
    async fn a_limited_token_sees_and_ends_only_what_it_made(world) {
        let ops = team(&world, "ops").await;
        let owner = join(&world, &ops.owner, "second", "owner").await;
        let other = mint(&world, &owner, json!({ "name": "other" })).await;
        for body in [json!({ "name": "scoped", "scopes": ["own_account"] }), json!({ "name": "bound", "team_id": ops.id })] {
            let limited = mint(&world, &owner, body).await;
            let child = mint(&world, &limited, json!({ "name": "child", "scopes": ["own_account"] })).await;
            let grandchild = mint(&world, &child, json!({ "name": "grandchild", "scopes": ["own_account"] })).await;
            let listed = items(&limited.must(&world, "GET", "/v1/me/tokens", None).await);
            let mut seen: Vec<&str> = listed.iter().map(|token| token["id"].as_str().unwrap()).collect();
            let mut expected = vec![id(&limited), id(&child), id(&grandchild)];
            seen.sort_unstable();
            expected.sort_unstable();
            assert_eq!(seen, expected);
            let revoke = async |by: &Person, whom: &Person| {
                by.ask(&world, "POST", &format!("/v1/me/tokens/{}/revoke", id(whom)), None).await
            };
            for not_its in [&owner, &other] {
                revoke(&limited, not_its).await.problem(404, "not_found");
                assert_eq!(not_its.ask(&world, "GET", "/v1/me", None).await.status, 200);
            }
            revoke(&child, &limited).await.problem(404, "not_found");
            let sessions = items(&owner.browse(&world, "GET", "/v1/me/sessions", None).await.body);
            let end = format!("/v1/me/sessions/{}/end", sessions[0]["id"].as_str().unwrap());
            for (method, path) in
                [("GET", "/v1/me/sessions"), ("POST", end.as_str()), ("POST", "/v1/me/sessions/end-others")]
            {
                limited.ask(&world, method, path, None).await.problem(403, "limited_token");
            }
            assert_eq!(owner.browse(&world, "GET", "/v1/me", None).await.status, 200);
            assert_eq!(revoke(&limited, &grandchild).await.status, 200);
            assert_eq!(revoke(&limited, &limited).await.status, 200);
            child.ask(&world, "GET", "/v1/me", None).await.problem(401, "unauthorized");
        }
    }

    /// Whoever makes and revokes tokens without end fills the table, which keeps each for months.
    async fn somebody_makes_a_bounded_number_of_tokens_a_day(world) {
        let ops = team(&world, "ops").await;
        world.clock.advance(Duration::from_secs(1));
        let (user_id, team_id): (UserId, TeamId) = (ops.owner.id.parse().unwrap(), ops.id.parse().unwrap());
        let made = world.app.change(Priority::Normal, world.app.clock.now(), move |unit| {
            // With the first token of the owner, which counts too.
            for n in 0..198 {
                let id: TokenId = format!("{n:012}").parse().unwrap();
                let expires_at = Some(unit.now.plus(Duration::from_secs(3600)));
                unit.tx.operator_token_insert(&OperatorTokenRow {
                    id, team_id, user_id, verifier: [1; 32], name: None, scopes: None, bound_team_id: None,
                    created_at: unit.now, expires_at, minted_with: None,
                })?;
                unit.tx.operator_token_revoke(user_id, &id, unit.now)?;
            }
            Ok(())
        });
        made.await.unwrap();
        let body = json!({ "name": "x" });
        assert_eq!(ops.owner.ask(&world, "POST", "/v1/me/tokens", Some(body.clone())).await.status, 201);
        let refused = ops.owner.ask(&world, "POST", "/v1/me/tokens", Some(body.clone())).await;
        refused.problem(409, "too_many_tokens_today");
        world.clock.advance(Duration::from_secs(24 * 3600));
        assert_eq!(ops.owner.ask(&world, "POST", "/v1/me/tokens", Some(body)).await.status, 201);
    }

    async fn tokens_are_bounded_and_their_use_is_shown(world) {
        let ops = team(&world, "ops").await;
        world.clock.advance(Duration::from_secs(1));
        for n in 0..49 {
            mint(&world, &ops.owner, json!({ "name": format!("t{n}") })).await;
        }
        let body = json!({ "name": "one more" });
        let refused = ops.owner.ask(&world, "POST", "/v1/me/tokens", Some(body.clone())).await;
        refused.problem(409, "too_many_tokens");
        let last = &items(&ops.owner.must(&world, "GET", "/v1/me/tokens", None).await)[49];
        let path = format!("/v1/me/tokens/{}/revoke", last["id"].as_str().unwrap());
        ops.owner.must(&world, "POST", &path, None).await;
        assert_eq!(ops.owner.ask(&world, "POST", "/v1/me/tokens", Some(body)).await.status, 201);
        muster_server::reconcile::write_uses(&world.app).await.unwrap();
        let own = &items(&ops.owner.must(&world, "GET", "/v1/me/tokens", None).await)[0];
        assert_eq!((own["last_used_from"].as_str(), own["last_used_at"].is_string()), (Some("127.0.0.1"), true));
        // What ended long ago is forgotten; what is good stays.
        world.clock.advance(Duration::from_secs(89 * 24 * 3600));
        while muster_server::reconcile::expire(&world.app).await.unwrap() {}
        assert!(ops.owner.must(&world, "GET", "/v1/me/tokens?limit=200", None).await.to_string().contains("revoked\""));
        world.clock.advance(Duration::from_secs(92 * 24 * 3600));
        while muster_server::reconcile::expire(&world.app).await.unwrap() {}
        let left = items(&ops.owner.must(&world, "GET", "/v1/me/tokens?limit=200", None).await);
        assert_eq!((left.len(), left[0]["name"].is_null()), (1, true), "{left:?}");
    }
}

/// The id of a team that is not there.
fn foreign_team() -> &'static str {
    "team_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5"
}
