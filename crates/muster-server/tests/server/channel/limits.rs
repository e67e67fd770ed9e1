//! What one socket may cost.

use std::time::Duration;

use muster_wire::channel::close;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::channel::repo;
use crate::world::both;

both! {
    async fn b14_a_frame_over_4_kib_before_the_hello_is_refused(world) {
        let host = world.join("alpha", repo()).await;
        for len in [4097, 100_000, 2 * 1024 * 1024] {
            let mut socket = host.dial(&world).await;
            socket.send_frame(Message::text("x".repeat(len))).await;
            socket.closes_with(close::TOO_BIG).await;
        }
    }

    async fn b14_a_frame_over_1_mib_is_refused_later_too(world) {
        let host = world.join("alpha", repo()).await;
        let (mut socket, _) = host.connect(&world, None).await;
        socket.send_frame(Message::text("x".repeat(1024 * 1024 + 1))).await;
        socket.closes_with(close::TOO_BIG).await;
    }

    async fn b13_a_socket_that_says_nothing_is_closed_after_ten_seconds(world) {
        let host = world.join("alpha", repo()).await;
        let mut silent = host.dial(&world).await;
        let mut welcomed = host.dial(&world).await;
        welcomed.welcome(&host, &world, None).await;
        assert_eq!(silent.within(Duration::from_secs(9)).await, None);
        for socket in [&mut silent, &mut welcomed] {
            socket.closes_with(close::POLICY).await;
        }
        world.disconnected(&host).await;
    }

    async fn b14_a_flood_of_pings_is_cut_off(world) {
        let host = world.join("alpha", repo()).await;
        let mut socket = host.dial(&world).await;
        for _ in 0..1100 {
            socket.send_frame(Message::Ping(Vec::new().into())).await;
        }
        socket.closes_with(close::POLICY).await;
    }

    async fn b14_a_reader_that_does_not_read_is_dropped(world) {
        let host = world.join("alpha", repo()).await;
        let (socket, _) = host.connect(&world, None).await;
        let path = format!("/v1/hosts/{}/secrets", host.host_id);
        for n in 0..20 {
            let body = json!({ "filling": "x".repeat(30_000) });
            world.must("PUT", &format!("{path}/s{n}"), Some(body)).await;
        }
        for n in 0..60 {
            world.must("PUT", &format!("{path}/s1"), Some(json!({ "n": n }))).await;
        }
        world.disconnected(&host).await;
        drop(socket);
    }
}
