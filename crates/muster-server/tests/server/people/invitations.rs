//! Invitations: the one way a stranger becomes a person, once.

use std::time::Duration;

use muster_ids::{Bearer, BearerKind, PublicId};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::people::scene::{
    PASSWORD, Person, accept, accept_with, admin, cookie, ids_of, invite, items, join, seen, set_role, team,
};
use crate::world::both;

both! {
    async fn whoever_has_the_link_becomes_the_person_and_is_signed_in(world) {
        let root = admin(&world).await;
        let minted = root.must(&world, "POST", "/v1/invitations", Some(json!({ "name": "Grace", "role": "operator" }))).await;
        let token = minted["token"].as_str().unwrap();
        assert!(token.starts_with("msi_"));
        let url: url::Url = minted["url"].as_str().unwrap().parse().unwrap();
        assert_eq!((url.path(), url.query(), url.fragment()), ("/invitation", None, Some(token)));
        assert_eq!(url.host_str(), Some("muster.example"));
        assert_eq!(minted["invitation"]["status"], "open");
        assert_eq!(minted["invitation"]["expires_at"], "2027-01-18T08:00:00.000Z", "72 hours");
        let accepted = accept(&world, token, "GRACE", "").await;
        assert_eq!(accepted.status, 201, "{accepted:?}");
        let person = Person { id: accepted.text("user_id"), cookie: cookie(&accepted), ..Person::with("") };
        let me = person.browse(&world, "GET", "/v1/me", None).await;
        assert_eq!((me.status, me.text("name"), me.text("role")), (200, "Grace".to_owned(), "operator".to_owned()));
        let shown = root.must(&world, "GET", &format!("/v1/people/{}", person.id), None).await;
        assert_eq!(shown["login"], "grace", "one spelling");
        let signed_in = json!({ "login": "grace", "password": PASSWORD });
        assert_eq!(world.ask("POST", "/v1/sign-in", "", Some(signed_in)).await.status, 200);
        let invitation = &items(&root.must(&world, "GET", "/v1/invitations", None).await)[0];
        assert_eq!(invitation["status"], "accepted");
        assert_eq!(invitation["accepted_by"], person.id.as_str());
        assert!(invitation.get("token").is_none() && invitation.get("verifier").is_none());
        let facts = world.audited("invitation.accepted").await;
        assert_eq!(facts[0]["details"]["user_id"], person.id.as_str());
    }

    /// SECURITY B11: unknown, used, revoked, lapsed, mistyped or of another kind is one and the same answer.
    async fn b11_b15_an_invitation_that_does_not_hold_is_one_answer(world) {
        let root = admin(&world).await;
        let used = invite(&world, &root, "used", "viewer").await;
        assert_eq!(accept(&world, &used, "used", "").await.status, 201);
        let revoked = invite(&world, &root, "revoked", "viewer").await;
        let id = revoked.split('_').nth(1).unwrap();
        let path = format!("/v1/invitations/{id}/revoke");
        assert_eq!(root.must(&world, "POST", &path, None).await["status"], "revoked");
        assert_eq!(root.must(&world, "POST", &path, None).await["status"], "revoked", "again");
        assert_eq!(world.audited("invitation.revoked").await.len(), 1);
        let lapsed = invite(&world, &root, "lapsed", "viewer").await;
        let open = invite(&world, &root, "open", "viewer").await;
        let wrong_secret = {
            let bearer = Bearer::parse(&open).unwrap();
            Bearer::new(BearerKind::Invitation, bearer.id, [9; 32]).expose().expose_secret().to_owned()
        };
        let right_secret_wrong_kind = {
            let bearer = Bearer::parse(&open).unwrap();
            Bearer::new(BearerKind::OperatorToken, bearer.id, *bearer.secret()).expose().expose_secret().to_owned()
        };
        let nobodys = Bearer::new(BearerKind::Invitation, PublicId::from_entropy([3; 16]), [7; 32]);
        world.clock.advance(Duration::from_secs(72 * 3600));
        let late = invite(&world, &root, "late", "viewer").await;
        let mut answers = Vec::new();
        for bad in [
            &used, &revoked, &lapsed, &wrong_secret, &right_secret_wrong_kind, &world.admin,
            &nobodys.expose().expose_secret().to_owned(), &late[..late.len() - 1].to_owned(), &String::new(),
        ] {
            let answer = accept(&world, bad, "mallory", "").await;
            answer.problem(401, "invitation_rejected");
            answers.push(seen(&answer));
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
        // Nor does the body, or what is in it, change the answer: it is not looked at.
        let headers = format!("authorization: Bearer {used}\r\n");
        let answer = world.ask("POST", "/v1/invitations/accept", &headers, Some(json!({ "x": 1 }))).await;
        assert_eq!(seen(&answer), answers[0]);
        let taken = accept(&world, &lapsed, "used", "").await;
        assert_eq!(seen(&taken), answers[0], "who holds no invitation does not learn which logins exist");
        // An invitation opens no other door.
        for kind in ["GET /v1/me", "GET /v1/people"] {
            let (method, path) = kind.split_once(' ').unwrap();
            Person::with(&late).ask(&world, method, path, None).await.problem(401, "unauthorized");
        }
        assert_eq!(accept(&world, &late, "late", "").await.status, 201);
    }

    async fn a_lost_reply_is_had_again_by_the_same_request_alone(world) {
        let root = admin(&world).await;
        let body = json!({ "name": "Grace", "role": "viewer" });
        let minted = root.ask_once(&world, "POST", "/v1/invitations", Some(body.clone()), "key-minted-1").await;
        let again = root.ask_once(&world, "POST", "/v1/invitations", Some(body), "key-minted-1").await;
        assert_eq!((again.status, &again.raw_body), (201, &minted.raw_body));
        assert_eq!(items(&root.must(&world, "GET", "/v1/invitations", None).await).len(), 1);
        let token = minted.text("token");
        let first = accept(&world, &token, "grace", "key-accept-1").await;
        let again = accept(&world, &token, "grace", "key-accept-1").await;
        assert_eq!((first.status, again.status), (201, 201), "{again:?}");
        assert_eq!((&first.raw_body, cookie(&first)), (&again.raw_body, cookie(&again)));
        accept(&world, &token, "grace", "key-accept-2").await.problem(401, "invitation_rejected");
        accept(&world, &token, "grace", "").await.problem(401, "invitation_rejected");
        accept(&world, &token, "other", "key-accept-1").await.problem(422, "idempotency_key_reused");
        let other = accept_with(&world, &token, "grace", "another Tundra 41 lantern", "key-accept-1").await;
        other.problem(422, "idempotency_key_reused");
        assert_eq!(items(&root.must(&world, "GET", "/v1/people", None).await).len(), 2);
    }

    async fn what_is_wrong_with_login_or_password_is_told_to_who_is_invited(world) {
        let root = admin(&world).await;
        join(&world, &root, "taken", "viewer").await;
        let token = invite(&world, &root, "Grace", "viewer").await;
        accept(&world, &token, "taken", "").await.problem(409, "login_taken");
        accept(&world, &token, "ＴＡＫＥＮ", "").await.problem(409, "login_taken");
        accept(&world, &token, "gräce", "").await.invalid("/login", "malformed");
        let short = accept_with(&world, &token, "grace", "short", "").await;
        short.problem(422, "validation");
        assert_eq!(short.body["errors"][0]["pointer"], "/password");
        // A page of another site cannot make somebody accept.
        let headers = format!("authorization: Bearer {token}\r\nsec-fetch-site: cross-site\r\n");
        let body = json!({ "login": "grace", "password": PASSWORD });
        let foreign = world.ask("POST", "/v1/invitations/accept", &headers, Some(body)).await;
        foreign.problem(403, "foreign_origin");
        assert_eq!(accept(&world, &token, "grace", "").await.status, 201);
    }

    async fn invitations_are_listed_from_either_end(world) {
        let root = admin(&world).await;
        let mut made = Vec::new();
        for name in ["first", "second", "third"] {
            let token = invite(&world, &root, name, "viewer").await;
            made.push(token.split('_').nth(1).unwrap().to_owned());
            world.clock.advance(Duration::from_secs(1));
        }
        assert_eq!(ids_of(&world, &root, "/v1/invitations", "asc").await, made);
        let page = root.must(&world, "GET", "/v1/invitations?limit=1&order=desc", None).await;
        let path = format!("/v1/invitations?cursor={}", page["next_cursor"].as_str().unwrap());
        root.ask(&world, "GET", &path, None).await.problem(400, "invalid_cursor");
        made.reverse();
        assert_eq!(ids_of(&world, &root, "/v1/invitations", "desc").await, made);
    }

    async fn invitations_fit_their_team_and_are_bounded(world) {
        let root = admin(&world).await;
        let ops = team(&world, "ops").await;
        let ask = async |by: &Person, name: &str, role: &str| {
            by.ask(&world, "POST", "/v1/invitations", Some(json!({ "name": name, "role": role }))).await
        };
        ask(&root, "x", "owner").await.invalid("/role", "does_not_fit_team");
        ask(&ops.owner, "x", "admin").await.invalid("/role", "does_not_fit_team");
        ask(&root.in_team(&ops.id), "x", "admin").await.invalid("/role", "does_not_fit_team");
        ask(&ops.owner, "ops owner", "viewer").await.problem(409, "name_taken");
        for bad in [299, 2_592_001] {
            let body = json!({ "name": "x", "role": "viewer", "expires_in_secs": bad });
            let refused = ops.owner.ask(&world, "POST", "/v1/invitations", Some(body)).await;
            refused.invalid("/expires_in_secs", "out_of_range");
        }
        for n in 0..100 {
            assert_eq!(ask(&ops.owner, &format!("guest{n}"), "viewer").await.status, 201);
        }
        ask(&ops.owner, "one more", "viewer").await.problem(409, "too_many_invitations");
        ask(&root.in_team(&ops.id), "one more", "viewer").await.problem(409, "too_many_invitations");
        assert_eq!(ask(&root, "elsewhere", "viewer").await.status, 201);
        world.clock.advance(Duration::from_secs(72 * 3600));
        assert_eq!(ask(&ops.owner, "one more", "viewer").await.status, 201, "lapsed ones do not count");
        let mut seen = 0;
        let mut path = "/v1/invitations?limit=40".to_owned();
        loop {
            let page = ops.owner.must(&world, "GET", &path, None).await;
            seen += items(&page).len();
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/v1/invitations?limit=40&cursor={cursor}");
        }
        assert_eq!(seen, 101);
    }

    async fn a_demoted_admin_cannot_go_on_in_another_team(world) {
        let root = admin(&world).await;
        let second = join(&world, &root, "second", "admin").await;
        let ops = team(&world, "ops").await;
        let there = second.in_team(&ops.id);
        let invitation = invite(&world, &there, "mole", "owner").await;
        assert_eq!(set_role(&world, &root, &second, "operator").await.status, 200);
        there.ask(&world, "GET", "/v1/people", None).await.problem(404, "not_found");
        accept(&world, &invitation, "mole", "").await.problem(401, "invitation_rejected");
    }
}
