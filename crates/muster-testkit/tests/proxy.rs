//! The proxy passes everything on, until it is told to fail.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use muster_testkit::http;
use muster_testkit::proxy::{Fault, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
const WITHIN: Duration = Duration::from_secs(2);

/// A server that answers every request alike and counts them.
async fn server() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, requests) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut head = vec![0; REQUEST.len()];
                while stream.read_exact(&mut head).await.is_ok() {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let _ = stream.write_all(ANSWER).await;
                }
            });
        }
    });
    (address, requests)
}

async fn check(fault: Fault, answer: Option<&[u8]>, requests_seen: usize) {
    let (address, requests) = server().await;
    let proxy = Proxy::start(address).await.unwrap();
    proxy.fail(fault.clone());
    let asked = http::ask(proxy.address(), REQUEST, WITHIN).await;
    let got = asked.ok().flatten().map(|answer| answer.body);
    assert_eq!(got.as_deref(), answer, "{fault:?}");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(requests.load(Ordering::SeqCst), requests_seen, "{fault:?}");
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn each_fault_is_what_its_name_says() {
    let whole: Option<&[u8]> = Some(b"hello");
    check(Fault::None, whole, 1).await;
    check(Fault::Refuse, None, 0).await;
    check(Fault::CutBeforeReply { from_turn: 1 }, None, 1).await;
    check(Fault::CutBeforeReply { from_turn: 2 }, whole, 1).await;
    check(Fault::CutReplyAfter { bytes: 20 }, None, 1).await;
    check(Fault::CutReplyAfter { bytes: ANSWER.len() - 2 }, Some(b"hel"), 1).await;
    check(Fault::CutRequestAfter { bytes: 10 }, None, 0).await;
    check(Fault::Delay(Duration::from_millis(20)), whole, 1).await;
    check(Fault::Duplicate, whole, 2).await;
    let canned = b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno".to_vec();
    check(Fault::Answer(canned), Some(b"no"), 0).await;
}

#[tokio::test]
async fn held_replies_end_with_a_cut() {
    let (address, requests) = server().await;
    let proxy = Proxy::start(address).await.unwrap();
    proxy.fail(Fault::HoldReplies { from_turn: 1 });
    let asking = http::ask(proxy.address(), REQUEST, WITHIN);
    let cutting = async {
        while requests.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        proxy.cut();
    };
    let (asked, ()) = tokio::join!(asking, cutting);
    assert!(matches!(asked, Ok(None)), "{asked:?}");
    proxy.fail(Fault::None);
    let answer = http::ask(proxy.address(), REQUEST, WITHIN).await.unwrap();
    assert_eq!(answer.map(|answer| answer.status), Some(200));
}

#[tokio::test]
async fn what_is_idle_is_cut_and_counted() {
    let (address, requests) = server().await;
    let proxy = Proxy::start(address).await.unwrap();
    proxy.fail(Fault::CutWhenIdle(Duration::from_millis(200)));
    let mut stream = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(WITHIN, stream.read_to_end(&mut answer)).await.expect("it is cut").unwrap();
    assert_eq!((answer.as_slice(), requests.load(Ordering::SeqCst)), (ANSWER, 1));
    assert_eq!(proxy.idle_cuts(), 1);
}
