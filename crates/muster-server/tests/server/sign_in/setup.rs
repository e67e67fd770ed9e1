//! The first admin may get login and password right away.

use serde_json::json;

use crate::sign_in::{PASSWORD, sign_in};
use crate::world::{Backend, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_admin_signs_in() {
    let world = World::start_new(Backend::Sqlite).await;
    let code = world.setup_code();
    let mut body = json!({ "code": code, "admin_name": "Ada", "login": "ada" });
    let ask = async |body: &serde_json::Value| world.ask("POST", "/v1/setup", "", Some(body.clone())).await;
    ask(&body).await.invalid("/password", "required");
    body["password"] = "adaadaadaadaada".into();
    ask(&body).await.invalid("/password", "repeated");
    body["password"] = PASSWORD.into();
    body["login"] = "Ada L".into();
    ask(&body).await.invalid("/login", "malformed");
    body["login"] = "Ada.L".into();
    assert_eq!(ask(&body).await.status, 201);
    assert_eq!(sign_in(&world, "ada.l", PASSWORD).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_code_hashes_nothing() {
    let world = World::start_new(Backend::Sqlite).await;
    let places = (
        world.app.budgets.passwords.take().await.unwrap(),
        world.app.budgets.passwords.take().await.unwrap(),
    );
    let body =
        json!({ "code": "AAAA-AAAA-AAAA-AAAA", "admin_name": "Ada", "login": "ada", "password": PASSWORD });
    world.ask("POST", "/v1/setup", "", Some(body)).await.problem(403, "wrong_setup_code");
    drop(places);
}
