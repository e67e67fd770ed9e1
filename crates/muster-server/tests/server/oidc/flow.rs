//! The way of a browser, and what groups make of a person.

use serde_json::json;
use url::Url;

use crate::oidc::browser::Browser;
use crate::oidc::scene::{CALLBACK, HOST, PENDING, SESSION, Scene, refused};
use crate::world::both;

both! {
    async fn b07_somebody_signs_in_and_goes_on_where_they_wanted_to(world) {
        let scene = Scene::of(world).await;
        scene.next_is("sub-ada").await;
        let mut browser = Browser::default();
        let start = Url::parse(&scene.start("/v1/me")).unwrap();
        let sent = browser.get(&start).await;
        assert_eq!(sent.status, 303);
        let to = Url::parse(sent.header("location").unwrap()).unwrap();
        let asked = |name: &str| to.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        assert_eq!(to.origin(), Url::parse(&scene.provider.issuer()).unwrap().origin());
        assert_eq!(asked("redirect_uri"), Some(scene.world.url(CALLBACK)));
        assert_eq!(asked("code_challenge_method").as_deref(), Some("S256"));
        assert_eq!(asked("scope").as_deref(), Some("openid groups profile"));
        let cookie = sent.header("set-cookie").unwrap();
        assert!(cookie.starts_with(PENDING) && cookie.contains("SameSite=Lax; Max-Age=600"), "{cookie}");
        assert!(cookie.contains("HttpOnly"), "{cookie}");

        let (at, back) = browser.go(to.as_str(), Some("/v1/me")).await;
        assert_eq!((at.as_str(), back.status), (scene.world.url("/v1/me").as_str(), 303));
        assert_eq!(back.header("location"), Some("/v1/me"));
        assert_eq!(browser.cookie(HOST, PENDING), None, "what was pending is done");
        let me = scene.me(&mut browser).await.json();
        assert_eq!((me["name"].as_str(), me["role"].as_str()), (Some("ada"), Some("operator")), "{me}");
        assert_eq!(me["team_id"].as_str(), Some(scene.team.as_str()));
        assert!(me["web_session_id"].is_string());

        let created = scene.world.audited("person.created").await;
        let by_provider: Vec<_> = created.iter().filter(|row| row["actor"] == "oidc:corp").collect();
        assert_eq!(by_provider.len(), 0, "the audit trail of acme is not the platform's");
    }

    async fn an_admin_comes_by_a_mapping_into_the_platforms_team(world) {
        let scene = Scene::of(world).await;
        let (mut browser, answer) = scene.sign_in("sub-eve").await;
        let me = answer.json();
        assert_eq!((me["role"].as_str(), me["team_id"].as_str()), (Some("admin"), Some(scene.platform.as_str())), "{me}");
        let created = scene.world.audited("person.created").await;
        assert!(created.iter().any(|row| row["actor"] == "oidc:corp" && row["target"] == me["user_id"]), "{created:?}");
        let signed_in = scene.world.audited("person.signed_in").await;
        assert_eq!(signed_in[0]["target"], me["user_id"]);
        let url = scene.world.url("/v1/oidc/providers");
        assert_eq!(browser.get(&Url::parse(&url).unwrap()).await.status, 200);
    }

    async fn b19_a_person_is_who_the_provider_says_and_not_what_they_are_called(world) {
        let scene = Scene::of(world).await;
        let (_, first) = scene.sign_in("sub-ada").await;
        let (_, again) = scene.sign_in("sub-ada").await;
        assert_eq!(first.json()["user_id"], again.json()["user_id"], "one subject is one person");
        // Mallory calls herself what Ada is called.
        scene.put("sub-mallory", "ada", &["ops"]).await;
        let (_, other) = scene.sign_in("sub-mallory").await;
        let other = other.json();
        assert_ne!(first.json()["user_id"], other["user_id"]);
        assert_eq!(other["name"].as_str(), Some("ada 2"));
        scene.put("sub-ada", "countess", &["ops"]).await;
        let (_, renamed) = scene.sign_in("sub-ada").await;
        assert_eq!(first.json()["user_id"], renamed.json()["user_id"]);
    }

    async fn b20_another_role_ends_what_was_open_with_the_old_one(world) {
        let scene = Scene::of(world).await;
        scene.put("sub-ada", "ada", &["owners"]).await;
        let (mut old, was) = scene.sign_in("sub-ada").await;
        assert_eq!(was.json()["role"].as_str(), Some("owner"));
        assert_eq!(scene.me(&mut old).await.status, 200);
        scene.put("sub-ada", "ada", &["ops"]).await;
        let (mut new, is) = scene.sign_in("sub-ada").await;
        assert_eq!(is.json()["role"].as_str(), Some("operator"));
        assert_eq!(is.json()["user_id"], was.json()["user_id"]);
        assert_eq!(scene.me(&mut old).await.status, 401, "the session of the owner lives");
        assert_eq!(scene.me(&mut new).await.status, 200);
        // The same again changes nothing.
        let (_, again) = scene.sign_in("sub-ada").await;
        assert_eq!((again.status, scene.me(&mut new).await.status), (200, 200));
    }

    async fn b20_without_a_group_somebody_is_nobody_and_what_they_had_ends(world) {
        let scene = Scene::of(world).await;
        let (stranger, answer) = scene.sign_in("sub-mallory").await;
        refused(&stranger, &answer, 403, "no_role");
        let (mut old, was) = scene.sign_in("sub-ada").await;
        scene.put("sub-ada", "ada", &["everybody"]).await;
        let (gone, answer) = scene.sign_in("sub-ada").await;
        refused(&gone, &answer, 403, "no_role");
        assert_eq!(scene.me(&mut old).await.status, 401, "the old session lives");
        let (gone, answer) = scene.sign_in("sub-ada").await;
        refused(&gone, &answer, 403, "no_role");
        // Who is taken in again is somebody new: nothing of before comes back.
        scene.put("sub-ada", "ada", &["ops"]).await;
        let (_, again) = scene.sign_in("sub-ada").await;
        assert_eq!(again.status, 200);
        assert_ne!(again.json()["user_id"], was.json()["user_id"]);
        assert_eq!(again.json()["name"].as_str(), Some("ada"));
        assert_eq!(scene.me(&mut old).await.status, 401);
    }

    async fn b20_who_moves_to_another_team_leaves_everything_behind(world) {
        let scene = Scene::of(world).await;
        let (mut old, was) = scene.sign_in("sub-ada").await;
        scene.put("sub-ada", "ada", &["lookers"]).await;
        let (mut new, is) = scene.sign_in("sub-ada").await;
        let (was, is) = (was.json(), is.json());
        assert_eq!((is["role"].as_str(), is["team_id"].as_str()), (Some("viewer"), Some(scene.platform.as_str())));
        assert_ne!(is["user_id"], was["user_id"]);
        assert_eq!((scene.me(&mut old).await.status, scene.me(&mut new).await.status), (401, 200));
    }

    async fn b20_nobody_gets_a_password_that_outlives_what_the_provider_says(world) {
        let scene = Scene::of(world).await;
        let (browser, _) = scene.sign_in("sub-ada").await;
        let session = browser.cookie(HOST, SESSION).unwrap();
        let headers = format!("cookie: {SESSION}={session}\r\nsec-fetch-site: same-origin\r\n");
        let ask = async |path: &str, body| scene.world.ask("PUT", path, &headers, Some(body)).await;
        ask("/v1/me/login", json!({ "login": "ada" })).await.problem(409, "signs_in_by_provider");
        let password = json!({ "new": "a password that nobody guesses 7" });
        ask("/v1/me/password", password).await.problem(409, "signs_in_by_provider");
    }

    async fn groups_are_found_where_a_provider_keeps_them(world) {
        let scene = Scene::with(world, true).await;
        let (_, answer) = scene.sign_in("sub-ada").await;
        assert_eq!(answer.json()["role"].as_str(), Some("operator"), "{}", answer.json());
        assert_eq!(answer.json()["name"].as_str(), Some("ada"));
    }

    async fn a_deep_link_ends_where_it_leads(world) {
        let scene = Scene::of(world).await;
        scene.next_is("sub-ada").await;
        let mut browser = Browser::default();
        let (at, answer) = browser.go(&scene.start("/v1/hosts%3Flimit%3D5"), None).await;
        assert_eq!((at.path(), at.query(), answer.status), ("/v1/hosts", Some("limit=5"), 200));
        // Signed in, the same link leads there at once when followed from anywhere.
        assert!(browser.cookie(HOST, SESSION).is_some());
        let (_, answer) = browser.go(&scene.world.url("/v1/hosts?limit=5"), None).await;
        assert_eq!(answer.status, 200);
    }

    async fn the_same_first_sign_in_twice_at_once_makes_one_person(world) {
        let scene = Scene::of(world).await;
        let (mut one, first) = scene.until_callback("sub-ada").await;
        let (mut two, second) = scene.until_callback("sub-ada").await;
        let (a, b) = tokio::join!(one.get(&first), two.get(&second));
        assert_eq!((a.status, b.status), (303, 303), "{} {}", a.json(), b.json());
        let (me, too) = (scene.me(&mut one).await.json(), scene.me(&mut two).await.json());
        assert_eq!(me["user_id"], too["user_id"]);
        assert_eq!(json!(me["name"]), "ada");
    }
}
