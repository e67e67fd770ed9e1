//! What stands between server and agent cuts a connection on which one side says nothing for a minute or less
//! (SECURITY C12).

use std::sync::mpsc;
use std::time::Duration;

use crate::channel::repo;
use crate::world::{Backend, World};

/// The longest silence the server promises, and the millisecond by which a timer of the runtime may be late.
const SILENCE: Duration = Duration::from_millis(25_001);
/// How long a frame that is due may take, by the machine's own clock.
const DUE_WITHIN: Duration = Duration::from_secs(10);

/// The runtime's clock moves by hand alone. The channel is at rest: nothing is due on it but its pings.
#[tokio::test]
async fn c12_a_server_is_never_silent_for_longer_than_25_seconds() {
    let world = World::start(Backend::Sqlite).await;
    let host = world.join("alpha", repo()).await;
    let (mut socket, _) = host.connect(&world, None).await;
    while socket.within(Duration::from_millis(300)).await.is_some() {}
    for _ in 0..8 {
        // Time would go by of itself as soon as everybody waits, but for a thread that works.
        let (heard, waiting) = mpsc::channel::<()>();
        let patience = tokio::task::spawn_blocking(move || waiting.recv_timeout(DUE_WITHIN));
        tokio::time::pause();
        tokio::time::advance(SILENCE).await;
        tokio::select! {
            is_open = socket.frame() => assert!(is_open, "the channel ended"),
            _ = patience => panic!("the server said nothing for more than 25 seconds"),
        }
        tokio::time::resume();
        drop(heard);
    }
}
