//! Providers are the admins' affair; their secrets are nobody's.

use muster_store::params;
use muster_testkit::oidc::CLIENT_SECRET;
use serde_json::{Value, json};
use url::Url;

use crate::oidc::browser::Browser;
use crate::oidc::scene::{Scene, refused};
use crate::world::{World, both};

const PATH: &str = "/v1/oidc/providers/corp";

async fn check(world: &World) -> (bool, String) {
    let checked = world.must("POST", &format!("{PATH}/check"), None).await;
    let findings = checked["findings"].as_array().unwrap();
    let wrong = findings.iter().filter(|finding| finding["ok"] == false);
    let says: Vec<&str> = wrong.map(|finding| finding["says"].as_str().unwrap()).collect();
    (checked["works"].as_bool().unwrap(), says.join("; "))
}

both! {
    async fn b22_the_secret_goes_in_and_never_comes_out(world) {
        let scene = Scene::of(world).await;
        let shown = scene.world.admin("GET", "/v1/oidc/providers", None).await;
        assert_eq!(shown.body["items"][0]["issuer"], json!(scene.provider.issuer()));
        assert_eq!(shown.body["items"][0]["redirect_uris"][1], json!(scene.world.url("/v1/oidc/callback")));
        assert!(!shown.raw_body.contains("canary"), "{}", shown.raw_body);
        let trail = json!(scene.world.audited("oidc.set").await).to_string();
        assert!(trail.contains("client_secret") && !trail.contains("canary"), "{trail}");
        let stored = scene.world.app.look(|tx| {
            tx.query("SELECT sealed_secret FROM oidc_provider", params![], |row| row.get::<Vec<u8>>(0))
        });
        let stored = stored.await.unwrap().remove(0);
        assert!(!stored.windows(CLIENT_SECRET.len()).any(|bytes| bytes == CLIENT_SECRET.as_bytes()));
        // Left out, it stays; but it follows nobody to another address.
        let mut settings = scene.settings();
        settings.as_object_mut().unwrap().remove("client_secret");
        scene.world.must("PUT", PATH, Some(settings.clone())).await;
        let (_, answer) = scene.sign_in("sub-ada").await;
        assert_eq!(answer.status, 200);
        settings["issuer"] = json!("https://evil.example");
        scene.world.admin("PUT", PATH, Some(settings.clone())).await.invalid("/client_secret", "missing");
        settings["issuer"] = json!(scene.provider.issuer());
        settings["client_id"] = json!("another");
        scene.world.admin("PUT", PATH, Some(settings)).await.invalid("/client_secret", "missing");
    }

    async fn b22_a_secret_does_not_open_for_another_issuer_whoever_changed_the_row(world) {
        let scene = Scene::of(world).await;
        let issuer = scene.provider.issuer();
        scene.world.must("PUT", "/v1/oidc/providers/other", Some(scene.settings())).await;
        let moved = scene.world.app.change(muster_store::Priority::Normal, scene.world.app.clock.now(), |unit| {
            unit.tx.execute("UPDATE oidc_provider SET client_id = 'another' WHERE name = $1", params!["corp"])?;
            Ok(())
        });
        moved.await.unwrap();
        let (works, says) = check(&scene.world).await;
        assert!(!works && says.contains("does not open"), "{says} {issuer}");
    }

    async fn b28_a_check_says_what_is_wrong(world) {
        let mut scene = Scene::of(world).await;
        assert_eq!(check(&scene.world).await, (true, String::new()));
        let mut settings = scene.settings();
        let mut wrong = async |change: Value, expected: &str| {
            for (name, value) in change.as_object().unwrap() {
                settings[name] = value.clone();
            }
            scene.world.must("PUT", PATH, Some(settings.clone())).await;
            let (works, says) = check(&scene.world).await;
            assert!(!works && says.contains(expected), "{expected}: {says}");
        };
        let issuer = scene.provider.issuer();
        wrong(json!({ "scopes": ["profile", "roles"] }), "scopes: roles").await;
        wrong(json!({ "scopes": ["groups"], "mappings": [] }), "no group is mapped").await;
        wrong(json!({ "issuer": format!("{issuer}/") }), "to the letter").await;
        wrong(json!({ "issuer": format!("{issuer}/test") }), "status 404").await;
        wrong(json!({ "issuer": "http://127.0.0.2:9" }), "cannot connect").await;
        wrong(json!({ "issuer": "https://169.254.169.254" }), "link_local").await;
        wrong(json!({ "issuer": "https://nothing.invalid" }), "does not resolve").await;
        scene.world.must("PUT", PATH, Some(scene.settings())).await;
        scene.provider.kill();
        let (works, says) = check(&scene.world).await;
        assert!(!works && says.contains("cannot connect"), "{says}");
    }

    async fn a_provider_that_is_down_keeps_nobody_else_out(world) {
        let mut scene = Scene::of(world).await;
        let (mut inside, _) = scene.sign_in("sub-ada").await;
        let (mut late, callback) = scene.until_callback("sub-ada").await;
        scene.provider.kill();
        let answer = late.get(&callback).await;
        refused(&late, &answer, 503, "oidc_unavailable");
        scene.wait(3601);
        let mut browser = Browser::default();
        let answer = browser.get(&Url::parse(&scene.start("/")).unwrap()).await;
        refused(&browser, &answer, 503, "oidc_unavailable");
        assert!(answer.header("retry-after").is_some());
        assert_eq!(scene.me(&mut inside).await.status, 200);
        let methods = scene.world.ask("GET", "/v1/sign-in/methods", "", None).await;
        assert_eq!(methods.body, json!({ "password": true, "oidc": ["corp"] }));
    }

    async fn what_is_set_must_hold(world) {
        let scene = Scene::of(world).await;
        let invalid = async |change: Value, pointer: &str, code: &str| {
            let mut settings = scene.settings();
            for (name, value) in change.as_object().unwrap() {
                settings[name] = value.clone();
            }
            scene.world.admin("PUT", PATH, Some(settings)).await.invalid(pointer, code);
        };
        for issuer in [
            "http://issuer.example",
            "ftp://issuer.example",
            "issuer.example",
            "https://a:b@issuer.example",
            "https://issuer.example/?a=b",
            "https://issuer.example/#a",
        ] {
            invalid(json!({ "issuer": issuer }), "/issuer", "malformed").await;
        }
        invalid(json!({ "scopes": ["a b"] }), "/scopes/0", "malformed").await;
        let mapping = |team_id: &str, role: &str| {
            json!({ "mappings": [{ "group": "a", "team_id": team_id, "role": role }] })
        };
        invalid(mapping(&scene.team, "admin"), "/mappings/0/role", "does_not_fit").await;
        invalid(mapping(&scene.platform, "owner"), "/mappings/0/role", "does_not_fit").await;
        let nobodys = scene.team.replace(|c: char| c.is_ascii_digit(), "0");
        invalid(mapping(&nobodys, "viewer"), "/mappings/0/team_id", "unknown").await;
        for name in ["providers", "callback", "Corp", "a.b"] {
            let answer = scene.world.admin("PUT", &format!("/v1/oidc/providers/{name}"), Some(scene.settings())).await;
            answer.problem(400, "invalid_path");
        }
    }

    async fn b25_nobody_but_an_admin_sets_providers(world) {
        let scene = Scene::of(world).await;
        scene.put("sub-ada", "ada", &["owners"]).await;
        let (mut owner, _) = scene.sign_in("sub-ada").await;
        let url = Url::parse(&scene.world.url("/v1/oidc/providers")).unwrap();
        assert_eq!(owner.get(&url).await.status, 403);
        scene.world.ask("GET", "/v1/oidc/providers", "", None).await.problem(401, "unauthorized");
        scene.world.ask("PUT", PATH, "", Some(scene.settings())).await.problem(401, "unauthorized");
    }

    async fn b20_who_came_by_a_provider_goes_with_it(world) {
        let scene = Scene::of(world).await;
        let (mut browser, _) = scene.sign_in("sub-ada").await;
        let removed = scene.world.must("POST", &format!("{PATH}/remove"), None).await;
        assert_eq!(removed, json!({ "signed_out": 1 }));
        assert_eq!(scene.me(&mut browser).await.status, 401);
        scene.world.admin("POST", &format!("{PATH}/remove"), None).await.problem(404, "not_found");
        let answer = browser.get(&Url::parse(&scene.start("/")).unwrap()).await;
        assert_eq!(answer.status, 404);
        let methods = scene.world.ask("GET", "/v1/sign-in/methods", "", None).await;
        assert_eq!(methods.body["oidc"], json!([]));
        assert_eq!(scene.world.audited("oidc.removed").await.len(), 1);
    }
}
