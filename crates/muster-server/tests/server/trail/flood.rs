//! Operators get in while the server is busy with everybody else.

use std::sync::{Arc, Mutex, mpsc};

use muster_store::StoreError;

use crate::world::{Backend, World, until};

/// More readers than a world's pool has seats for.
const READERS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_revoked_while_a_flood_holds_every_seat() {
    let world = World::start(Backend::Postgres).await;
    world.site_key().await;
    let tickets = world.must("GET", "/v1/tickets", None).await;
    let id = tickets["items"][0]["id"].as_str().unwrap().to_owned();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let flood: Vec<_> = (0..READERS)
        .map(|_| {
            let (app, wait) = (world.app.clone(), Arc::clone(&wait));
            tokio::spawn(async move {
                let read = app.look(move |_| {
                    let _ = wait.lock().unwrap().recv();
                    Ok::<_, StoreError>(())
                });
                read.await
            })
        })
        .collect();
    let is_full = async || world.admin("GET", "/v1/tickets", None).await.status == 503;
    until("the flood holds the seats", is_full).await;
    let revoked = world.must("POST", &format!("/v1/tickets/{id}/revoke"), None).await;
    assert_eq!(revoked["status"], "revoked");
    drop(go);
    for read in flood {
        let _ = read.await.unwrap();
    }
}
