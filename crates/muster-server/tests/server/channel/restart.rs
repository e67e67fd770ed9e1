//! The server leaves on purpose: everybody is told, and each has its own second to come back (C23).

use muster_domain::presence::comeback_hint;
use muster_wire::channel::{ServerMessage, close};
use serde_json::json;

use crate::world::{Told, both, until};

both! {
    async fn c23_a_leaving_server_spreads_its_fleet_and_lets_nobody_in_any_more(world) {
        const HOSTS: usize = 4;
        let mut sockets = Vec::new();
        for n in 0..HOSTS {
            let host = world.join(&format!("m{n}"), json!({})).await;
            let (socket, generation) = host.connect(&world, None).await;
            sockets.push((host, socket, generation));
        }
        world.app.hub.close();
        world.app.hub.leave_all();
        let mut hints = Vec::new();
        for (_, socket, _) in &mut sockets {
            let ServerMessage::Goodbye { reason, retry_after_secs } = socket.message().await else {
                panic!("no goodbye")
            };
            assert_eq!(reason.as_str(), "restart");
            hints.push(retry_after_secs);
            assert!(matches!(socket.next().await, Told::Closed(close::RESTART, _)));
        }
        hints.sort_unstable();
        let expected: Vec<u32> = (0..HOSTS).map(|place| comeback_hint(place, HOSTS)).collect();
        assert_eq!(hints, expected);
        until("everybody is gone", async || world.app.hub.is_empty()).await;
        // Who comes while it leaves is sent away, and not kept.
        let (host, _, generation) = &sockets[0];
        let mut late = host.dial(&world).await;
        let claims = late.claims(host, &world, Some(generation.clone()));
        late.hello(host, &claims).await;
        late.closes_with(close::TRY_LATER).await;
        assert!(world.app.hub.is_empty());
        assert_eq!(world.events("clone.suspected").await, [""; 0]);
    }

    async fn c23_the_window_of_the_welcome_is_that_of_the_whole_fleet(world) {
        world.app.hub.expect(10_000);
        let host = world.join("alpha", json!({})).await;
        let mut socket = host.dial(&world).await;
        let claims = socket.claims(&host, &world, None);
        socket.hello(&host, &claims).await;
        let ServerMessage::Welcome { reconnect_window_secs, .. } = socket.message().await else {
            panic!("no welcome")
        };
        let of_all = muster_domain::presence::comeback_window(10_000).as_secs();
        assert_eq!(reconnect_window_secs.map(u64::from), Some(of_all), "not of the one that is back");
    }
}
