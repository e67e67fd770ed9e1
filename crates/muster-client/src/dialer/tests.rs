use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{DialError, first_that_answers, resolve};

#[tokio::test]
async fn c28_an_address_that_does_not_answer_leaves_time_for_the_next() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let there = listener.local_addr().expect("an address");
    let silent = Silent::new().await;
    let each = Duration::from_millis(200);
    let all = [silent.address, silent.address, there];
    let dial = first_that_answers(&all, each, "name", "name:1");
    let reached =
        tokio::time::timeout(Duration::from_secs(5), dial).await.expect("nobody is waited for longer");
    assert_eq!(reached.expect("the last one answers").peer_addr().expect("connected"), there);
    let alone = [silent.address];
    let dial = first_that_answers(&alone, each, "name", "name:1");
    let error =
        tokio::time::timeout(Duration::from_secs(5), dial).await.expect("it ends").expect_err("nobody");
    assert!(
        matches!(&error, DialError::Unreachable { source, .. } if source.kind() == io::ErrorKind::TimedOut)
    );
}

/// An address that swallows packets: its queue is full, and nobody takes anything from it.
struct Silent {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Silent {
    async fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let listener = socket.listen(0).expect("a queue of nothing");
        let address = listener.local_addr().expect("an address");
        let mut queued = Vec::new();
        while let Ok(stream) =
            tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
        {
            queued.push(stream.expect("nobody refuses"));
            assert!(queued.len() < 64, "the queue is never full");
        }
        Self { address, _listener: listener, _queued: queued }
    }
}

#[tokio::test]
async fn c28_a_name_without_an_address_is_said_to_have_none() {
    let error = resolve("nowhere.invalid", 1).await.expect_err("reserved (RFC 6761)");
    assert!(matches!(&error, DialError::Resolve { host, .. } if host == "nowhere.invalid"), "{error:?}");
    assert_eq!(resolve("127.0.0.1", 1).await.expect("an address").len(), 1);
}
