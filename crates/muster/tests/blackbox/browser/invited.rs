//! How people get in.

use http::Method;
use serde_json::json;

use super::Scene;
use super::scene::{PASSWORD, play};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_invited_opens_the_link_and_is_signed_in() {
    let scene = Scene::start().await;
    let invited = scene.post("/v1/invitations", &json!({ "name": "Grace Hopper", "role": "operator" })).await;
    let (url, secret) = (invited["url"].as_str().unwrap(), invited["token"].as_str().unwrap());
    // The link names the address that others reach the server at; here it is another one.
    let link = &url[url.find("/invitation").expect("the link leads to the page")..];
    assert_eq!(link, format!("/invitation#{secret}"));
    let settings = json!({
        "login": "grace", "password": PASSWORD, "link": link, "secret": secret, "name": "Grace Hopper",
    });
    play(&scene.installation.server, "invitation", &settings).ends().await;
    let invitation = invited["invitation"]["id"].as_str().unwrap();
    let listed = scene.installation.ask(Method::GET, "/v1/invitations", None).await.json;
    let listed =
        listed["items"].as_array().unwrap().iter().find(|one| one["id"] == invitation).unwrap().clone();
    assert_eq!(listed["status"], "accepted", "{listed}");
}
