//! The server's own identity: the next key is known before it is shown.

use muster_wire::JoinString;
use serde_json::json;

use crate::scene::{Scene, options};

async fn join_pins(scene: &Scene) -> Vec<String> {
    let (_, minted) = scene.ask("POST", "/v1/enrolment-tokens", Some(json!({}))).await;
    let join: JoinString = minted["join_string"].as_str().unwrap().parse().unwrap();
    join.pins
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b23_a_rotation_waits_for_every_host_and_shows_what_was_announced() {
    let scene = Scene::start(None).await;
    let host = scene.admit("alpha").await;
    let pins = join_pins(&scene).await;
    assert_eq!((pins.len(), &pins[0]), (2, &scene.pin().await));
    let rotate = async |force: bool| {
        scene.ask("POST", "/v1/installation/tls/rotate", Some(json!({ "force": force }))).await
    };
    let (status, refused) = rotate(false).await;
    assert_eq!(
        (status, &refused["code"], &refused["not_informed"]),
        (409, &json!("hosts_not_informed"), &json!(1))
    );
    assert_eq!(scene.pin().await, pins[0]);
    scene.informed(host).await;
    let (status, rotated) = rotate(false).await;
    assert_eq!(status, 200, "{rotated}");
    assert_eq!(scene.pin().await, pins[1], "what was announced is shown");
    let after = join_pins(&scene).await;
    assert_eq!(after[0], pins[1]);
    assert!(!pins.contains(&after[1]), "another next one was made");
    // The host that keeps the former statement knows the key in use, and not the one after it.
    assert_eq!(rotate(false).await.0, 409);
    assert_eq!(rotate(true).await.0, 200);
    assert_eq!(scene.pin().await, after[1]);
    assert!(!join_pins(&scene).await.contains(&pins[0]));

    // A restart shows the same key and says nothing new.
    let said = scene.running.app.installation.instruction_keys().said().clone();
    let (folder, shown) = (scene.folder, after[1].clone());
    scene.running.stop().await;
    let running = muster_server::serve::start(options(&folder, Default::default())).await.unwrap();
    assert_eq!(crate::scene::look(running.machines.port()).await.1, shown);
    assert_eq!(running.app.installation.instruction_keys().said(), &said);
    running.stop().await;
}
