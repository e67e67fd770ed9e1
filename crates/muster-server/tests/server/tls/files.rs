//! Certificates in files: shown from the next handshake on, or not at all.

use std::fs;

use muster_server::serve::{TlsOptions, start};
use rcgen::KeyPair;

use crate::tls::scene::{Scene, certificate_of, exchange, options, paths, pin_of, write_pair};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_a_new_pair_is_shown_without_a_restart_and_open_connections_stay() {
    let (first, second) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let scene = Scene::start(Some((&first, false))).await;
    let (mut open, pin) = scene.look().await;
    assert_eq!(pin, pin_of(&first));
    let port = scene.running.machines.port();
    assert_eq!(exchange(&mut open, "GET", "/healthz", "", None, port).await.0, 200);

    write_pair(scene.folder.path(), &second, 0..30);
    scene.reloaded("the new pair is shown", async |scene| scene.pin().await == pin_of(&second)).await;
    assert_eq!(exchange(&mut open, "GET", "/healthz", "", None, port).await.0, 200, "the open one goes on");
    // Publicly valid ones are nobody's pin.
    let (_, minted) = scene.ask("POST", "/v1/enrolment-tokens", Some(serde_json::json!({}))).await;
    let join: muster_wire::JoinString = minted["join_string"].as_str().unwrap().parse().unwrap();
    assert_eq!(join.pins, [""; 0]);
    let expires_at = scene.metric("muster_certificate_expires_at_seconds").await;
    let days = (expires_at - muster_edge::Clock::system().now().as_secs()) / 86_400;
    assert_eq!((days, scene.metric("muster_certificate_not_shown").await), (29, 0));
    scene.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_a_broken_pair_is_not_shown_and_everybody_who_looks_is_told() {
    let (first, second) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let scene = Scene::start(Some((&first, false))).await;
    let (certificate, key) = paths(scene.folder.path());
    let problem = async |scene: &Scene| {
        scene.ask("GET", "/v1/installation/tls", None).await.1["problem"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    for (what, text, said) in [
        ("of another key", certificate_of(&second, 0..30), "does not belong"),
        ("expired", certificate_of(&first, -30..0), "expired"),
        ("not one", "not a certificate".to_owned(), "does not hold a usable certificate"),
    ] {
        fs::write(&certificate, text).unwrap();
        scene.reloaded(what, async |scene| problem(scene).await.contains(said)).await;
        assert_eq!(scene.pin().await, pin_of(&first), "{what}: the one before goes on");
        assert_eq!(scene.metric("muster_certificate_not_shown").await, 1);
    }
    fs::remove_file(&key).unwrap();
    scene.reloaded("no key", async |scene| problem(scene).await.contains("cannot read")).await;
    assert_eq!(scene.pin().await, pin_of(&first));
    // And whole again.
    write_pair(scene.folder.path(), &second, 0..30);
    scene.reloaded("the whole pair is shown", async |scene| scene.pin().await == pin_of(&second)).await;
    assert_eq!(problem(&scene).await, "");
    scene.running.stop().await;
}

#[tokio::test]
async fn a_pair_that_does_not_hold_is_refused_at_the_start_in_words() {
    let (first, second) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let refused = async |spoil: &dyn Fn(&std::path::Path)| {
        let folder = tempfile::tempdir().unwrap();
        write_pair(folder.path(), &first, 0..30);
        spoil(folder.path());
        let tls = TlsOptions { files: Some(paths(folder.path())), ..TlsOptions::default() };
        match start(options(&folder, tls)).await {
            Ok(_) => panic!("it started"),
            Err(error) => format!("{error:#}"),
        }
    };
    let expired = refused(&|folder| write_pair(folder, &first, -30..0)).await;
    assert!(expired.contains("expired at") && expired.contains("server.crt"), "{expired}");
    let mismatch = refused(&|folder| fs::write(paths(folder).1, second.serialize_pem()).unwrap()).await;
    assert!(mismatch.contains("the key does not belong to the first certificate"), "{mismatch}");
    let early = refused(&|folder| write_pair(folder, &first, 2..30)).await;
    assert!(early.contains("is valid from"), "{early}");
    let absent = refused(&|folder| fs::remove_file(paths(folder).0).unwrap()).await;
    assert!(absent.contains("cannot read"), "{absent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b23_a_pinned_key_is_not_shown_before_every_host_knows_it() {
    let (first, second) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let folder = tempfile::tempdir().unwrap();
    write_pair(folder.path(), &first, 0..30);
    let announced = folder.path().join("next.pem");
    fs::write(&announced, KeyPair::generate().unwrap().public_key_pem()).unwrap();
    let tls = TlsOptions {
        files: Some(paths(folder.path())),
        pin: true,
        announce: Some(announced.clone()),
        ..TlsOptions::default()
    };
    let scene = Scene::with(folder, tls).await;
    let host = scene.admit("alpha").await;
    scene.informed(host).await;
    let problem = async |scene: &Scene| {
        scene.ask("GET", "/v1/installation/tls", None).await.1["problem"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    // With the same key a new certificate is nobody's business.
    write_pair(scene.folder.path(), &first, 0..60);
    scene
        .reloaded("the renewed one is shown", async |scene| {
            let expires_at = scene.metric("muster_certificate_expires_at_seconds").await;
            expires_at > muster_edge::Clock::system().now().as_secs() + 50 * 86_400
        })
        .await;
    // A key that nobody was told of.
    write_pair(scene.folder.path(), &second, 0..30);
    scene.reloaded("refused", async |scene| problem(scene).await.contains("was not announced")).await;
    assert_eq!(scene.pin().await, pin_of(&first));
    // Announced, and not known to the host yet.
    fs::write(&announced, certificate_of(&second, 0..30)).unwrap();
    scene.reloaded("it waits", async |scene| problem(scene).await.contains("1 of 1 hosts")).await;
    assert_eq!(scene.pin().await, pin_of(&first));
    let status = scene.ask("GET", "/v1/installation/tls", None).await.1;
    assert_eq!(status["next_pins"][0], pin_of(&second));
    scene.informed(host).await;
    scene.reloaded("it is shown", async |scene| scene.pin().await == pin_of(&second)).await;
    assert_eq!(problem(&scene).await, "");
    scene.running.stop().await;
}
