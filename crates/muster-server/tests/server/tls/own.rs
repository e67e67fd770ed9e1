//! The server's own identity: the next key is known before it is shown.

use std::fs;
use std::sync::Arc;

use muster_server::backup::{Place, Restoration, Target, create, restore};
use muster_server::serve::{Running, TlsOptions, start};

use muster_wire::JoinString;
use serde_json::json;

use crate::tls::scene::{Scene, look, options};

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
    assert_eq!(look(running.machines.port()).await.1, shown);
    assert_eq!(running.app.installation.instruction_keys().said(), &said);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b23_a_rotation_that_broke_off_is_finished_not_repeated() {
    let scene = Scene::start(None).await;
    let host = scene.admit("alpha").await;
    scene.informed(host).await;
    let pins = join_pins(&scene).await;
    let rotate =
        async || scene.ask("POST", "/v1/installation/tls/rotate", Some(json!({ "force": false }))).await;
    // The folder takes no other next key: the switch breaks off between its two steps.
    let in_the_way = scene.folder.path().join(format!("data/tls/next.draft-{}", std::process::id()));
    fs::create_dir(&in_the_way).unwrap();
    assert_eq!(rotate().await.0, 500);
    assert_eq!((scene.pin().await, join_pins(&scene).await), (pins[0].clone(), pins.clone()));
    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(rotate().await.0, 200);
    assert_eq!(scene.pin().await, pins[1], "the key the host was told of, not the one after it");

    // Shown, and the database did not hear of it: what is said is made true, and nothing is switched again.
    scene.informed(host).await;
    let pins = join_pins(&scene).await;
    let tls = &scene.running.app.installation.tls;
    assert!(tls.switch(scene.running.app.clock.now(), &pins[1..]).unwrap());
    assert_eq!(rotate().await.0, 200);
    assert_eq!((scene.pin().await, &join_pins(&scene).await[0]), (pins[1].clone(), &pins[1]));
    assert_eq!(rotate().await.0, 409, "the host does not know the one after it");
    scene.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b23_a_next_key_nobody_was_told_of_is_not_shown() {
    let scene = Scene::start(None).await;
    let shown = scene.pin().await;
    fs::remove_file(scene.folder.path().join("data/tls/next.key")).unwrap();
    let (status, refused) =
        scene.ask("POST", "/v1/installation/tls/rotate", Some(json!({ "force": true }))).await;
    assert_eq!((status, &refused["code"]), (409, &json!("next_key_unannounced")));
    assert_eq!(scene.pin().await, shown);
    scene.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b23_a_server_whose_tls_key_is_gone_does_not_show_strangers_a_new_one() {
    let mut scene = Scene::start(None).await;
    let data = scene.folder.path().join("data");
    let (key, next) = (data.join("tls/tls.key"), data.join("tls/next.key"));
    scene.running.stop().await;
    // Nobody joined yet: whoever comes learns the key of today.
    fs::remove_file(&key).unwrap();
    scene.running = start(options(&scene.folder, TlsOptions::default())).await.unwrap();
    scene.admit("alpha").await;
    let (known, announced) = (scene.pin().await, scene.running.app.installation.tls.next_pins());
    let of_known = fs::read(&key).unwrap();

    // Gone while it runs: the look at the folder shows nothing else.
    fs::remove_file(&key).unwrap();
    scene.running.app.installation.tls.note_problem(Some("look again".to_owned()));
    let is_told = async |scene: &Scene| {
        let (_, status) = scene.ask("GET", "/v1/installation/tls", None).await;
        status["problem"].as_str().is_some_and(|why| why.contains("put back tls.key"))
    };
    scene.reloaded("whoever looks is told", is_told).await;
    assert_eq!(
        (scene.pin().await, scene.running.app.installation.tls.next_pins()),
        (known.clone(), announced)
    );
    scene.running.stop().await;

    // Gone when it starts, with what was made in its place, and without.
    let starts = async |accept_new_key: bool| -> Result<(Running, String), String> {
        let tls = TlsOptions { accept_new_key, ..TlsOptions::default() };
        let running = start(options(&scene.folder, tls)).await.map_err(|error| format!("{error:#}"))?;
        let pin = look(running.machines.port()).await.1;
        Ok((running, pin))
    };
    for _ in 0..2 {
        let refused = starts(false).await.map(|(_, pin)| pin).unwrap_err();
        assert!(refused.contains("the 1 hosts") && refused.contains("--accept-new-tls-key"), "{refused}");
        fs::remove_file(&key).unwrap();
    }
    fs::write(&key, &of_known).unwrap();
    fs::set_permissions(&key, fs::metadata(&next).unwrap().permissions()).unwrap();
    let (running, shown) = starts(false).await.unwrap();
    assert_eq!(shown, known);
    let announced = running.app.installation.tls.next_pins();
    running.stop().await;
    // A switch that broke off put there what hosts were told of.
    fs::rename(&next, &key).unwrap();
    let (running, shown) = starts(false).await.unwrap();
    assert_eq!([shown], announced[..]);
    running.stop().await;
    // Lost for good: a person says so, once.
    fs::remove_file(&key).unwrap();
    let (running, accepted) = starts(true).await.unwrap();
    running.stop().await;
    let (running, shown) = starts(false).await.unwrap();
    assert_eq!(shown, accepted);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c26_a_restore_from_before_a_rotation_of_tls_brings_agents_back_with_one_more_switch() {
    let mut scene = Scene::start(None).await;
    let host = scene.admit("alpha").await;
    scene.informed(host).await;
    let data_dir = scene.folder.path().join("data");
    let place = Place { data_dir: data_dir.clone(), database: None, master_key_file: None };
    let backup = scene.folder.path().join("a.backup");
    let target = Target::File { path: backup.clone(), replace: false };
    create(place.clone(), target, Arc::new(|_, _| {})).await.unwrap();
    let before = scene.pin().await;
    let force = |force: bool| Some(json!({ "force": force }));
    assert_eq!(scene.ask("POST", "/v1/installation/tls/rotate", force(false)).await.0, 200);
    let known_to_the_agent = scene.running.app.installation.instruction_keys().said().keys.clone();
    scene.running.stop().await;

    fs::rename(&data_dir, scene.folder.path().join("lost")).unwrap();
    let key = Some(scene.folder.path().join("lost/master.key"));
    restore(Restoration { backup, place, key }, Arc::new(|_, _| {})).await.unwrap();
    scene.running = start(options(&scene.folder, TlsOptions::default())).await.unwrap();
    assert_eq!(scene.pin().await, before);
    assert!(!known_to_the_agent.current.contains(&before) && !known_to_the_agent.next.contains(&before));
    assert_eq!(scene.ask("POST", "/v1/installation/tls/rotate", force(true)).await.0, 200);
    assert!(known_to_the_agent.current.contains(&scene.pin().await), "the agent knows it");
    scene.running.stop().await;
}
