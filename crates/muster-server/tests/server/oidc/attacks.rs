//! Those who would like to be somebody else, with what came back to another browser, another time, another place.

use serde_json::json;
use url::Url;

use crate::oidc::browser::Browser;
use crate::oidc::scene::{HOST, PENDING, Scene, refused};
use crate::world::both;

/// One more failure than this from one source within a minute is one too many.
const BORNE: u32 = 600;
/// One more answer than this that does not hold, from one source within five minutes, is one too many.
const VOUCHED: u32 = 20;

fn with(url: &Url, name: &str, value: Option<&str>) -> Url {
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| key != name)
        .map(|(key, value)| (key.into(), value.into()))
        .collect();
    let mut changed = url.clone();
    changed.query_pairs_mut().clear().extend_pairs(kept).extend_pairs(value.map(|value| (name, value)));
    changed
}

fn of(url: &Url, name: &str) -> String {
    url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned()
}

both! {
    async fn b07_an_answer_is_good_in_the_browser_that_asked_for_it_alone(world) {
        let scene = Scene::of(world).await;
        // Eve began, and would like Ada to end up as Eve; or Ada began, and Eve has seen the answer.
        let (mut eve, of_eve) = scene.until_callback("sub-eve").await;
        let (mut ada, of_ada) = scene.until_callback("sub-ada").await;
        let mut nobody = Browser::default();
        let answer = nobody.get(&of_eve).await;
        refused(&nobody, &answer, 401, "oidc_failed");
        let answer = ada.get(&of_eve).await;
        refused(&ada, &answer, 401, "oidc_failed");
        let answer = eve.get(&of_ada).await;
        refused(&eve, &answer, 401, "oidc_failed");
    }

    async fn b07_an_answer_of_one_attempt_does_not_serve_another(world) {
        let scene = Scene::of(world).await;
        let (mut browser, first) = scene.until_callback("sub-ada").await;
        let cookie_of_first = browser.cookie(HOST, PENDING).unwrap().to_owned();
        let (second, _) = browser.go(&scene.start("/v1/me"), Some("/v1/oidc/callback")).await;
        // The code of the first with the state, the nonce and the verifier of the second.
        let mixed = with(&second, "code", Some(&of(&first, "code")));
        let mut mixing = browser.clone();
        let answer = mixing.get(&mixed).await;
        refused(&mixing, &answer, 401, "oidc_failed");
        // The state of the second with the cookie of the first.
        let mut mixing = browser.clone();
        mixing.cookies.get_mut(HOST).unwrap().insert(PENDING.to_owned(), cookie_of_first);
        let answer = mixing.get(&second).await;
        refused(&mixing, &answer, 401, "oidc_failed");
    }

    async fn b07_a_code_is_good_once(world) {
        let scene = Scene::of(world).await;
        let (mut browser, callback) = scene.until_callback("sub-ada").await;
        let mut copy = browser.clone();
        assert_eq!(browser.get(&callback).await.status, 303);
        // The cookie is gone from the browser; who kept a copy of both gets no further.
        let mut again = browser.clone();
        again.cookies.get_mut(HOST).unwrap().clear();
        let answer = again.get(&callback).await;
        refused(&again, &answer, 401, "oidc_failed");
        let answer = copy.get(&callback).await;
        refused(&copy, &answer, 401, "oidc_failed");
    }

    async fn b07_what_came_back_is_whole_and_in_time(world) {
        let scene = Scene::of(world).await;
        let (browser, callback) = scene.until_callback("sub-ada").await;
        let changed = [
            with(&callback, "state", None),
            with(&callback, "state", Some("another")),
            with(&callback, "code", None),
            with(&callback, "code", Some("")),
            with(&callback, "code", Some("another")),
            with(&callback, "iss", None),
            with(&callback, "iss", Some("https://issuer.example")),
            with(&with(&callback, "code", None), "error", Some("access_denied")),
            with(&callback, "error", Some("access_denied")),
        ];
        for url in changed {
            let mut copy = browser.clone();
            let answer = copy.get(&url).await;
            refused(&copy, &answer, 401, "oidc_failed");
        }
        let cookie = browser.cookie(HOST, PENDING).unwrap().to_owned();
        for value in [format!("{cookie}A"), cookie[1..].to_owned(), "x".to_owned()] {
            let mut copy = browser.clone();
            copy.cookies.get_mut(HOST).unwrap().insert(PENDING.to_owned(), value);
            let answer = copy.get(&callback).await;
            refused(&copy, &answer, 401, "oidc_failed");
        }
        // What a provider adds is no matter.
        let (mut copy, callback) = scene.until_callback("sub-ada").await;
        let added = with(&callback, "session_state", Some("whatever"));
        assert_eq!(copy.get(&added).await.status, 303);
        let (mut late, callback) = scene.until_callback("sub-ada").await;
        scene.wait(600);
        let answer = late.get(&callback).await;
        refused(&late, &answer, 401, "oidc_failed");
    }

    async fn b07_nobody_is_sent_to_another_site(world) {
        let scene = Scene::of(world).await;
        for evil in [
            "//evil.example",
            "/%5Cevil.example",
            "%5C%5Cevil.example",
            "https:%2F%2Fevil.example",
            "javascript:alert(1)",
            "/%09/evil.example",
            "/%0d%0aset-cookie:%20a=b",
            "evil.example",
            "",
        ] {
            let mut browser = Browser::default();
            let answer = browser.get(&Url::parse(&scene.start(evil)).unwrap()).await;
            refused(&browser, &answer, 400, "invalid_return_to");
            assert_eq!(browser.cookie(HOST, PENDING), None);
        }
        // What a request says of itself does not decide where the code goes.
        let answer = scene.world.ask("GET", "/v1/oidc/corp/start", "x-forwarded-host: evil.example\r\n", None).await;
        let to = Url::parse(answer.header("location").unwrap()).unwrap();
        assert_eq!(Url::parse(&of(&to, "redirect_uri")).unwrap().host_str(), Some(HOST));
    }

    async fn b10_a_page_of_another_site_locks_its_visitors_out_of_nothing(world) {
        let scene = Scene::of(world).await;
        for _ in 0..=BORNE {
            let answer = scene.world.ask("GET", "/v1/oidc/callback?code=a&state=b", "", None).await;
            answer.problem(401, "oidc_failed");
        }
        let bearer = "authorization: Bearer nonsense\r\n";
        scene.world.ask("GET", "/v1/me", bearer, None).await.problem(401, "unauthorized");
        let (_, answer) = scene.sign_in("sub-ada").await;
        assert_eq!(answer.status, 200);
        scene.world.app.attempts.write_all(&scene.world.app).await.unwrap();
        let rows = scene.world.audited("login.failed").await;
        assert!(!format!("{rows:?}").contains("oidc"), "{rows:?}");
    }

    async fn b10_who_fails_too_often_is_sent_away_before_the_provider_is_asked(world) {
        let scene = Scene::of(world).await;
        for n in 0..VOUCHED {
            let mut browser = Browser::default();
            let sent = browser.get(&Url::parse(&scene.start("/v1/me")).unwrap()).await;
            let to = Url::parse(sent.header("location").unwrap()).unwrap();
            let callback = scene.world.url(&format!("/v1/oidc/callback?code=made-up&state={}", of(&to, "state")));
            let mut callback = Url::parse(&callback).unwrap();
            callback.query_pairs_mut().append_pair("iss", &scene.provider.issuer());
            let answer = browser.get(&callback).await;
            assert_eq!(answer.status, 401, "{n}");
        }
        scene.world.app.attempts.write_all(&scene.world.app).await.unwrap();
        let rows = scene.world.audited("login.failed").await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert!(rows[0].to_string().contains("oidc") && rows[0]["details"]["count"] == VOUCHED, "{rows:?}");
        let (mut browser, callback) = scene.until_callback("sub-ada").await;
        let answer = browser.get(&callback).await;
        refused(&browser, &answer, 429, "too_many_requests");
        scene.wait(16);
        let (_, answer) = scene.sign_in("sub-ada").await;
        assert_eq!(answer.status, 200);
        let (_, answer) = scene.sign_in("sub-ada").await;
        assert_eq!(answer.status, 200, "who gets in does not use it up");
    }

    async fn b07_what_is_pending_is_answered_once(world) {
        let scene = Scene::of(world).await;
        let (browser, callback) = scene.until_callback("sub-ada").await;
        // A wrong state is no answer; a wrong code is one.
        for (changed, status) in [("state", 401), ("code", 401)] {
            let mut copy = browser.clone();
            assert_eq!(copy.get(&with(&callback, changed, Some("made-up"))).await.status, status);
        }
        let mut copy = browser.clone();
        let answer = copy.get(&callback).await;
        refused(&copy, &answer, 401, "oidc_failed");
    }

    async fn b20_who_signs_in_anew_leaves_the_former_session(world) {
        let scene = Scene::of(world).await;
        let (mut browser, _) = scene.sign_in("sub-ada").await;
        let mut planted = browser.clone();
        assert_eq!(scene.me(&mut planted).await.status, 200);
        scene.next_is("sub-eve").await;
        browser.go(&scene.start("/v1/me"), None).await;
        assert_eq!(scene.me(&mut browser).await.status, 200);
        assert_eq!(scene.me(&mut planted).await.status, 401);
    }

    async fn b20_a_provider_that_is_set_anew_takes_no_answer_of_before(world) {
        let scene = Scene::of(world).await;
        let (mut browser, callback) = scene.until_callback("sub-ada").await;
        let mut settings = scene.settings();
        settings["issuer"] = json!("http://127.0.0.3:9");
        scene.world.must("PUT", "/v1/oidc/providers/corp", Some(settings)).await;
        let answer = browser.get(&callback).await;
        refused(&browser, &answer, 401, "oidc_failed");
    }

    async fn b20_who_is_not_allowed_any_more_is_not_let_in_by_an_answer_of_before(world) {
        let scene = Scene::of(world).await;
        let (mut browser, callback) = scene.until_callback("sub-ada").await;
        let mut settings = scene.settings();
        settings["allowed"] = json!(false);
        scene.world.must("PUT", "/v1/oidc/providers/corp", Some(settings)).await;
        let answer = browser.get(&callback).await;
        refused(&browser, &answer, 401, "oidc_failed");
        let answer = browser.get(&Url::parse(&scene.start("/")).unwrap()).await;
        refused(&browser, &answer, 404, "not_found");
    }
}
