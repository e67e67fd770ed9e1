//! How a server stops: nobody is left without a word, and it does not take long (C23).

use std::time::Duration;

use muster_domain::presence::comeback_window;
use tokio::net::TcpStream;

use crate::tls::scene::{Scene, options};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c23_a_stop_ends_in_time_with_a_peer_that_never_ends() {
    let scene = Scene::start(None).await;
    let (_idle, _) = scene.look().await;
    let _silent = TcpStream::connect(scene.running.machines).await.unwrap();
    let address = scene.running.machines;
    tokio::time::timeout(Duration::from_secs(30), scene.running.stop()).await.expect("within 30 seconds");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c23_a_start_counts_the_fleet_that_is_still_away() {
    let scene = Scene::start(None).await;
    for n in 0..3 {
        scene.admit(&format!("m{n}")).await;
    }
    assert_eq!(scene.running.app.hub.fleet(), 0, "nobody was there when it started");
    let folder = scene.folder;
    scene.running.stop().await;
    let running = muster_server::serve::start(options(&folder, Default::default())).await.unwrap();
    assert_eq!((running.app.hub.len(), running.app.hub.fleet()), (0, 3));
    assert!(comeback_window(100_000) > comeback_window(3), "the window grows with the fleet");
    running.stop().await;
}
