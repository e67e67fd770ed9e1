//! Who the server is, is settled before it hears anything.

use bytes::Bytes;
use http::Request;
use muster_client::{DialError, Dialer, ProxyRules, WsDialError};

use crate::peers::{
    answering, chain, dialer, dialer_through, identity, proxy, quick, silent, stolen_certificate,
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn with_credential() -> Request<Bytes> {
    Request::get("/v1/x").header("authorization", "Bearer canary").body(Bytes::new()).expect("request")
}

#[tokio::test]
async fn the_pinned_key_is_enough_whatever_name_and_dates_say() {
    let (tls, pin) = identity();
    let server = answering(OK, Some(tls)).await;
    let (_, next) = identity();
    for pins in [vec![pin.clone()], vec![next, pin]] {
        let answer = dialer(&pins).request(with_credential(), &server.url("https")).await.expect("answer");
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"ok"[..]));
    }
    assert!(server.text().contains("canary"));
}

#[tokio::test]
async fn another_key_hears_no_byte_of_the_credential() {
    let (tls, got) = identity();
    let (_, expected) = identity();
    let server = answering(OK, Some(tls)).await;
    let error = dialer(std::slice::from_ref(&expected))
        .request(with_credential(), &server.url("https"))
        .await
        .expect_err("wrong key");
    assert!(matches!(error, DialError::PinMismatch { .. }), "{error:?}");
    let text = chain(&error);
    assert!(text.contains(&expected) && text.contains(&got) && text.contains("nothing was sent"), "{text}");
    assert_eq!(server.text(), "");
}

#[tokio::test]
async fn the_pinned_certificate_without_its_key_hears_nothing() {
    let (tls, pin) = stolen_certificate();
    let server = answering(OK, Some(tls)).await;
    let error = dialer(&[pin]).request(with_credential(), &server.url("https")).await.expect_err("stolen");
    assert!(matches!(error, DialError::Tls { .. }), "{error:?}");
    assert_eq!(server.text(), "");
}

#[tokio::test]
async fn without_pins_a_self_signed_certificate_is_refused() {
    let (tls, _) = identity();
    let server = answering(OK, Some(tls)).await;
    let Ok(dialer) = Dialer::new(&[], ProxyRules::none(), quick()) else {
        return; // This machine has no trust store at all: refused even earlier.
    };
    let error = dialer.request(with_credential(), &server.url("https")).await.expect_err("untrusted");
    assert!(matches!(error, DialError::Tls { .. }), "{error:?}");
    assert_eq!(server.text(), "");
}

#[tokio::test]
async fn plain_http_is_for_this_machine_only() {
    let server = answering(OK, None).await;
    let dialer = dialer(&[identity().1]);
    let local = format!("http://localhost:{}", server.address.port()).parse().expect("url");
    assert!(dialer.request(with_credential(), &local).await.is_ok());
    assert!(dialer.request(with_credential(), &server.url("http")).await.is_ok());
    for url in ["http://192.0.2.1:8600/", "http://muster.example/", "ws://10.0.0.1/", "http://[2001:db8::1]/"]
    {
        let error = dialer.request(with_credential(), &url.parse().expect("url")).await.expect_err(url);
        assert!(matches!(error, DialError::PlainHttp { .. }), "{error:?}");
        assert!(error.to_string().contains("https://"), "{error}");
    }
}

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel_and_the_pin_holds_through_it() {
    let (tls, pin) = identity();
    let server = answering(OK, Some(tls)).await;
    let proxy_peer = proxy(server.address, "200 Connection established").await;
    let url = "https://muster.test:8643/".parse().expect("url");

    let answer = dialer_through(&[pin], &proxy_peer).request(with_credential(), &url).await.expect("answer");
    assert_eq!(answer.status.as_u16(), 200);
    let asked = proxy_peer.text();
    assert!(asked.starts_with("CONNECT muster.test:8643 HTTP/1.1\r\nHost: muster.test:8643\r\n"), "{asked}");
    assert!(asked.contains("Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n"), "{asked}");
    assert!(!asked.contains("canary"), "{asked}");

    server.received.lock().expect("record").clear();
    let error = dialer_through(&[identity().1], &proxy_peer).request(with_credential(), &url).await;
    assert!(matches!(error.expect_err("wrong key"), DialError::PinMismatch { .. }));
    assert_eq!(server.text(), "");
}

#[tokio::test]
async fn a_proxy_that_refuses_says_what_it_refuses() {
    let url = "https://muster.test/".parse().expect("url");
    for (status, words) in [
        ("407 Proxy Authentication Required", "wants a user and a password"),
        ("502 Bad Gateway", "cannot reach muster.test:443"),
        ("504 Gateway Timeout", "is the server running"),
        ("403 Forbidden", "does not allow connections to muster.test:443"),
        ("302 Found", "refused to connect to muster.test:443"),
    ] {
        let refusing = proxy("127.0.0.1:1".parse().expect("address"), status).await;
        let dialer = dialer_through(&[identity().1], &refusing);
        let error = dialer.request(with_credential(), &url).await.expect_err(status);
        let DialError::ProxyRefused { status: told, .. } = &error else { panic!("{error:?}") };
        assert!(status.starts_with(told.as_str()), "{status}: {told}");
        let text = chain(&error);
        assert!(text.contains(words) && text.contains(&refusing.address.to_string()), "{text}");
        assert!(!text.contains("user:word") && !text.contains("dXNlcjp3b3Jk"), "{text}");
        assert!(!refusing.text().contains("canary"), "{}", refusing.text());
    }
}

#[tokio::test]
async fn a_proxy_that_is_silent_or_gone_is_named() {
    let url: url::Url = "https://muster.test/".parse().expect("url");
    let silent = silent().await;
    let error = dialer_through(&[identity().1], &silent).request(with_credential(), &url).await;
    let text = chain(&error.expect_err("silence"));
    assert!(text.contains(&format!("the proxy {} took longer", silent.address)), "{text}");
    assert!(!silent.text().contains("canary"), "{}", silent.text());
    let rules = ProxyRules::parse("http://user:word@127.0.0.1:1", "").expect("rules");
    let error =
        Dialer::new(&[identity().1], rules, quick()).expect("dialer").request(with_credential(), &url).await;
    let error = error.expect_err("nobody listens");
    assert!(matches!(error, DialError::ProxyUnreachable { .. }), "{error:?}");
    assert!(
        error.to_string().contains("127.0.0.1:1") && !chain(&error).contains("user:word"),
        "{}",
        chain(&error)
    );
}

#[tokio::test]
async fn b23_a_proxy_that_ends_tls_itself_hears_no_byte_of_the_credential() {
    let (own, _) = identity();
    let intercepting = answering(OK, Some(own)).await;
    let proxy_peer = proxy(intercepting.address, "200 Connection established").await;
    let dialer = dialer_through(&[identity().1], &proxy_peer);
    let url = "https://muster.test:8643/".parse().expect("url");
    let error = dialer.request(with_credential(), &url).await.expect_err("another key");
    assert!(matches!(error, DialError::PinMismatch { .. }), "{error:?}");
    let url = "wss://muster.test:8643/v1/agent/connect".parse().expect("url");
    let headers = with_credential().headers().clone();
    let error = dialer.websocket(&url, headers).await.expect_err("another key");
    assert!(matches!(error, WsDialError::Dial(DialError::PinMismatch { .. })), "{error:?}");
    assert_eq!(intercepting.text(), "");
    assert!(!proxy_peer.text().contains("canary"));
}

#[tokio::test]
async fn no_proxy_is_asked_for_who_is_named() {
    let (tls, pin) = identity();
    let server = answering(OK, Some(tls)).await;
    let proxy_peer = proxy(server.address, "200 Connection established").await;
    let ask = async |no_proxy: &str| {
        let rules = ProxyRules::parse(&format!("http://{}", proxy_peer.address), no_proxy).expect("rules");
        let dialer = Dialer::new(std::slice::from_ref(&pin), rules, quick()).expect("dialer");
        dialer.request(with_credential(), &"https://muster.invalid:8643/".parse().expect("url")).await
    };
    assert_eq!(ask("").await.expect("through the proxy").status.as_u16(), 200);
    let asked = proxy_peer.text();
    for no_proxy in ["muster.invalid", ".invalid", "*"] {
        let error = ask(no_proxy).await.expect_err("the name has no address");
        assert!(matches!(error, DialError::Resolve { .. }), "{no_proxy}: {error:?}");
    }
    assert_eq!(proxy_peer.text(), asked, "the proxy was asked all the same");
}

#[tokio::test]
async fn c28_an_address_that_swallows_packets_is_given_up_in_time() {
    // Documentation addresses (RFC 5737) that nobody answers at.
    let nobody = std::net::SocketAddr::from(([192, 0, 2, 123], 9));
    let dialer = dialer(&[identity().1]);
    let began = tokio::time::Instant::now();
    assert!(dialer.knock(nobody).await.is_err());
    assert!(began.elapsed() < quick().connect * 3, "{:?}", began.elapsed());
}

#[test]
fn a_pin_must_be_one() {
    for pin in ["", "abc", "not base64!", &"A".repeat(42), &"A".repeat(44)] {
        let error = Dialer::new(&[pin.to_owned()], ProxyRules::none(), quick()).expect_err(pin);
        assert!(matches!(error, DialError::Pin { .. }), "{pin}");
    }
}
