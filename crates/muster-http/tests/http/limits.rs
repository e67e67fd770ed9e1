//! Slow, idle, silent and too many peers.

use std::time::{Duration, Instant};

use muster_http::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::server::{Answer, drain, get_path, short, start};

const JUST_OVER: Duration = Duration::from_millis(1900);

#[expect(clippy::disallowed_methods, reason = "measures how long a socket stays open")]
fn stopwatch() -> Instant {
    Instant::now()
}

/// Waits until the server takes connections again; a place is freed just after its peer sees the end.
async fn check_served_again(address: std::net::SocketAddr) {
    let served = async {
        while get_path(address, "/ok").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3), served).await.expect("a place is free");
}

/// Turns a connection into a channel.
async fn upgrade(channel: &mut TcpStream) {
    let upgrade = "GET /ws HTTP/1.1\r\nHost: m\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    channel.write_all(upgrade.as_bytes()).await.expect("write");
    let mut head = [0; 12];
    channel.read_exact(&mut head).await.expect("answer");
    assert_eq!(&head, b"HTTP/1.1 101");
}

/// Opens a connection, writes `first`, then `drip` every 50 ms, and expects it closed in time.
async fn check_closed(address: std::net::SocketAddr, first: &str, drip: &str) -> String {
    let started = stopwatch();
    let stream = TcpStream::connect(address).await.expect("connect");
    let (mut reader, mut writer) = stream.into_split();
    writer.write_all(first.as_bytes()).await.expect("write");
    let drip = drip.to_owned();
    let dripping = tokio::spawn(async move {
        while !drip.is_empty() && writer.write_all(drip.as_bytes()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // An idle peer keeps its side open.
        tokio::time::sleep(Duration::from_secs(5)).await;
        drop(writer);
    });
    let mut text = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(4), async {
        let mut chunk = [0; 1024];
        while let Ok(count @ 1..) = reader.read(&mut chunk).await {
            text.extend_from_slice(&chunk[..count]);
        }
    });
    read.await.expect("the server closes");
    dripping.abort();
    assert!(started.elapsed() < JUST_OVER, "{first:?} was open for {:?}", started.elapsed());
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn idle_and_dripping_peers_are_closed_in_time_while_others_are_served() {
    let server = start(Limits { max_connections: 100, ..short() }).await;
    let address = server.address;
    let mut slow = Vec::new();
    for _ in 0..10 {
        slow.push(tokio::spawn(check_closed(address, "", "")));
        slow.push(tokio::spawn(check_closed(address, "GET /ok HTTP/1.1\r\nHost: m\r\n", "")));
        slow.push(tokio::spawn(check_closed(address, "GET /ok HTTP/1.1\r\nHost: m\r\nX: ", "a")));
        slow.push(tokio::spawn(check_closed(address, "GET /ok HTTP/1.1\r\nHost: m\r\n\r\n", "")));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(get_path(address, "/ok").await.status, 200);
    for peer in slow {
        peer.await.expect("closed in time");
    }
}

#[tokio::test]
async fn a_slow_body_is_408_and_closed() {
    let server = start(short()).await;
    let head =
        "POST /things HTTP/1.1\r\nHost: m\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";
    for drip in ["", " "] {
        let text = check_closed(server.address, head, drip).await;
        Answer::parse(&text).problem(408, "request_timeout");
    }
}

#[tokio::test]
async fn a_peer_that_never_reads_is_dropped() {
    let server = start(Limits { max_connections: 1, ..short() }).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connect");
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: m\r\n\r\n").await.expect("write");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(get_path(server.address, "/ok").await.status, 0, "its place is taken");
    check_served_again(server.address).await;
}

#[tokio::test]
async fn over_the_cap_new_connections_are_closed_and_old_ones_served() {
    let limits = Limits { max_connections: 3, head_within: Duration::from_secs(5), ..short() };
    let server = start(limits).await;
    let mut kept = TcpStream::connect(server.address).await.expect("connect");
    let _idle = [TcpStream::connect(server.address).await, TcpStream::connect(server.address).await];
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..5 {
        let mut refused = TcpStream::connect(server.address).await.expect("connect");
        assert_eq!(drain(&mut refused).await, "");
    }
    kept.write_all(b"GET /ok HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n").await.expect("write");
    assert_eq!(Answer::parse(&drain(&mut kept).await).status, 200);
    check_served_again(server.address).await;
}

/// Connects from another address of this machine.
async fn from_other_source(address: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("socket");
    socket.bind("127.0.0.2:0".parse().expect("an address")).expect("bind");
    socket.connect(address).await.expect("connect")
}

#[tokio::test]
async fn b13_one_source_takes_its_share_and_another_one_is_served() {
    let head_within = Duration::from_secs(5);
    let server = start(Limits { max_per_loopback: 3, head_within, ..short() }).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(TcpStream::connect(server.address).await.expect("connect"));
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(get_path(server.address, "/ok").await.status, 0, "its share is taken");
    let mut other = from_other_source(server.address).await;
    other.write_all(b"GET /ok HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n").await.expect("write");
    assert_eq!(Answer::parse(&drain(&mut other).await).status, 200);
    drop(idle);
    check_served_again(server.address).await;
}

#[tokio::test]
async fn upgraded_connections_do_not_count_against_their_source() {
    let server = start(Limits { max_per_loopback: 1, ..short() }).await;
    let mut channels = Vec::new();
    for _ in 0..4 {
        let mut channel = TcpStream::connect(server.address).await.expect("connect");
        upgrade(&mut channel).await;
        channels.push(channel);
    }
    assert_eq!(get_path(server.address, "/ok").await.status, 200);
}

#[tokio::test]
async fn an_upgraded_connection_keeps_its_place_until_it_ends() {
    let server = start(Limits { max_connections: 1, ..short() }).await;
    let mut channel = TcpStream::connect(server.address).await.expect("connect");
    upgrade(&mut channel).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(get_path(server.address, "/ok").await.status, 0, "a channel is open longer than any deadline");
    drop(channel);
    check_served_again(server.address).await;
}

#[tokio::test]
async fn shutdown_finishes_what_is_in_flight_and_accepts_no_more() {
    let server = start(short()).await;
    let slow = tokio::spawn(get_path(server.address, "/slow"));
    let mut idle = TcpStream::connect(server.address).await.expect("connect");
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.shutdown.cancel();
    assert_eq!(slow.await.expect("answered").body, "slow");
    assert_eq!(drain(&mut idle).await, "");
    tokio::time::timeout(Duration::from_secs(2), server.task).await.expect("ends in time").expect("no panic");
    assert!(TcpStream::connect(server.address).await.is_err());
}
