use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;

use super::{DialError, first_that_answers, resolve};

#[tokio::test]
async fn c28_an_address_that_does_not_answer_leaves_time_for_the_next() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let there = listener.local_addr().expect("an address");
    // For documentation (RFC 5737): nobody answers, or the way there is refused.
    let nobody = SocketAddr::from(([192, 0, 2, 123], there.port()));
    let each = Duration::from_millis(200);
    let reached = first_that_answers(&[nobody, nobody, there], each, "name", "name:1").await;
    assert_eq!(reached.expect("the last one answers").peer_addr().expect("connected"), there);
    let error = first_that_answers(&[nobody], each, "name", "name:1").await.expect_err("nobody");
    assert!(matches!(error, DialError::Unreachable { .. } | DialError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn c28_a_name_without_an_address_is_said_to_have_none() {
    let error = resolve("nowhere.invalid", 1).await.expect_err("reserved (RFC 6761)");
    assert!(matches!(&error, DialError::Resolve { host, .. } if host == "nowhere.invalid"), "{error:?}");
    assert_eq!(resolve("127.0.0.1", 1).await.expect("an address").len(), 1);
}
