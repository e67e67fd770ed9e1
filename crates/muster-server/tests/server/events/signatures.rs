//! Signatures, checked by what the standard says and not by what the server does.

use std::time::Duration;

use data_encoding::BASE64;
use muster_proof::digest::sha256;
use muster_testkit::receiver::Received;
use serde_json::json;

use crate::events::receiver::Receiver;
use crate::world::both;

/// HMAC of RFC 2104 over SHA-256.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    match key.len() {
        0..=64 => block[..key.len()].copy_from_slice(key),
        _ => block[..32].copy_from_slice(&sha256(key)),
    }
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = sha256(&[&padded(0x36), message].concat());
    sha256(&[&padded(0x5c)[..], &inner].concat())
}

fn header<'a>(got: &'a Received, name: &str) -> &'a str {
    got.header(name).unwrap_or_else(|| panic!("no {name}: {got:?}"))
}

/// How many of the signatures of a request a secret made.
fn signed_by(secret: &str, got: &Received) -> usize {
    let key = BASE64.decode(secret.strip_prefix("whsec_").unwrap().as_bytes()).unwrap();
    assert_eq!(key.len(), 32);
    let body = std::str::from_utf8(&got.body).unwrap();
    let message = format!("{}.{}.{body}", header(got, "webhook-id"), header(got, "webhook-timestamp"));
    let expected = format!("v1,{}", BASE64.encode(&hmac(&key, message.as_bytes())));
    header(got, "webhook-signature").split(' ').filter(|signature| *signature == expected).count()
}

fn signatures(got: &Received) -> usize {
    header(got, "webhook-signature").split(' ').count()
}

#[test]
fn the_test_s_own_hmac_is_that_of_rfc_4231() {
    let tag = hmac(b"Jefe", b"what do ya want for nothing?");
    let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(data_encoding::HEXLOWER.encode(&tag), expected);
}

both! {
    async fn a_receiver_knows_the_sender_by_the_signature(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        let (_, secret) = world.webhook("siem", &receiver).await;
        world.tell(team, None, "something").await;
        world.work().await;
        let got = receiver.received().remove(0);
        assert_eq!((signatures(&got), signed_by(&secret, &got)), (1, 1));
        assert_eq!(signed_by(&format!("whsec_{}", BASE64.encode(&[1; 32])), &got), 0);
        let sent_at: i64 = header(&got, "webhook-timestamp").parse().unwrap();
        assert_eq!(sent_at, world.app.clock.now().as_millis() / 1000);
        let json = got.json();
        assert_eq!(json["type"], "host.back");
        assert_eq!(json["data"]["id"], header(&got, "webhook-id"));
        assert_eq!(json["data"]["subject"], "something");
        assert_eq!((got.method.as_str(), got.path.as_str()), ("POST", "/hook/s3cret-path?token=s3cret-query"));
    }

    async fn a_rotated_secret_signs_beside_the_new_one_until_its_time_is_over(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        let (endpoint, former) = world.webhook("siem", &receiver).await;
        let path = format!("/v1/endpoints/{endpoint}/rotate-secret");
        let rotated = world.must("POST", &path, Some(json!({ "overlap_secs": 3600 }))).await;
        let new = rotated["signing_secret"].as_str().unwrap().to_owned();
        assert_ne!(new, former);
        world.tell(team, None, "within").await;
        world.work().await;
        let got = receiver.received().remove(0);
        assert_eq!((signatures(&got), signed_by(&former, &got), signed_by(&new, &got)), (2, 1, 1));
        world.clock.advance(Duration::from_secs(3600));
        world.tell(team, None, "after").await;
        world.work().await;
        let got = receiver.received().remove(1);
        assert_eq!((signatures(&got), signed_by(&former, &got), signed_by(&new, &got)), (1, 0, 1));
        // A leaked secret ends at once when nobody needs it any more.
        let last = world.must("POST", &path, Some(json!({ "overlap_secs": 0 }))).await;
        world.tell(team, None, "last").await;
        world.work().await;
        let got = receiver.received().remove(2);
        let last = last["signing_secret"].as_str().unwrap();
        assert_eq!((signatures(&got), signed_by(&new, &got), signed_by(last, &got)), (1, 0, 1));
    }

    async fn the_secret_is_shown_once_and_again_to_the_same_request(world) {
        let receiver = Receiver::start().await;
        let body = json!({ "name": "siem", "target": { "webhook": { "url": receiver.url() } } });
        let headers = format!("authorization: Bearer {}\r\nidempotency-key: the-same-key\r\n", world.admin);
        let first = world.ask("POST", "/v1/endpoints", &headers, Some(body.clone())).await;
        let again = world.ask("POST", "/v1/endpoints", &headers, Some(body)).await;
        assert_eq!((first.status, again.status), (201, 201));
        assert_eq!(first.body, again.body);
        let id = first.body["endpoint"]["id"].as_str().unwrap().to_owned();
        let secret = first.text("signing_secret");
        for path in ["/v1/endpoints".to_owned(), format!("/v1/endpoints/{id}"), format!("/v1/endpoints/{id}/deliveries")] {
            let shown = world.admin("GET", &path, None).await.raw_body;
            assert!(!shown.contains(&secret) && !shown.contains("s3cret"), "{shown}");
        }
        assert_eq!(world.must("GET", &format!("/v1/endpoints/{id}"), None).await["shown_target"],
            format!("http://127.0.0.1:{}", receiver.port()));
    }
}
