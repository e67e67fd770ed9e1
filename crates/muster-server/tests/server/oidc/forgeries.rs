//! Tokens that the provider never made so.

use serde_json::json;

use crate::oidc::scene::{Scene, refused};
use crate::world::both;

const FORGERIES: [&str; 12] = [
    "alg-none",
    "alg-hs256",
    "other-client",
    "other-issuer",
    "other-nonce",
    "no-nonce",
    "expired",
    "from-the-future",
    "other-key",
    "unknown-key",
    "other-access-token",
    "cut",
];

both! {
    async fn b19_no_forged_token_lets_anybody_in(world) {
        let scene = Scene::of(world).await;
        for forgery in FORGERIES {
            scene.provider.set(&json!({ "forge": forgery })).await.unwrap();
            let (mut browser, callback) = scene.until_callback("sub-eve").await;
            let answer = browser.get(&callback).await;
            assert_eq!(answer.status, 401, "{forgery}: {}", answer.json());
            refused(&browser, &answer, 401, "oidc_failed");
        }
        scene.provider.set(&json!({ "forge": null })).await.unwrap();
        let (_, answer) = scene.sign_in("sub-eve").await;
        assert_eq!(answer.status, 200, "the token as the provider makes it is good");
    }

    async fn b19_new_keys_are_fetched_and_not_too_often(world) {
        let scene = Scene::of(world).await;
        let (_, answer) = scene.sign_in("sub-ada").await;
        assert_eq!(answer.status, 200);
        let fetched = async || scene.provider.state().await.unwrap()["fetched"]["jwks"].as_u64().unwrap();
        assert_eq!(fetched().await, 1, "they are fetched once and believed");
        scene.provider.set(&json!({ "forge": "rotated" })).await.unwrap();
        let (browser, answer) = scene.sign_in("sub-ada").await;
        refused(&browser, &answer, 401, "oidc_failed");
        assert_eq!(fetched().await, 1, "they were fetched a moment ago");
        scene.wait(61);
        let (_, answer) = scene.sign_in("sub-ada").await;
        assert_eq!((answer.status, fetched().await), (200, 2), "{}", answer.json());
        scene.provider.set(&json!({ "forge": "unknown-key" })).await.unwrap();
        for _ in 0..5 {
            let (browser, answer) = scene.sign_in("sub-ada").await;
            refused(&browser, &answer, 401, "oidc_failed");
        }
        assert_eq!(fetched().await, 2, "nobody makes this server fetch keys all the time");
    }
}
