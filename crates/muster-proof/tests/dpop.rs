//! What a request's proof must say, and every way it can fail to.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use data_encoding::BASE64URL_NOPAD;
use muster_ids::{HostId, Timestamp};
use muster_proof::digest::sha256;
use muster_proof::dpop::{Claims, Expected, Proof, VerifiedProof, prove};
use muster_proof::{HostKey, HtuUrl, ProofError, jws};
use proptest::prelude::*;
use serde_json::{Value, json};

const URL: &str = "https://muster.example/v1/enroll";
const BEARER: &str = "mse_0123456789ab_secret";
const BODY: &[u8] = br#"{"hostname":"web-1"}"#;
const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_500);
const NONCE: &str = "nonce-of-this-bucket";

fn honest() -> Claims {
    Claims::new("POST", &HtuUrl::parse(URL).unwrap(), NOW, [7; 16]).bearer(BEARER).body(BODY)
}

fn judge(header: &str, nonce_required: bool) -> Result<VerifiedProof, ProofError> {
    let urls = [HtuUrl::parse(URL).unwrap(), HtuUrl::parse("https://10.0.0.5:8643/v1/enroll").unwrap()];
    let expected = Expected {
        method: "POST",
        accepted_urls: &urls,
        body_sha256: Some(sha256(BODY)),
        bearer: Some(BEARER),
        now: NOW,
        nonce_is_valid: |nonce: &str| nonce == NONCE,
        nonce_required,
    };
    Proof::parse(header)?.judge_request(&expected)?.verify_signature()
}

#[track_caller]
fn check(claims: &Claims, nonce_required: bool, outcome: Result<(), ProofError>) {
    let key = HostKey::generate();
    let judged = judge(&prove(&key, claims), nonce_required);
    assert_eq!(judged.as_ref().map(|_| ()), outcome.as_ref().copied());
    if let Ok(verified) = judged {
        assert_eq!(verified.key, *key.public_key());
        assert_eq!(verified.thumbprint, key.thumbprint());
        assert_eq!(verified.claims, *claims);
    }
}

const fn refused(why: &'static str) -> Result<(), ProofError> {
    Err(ProofError::Invalid(why))
}

#[test]
fn honest_proof_holds() {
    let host = HostId::from_uuid("0199f5a2-7b4e-7000-8000-000000000001".parse().unwrap());
    check(&honest(), false, Ok(()));
    check(&honest().host(host), false, Ok(()));
    check(&Claims { htu: "wss://10.0.0.5:8643/v1/enroll".into(), ..honest() }, false, Ok(()));
}

#[test]
fn proof_of_another_request_is_refused() {
    let wrong_method = refused("htm is not the method of this request");
    let wrong_url = refused("htu is not a URL of this request");
    check(&Claims { htm: "GET".into(), ..honest() }, false, wrong_method);
    check(&Claims { htm: "post".into(), ..honest() }, false, wrong_method);
    check(&Claims { htu: "https://evil.example/v1/enroll".into(), ..honest() }, false, wrong_url);
    check(&Claims { htu: "http://muster.example/v1/enroll".into(), ..honest() }, false, wrong_url);
    check(&Claims { htu: "https://muster.example/v1/agent/connect".into(), ..honest() }, false, wrong_url);
    check(&Claims { htu: format!("{URL}?a"), ..honest() }, false, refused("htu has a query or a fragment"));
}

#[test]
fn proof_for_another_bearer_string_is_refused() {
    let wrong = refused("ath is not the hash of the presented bearer string");
    check(&honest().bearer("mse_0123456789ab_other"), false, wrong);
    check(&Claims { ath: Some(String::new()), ..honest() }, false, wrong);
    check(&Claims { ath: None, ..honest() }, false, refused("ath is missing"));
}

#[test]
fn proof_for_another_body_is_refused() {
    check(&honest().body(b"{}"), false, refused("bd is not the hash of the body"));
    check(&Claims { bd: None, ..honest() }, false, refused("bd is missing"));
}

#[test]
fn request_without_body_and_bearer_needs_neither_hash() {
    let key = HostKey::generate();
    let url = HtuUrl::parse("wss://muster.example/v1/agent/connect").unwrap();
    let bare = || Claims::new("GET", &url, NOW, [1; 16]);
    let judge = |claims: &Claims| {
        Proof::parse(&prove(&key, claims))?
            .judge_request(&Expected {
                method: "GET",
                accepted_urls: std::slice::from_ref(&url),
                body_sha256: None,
                bearer: None,
                now: NOW,
                nonce_is_valid: |_: &str| true,
                nonce_required: false,
            })?
            .verify_signature()
    };
    assert!(judge(&bare()).is_ok());
    assert!(judge(&bare().body(b"")).is_ok());
    assert!(judge(&bare().body(b"x")).is_err());
    assert!(judge(&bare().bearer(BEARER)).is_err());
}

#[test]
fn time_counts_within_five_minutes_or_not_at_all() {
    let at = |offset: i64| Claims { iat: NOW.as_secs() + offset, ..honest() };
    for offset in [-300, -1, 0, 300] {
        check(&at(offset), false, Ok(()));
        check(&at(offset), true, Err(ProofError::UseNonce));
    }
    for iat in [-301, 301, i64::MAX - NOW.as_secs(), -NOW.as_secs()] {
        check(&at(iat), false, Err(ProofError::UseNonce));
    }
    check(&Claims { iat: i64::MIN, ..honest() }, false, Err(ProofError::UseNonce));
    check(&Claims { iat: i64::MIN, ..honest() }.nonce(NONCE), false, Ok(()));
}

#[test]
fn nonce_stands_in_for_the_clock() {
    check(&honest().nonce(NONCE), true, Ok(()));
    check(&Claims { iat: 0, ..honest() }.nonce(NONCE), true, Ok(()));
    check(&honest().nonce("old"), true, Err(ProofError::UseNonce));
    check(&honest().nonce(""), true, Err(ProofError::UseNonce));
    check(&Claims { iat: 0, ..honest() }.nonce("old"), false, Err(ProofError::UseNonce));
    check(&honest().nonce("old"), false, Ok(()));
}

#[test]
fn nonce_is_offered_only_to_a_proof_that_fits_the_request() {
    let late = Claims { iat: 0, ..honest() };
    check(
        &Claims { htm: "GET".into(), ..late.clone() },
        true,
        refused("htm is not the method of this request"),
    );
    check(&late.bearer("other"), true, refused("ath is not the hash of the presented bearer string"));
}

#[test]
fn jti_is_bounded() {
    let wrong = refused("jti is not 8 to 64 base64url characters");
    for jti in ["", "1234567", "12345678 ", "1234567é", "12345678=", &"x".repeat(65)] {
        check(&Claims { jti: jti.into(), ..honest() }, false, wrong);
    }
    for jti in ["12345678", "-_-_-_-_", &"x".repeat(64)] {
        check(&Claims { jti: jti.into(), ..honest() }, false, Ok(()));
    }
}

/// A proof by `key` with any header and any payload, correctly signed.
fn forge(key: &HostKey, header: &Value, payload: &Value) -> String {
    let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let input = format!("{}.{}", encode(header), encode(payload));
    let signature = BASE64URL_NOPAD.encode(&key.sign(input.as_bytes()));
    format!("{input}.{signature}")
}

fn header_of(key: &HostKey) -> Value {
    json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": key.public_key().to_jwk()})
}

#[test]
fn headers_that_say_more_or_something_else_are_refused() {
    let key = HostKey::generate();
    let payload = serde_json::to_value(honest()).unwrap();
    assert!(judge(&forge(&key, &header_of(&key), &payload), false).is_ok());
    let changes = [
        ("/alg", json!("none")),
        ("/alg", json!("HS256")),
        ("/alg", json!("EdDSA")),
        ("/alg", json!("es256")),
        ("/alg", json!("ES384")),
        ("/alg", json!(null)),
        ("/typ", json!("JWT")),
        ("/typ", json!("DPOP+JWT")),
        ("/typ", json!("muster-hello+jwt")),
        ("/crit", json!(["b64"])),
        ("/crit", json!([])),
        ("/b64", json!(false)),
        ("/x5u", json!("https://evil.example/")),
        ("/jku", json!("https://evil.example/")),
        ("/zip", json!("DEF")),
        ("/kid", json!("../../dev/null")),
        ("/kid", json!(HostKey::generate().thumbprint())),
        ("/jwk", json!(null)),
        ("/jwk", json!([])),
        ("/jwk", json!(["EC", "P-256", key.public_key().to_jwk().x, key.public_key().to_jwk().y])),
        ("/jwk", json!(HostKey::generate().public_key().to_jwk())),
        ("/jwk/d", json!("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI")),
        ("/jwk/d", json!(null)),
        ("/jwk/kty", json!("oct")),
        ("/jwk/k", json!("AAAA")),
        ("/jwk/x", json!(BASE64URL_NOPAD.encode(&[1; 32]))),
    ];
    for (pointer, value) in changes {
        let mut header = header_of(&key);
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        header.pointer_mut(parent).unwrap()[member] = value.clone();
        assert!(judge(&forge(&key, &header, &payload), false).is_err(), "{pointer} = {value}");
    }
    for member in ["alg", "typ", "jwk"] {
        let mut header = header_of(&key);
        header.as_object_mut().unwrap().remove(member);
        assert!(judge(&forge(&key, &header, &payload), false).is_err(), "without {member}");
    }
    let mut named = header_of(&key);
    named["kid"] = json!(key.thumbprint());
    assert!(judge(&forge(&key, &named, &payload), false).is_ok());
}

#[test]
fn claims_outside_the_profile_are_refused() {
    let key = HostKey::generate();
    for (claim, value) in [
        ("exp", json!(0)),
        ("aud", json!("x")),
        ("iat", json!("1790000000")),
        ("iat", json!(1.5)),
        ("htm", json!(["POST"])),
        ("sub", json!("host_1")),
        ("jti", json!(null)),
    ] {
        let mut payload = serde_json::to_value(honest()).unwrap();
        payload[claim] = value;
        assert!(Proof::parse(&forge(&key, &header_of(&key), &payload)).is_err(), "{claim}");
    }
    let array = json!(["POST", URL, NOW.as_secs(), "12345678", null, null, null, null]);
    assert!(Proof::parse(&forge(&key, &header_of(&key), &array)).is_err());
}

#[test]
fn member_given_twice_is_refused() {
    let key = HostKey::generate();
    let header = r#"{"typ":"dpop+jwt","alg":"none","alg":"ES256"}"#;
    let input = format!("{}.e30", BASE64URL_NOPAD.encode(header.as_bytes()));
    let twice = format!("{input}.{}", BASE64URL_NOPAD.encode(&key.sign(input.as_bytes())));
    assert!(jws::decode(&twice, jws::Typ::Dpop).is_err());
}

#[test]
fn forms_that_are_not_three_strict_parts_are_refused() {
    let proof = prove(&HostKey::generate(), &honest());
    let parts: Vec<&str> = proof.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    for form in [
        String::new(),
        "..".into(),
        header.into(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{proof}.{signature}"),
        format!("{proof}."),
        format!(".{proof}"),
        format!("{proof}=="),
        format!(" {proof}"),
        format!("{proof}\n"),
        format!("{proof},{proof}"),
        format!("{header}.{payload}.{}", &signature[..84]),
        format!("{header}.{payload}.{signature}AAAA"),
        proof.replacen('.', "%2e", 1),
    ] {
        assert!(judge(&form, false).is_err(), "{form}");
    }
    assert!(judge(&proof, false).is_ok());
}

#[test]
fn der_signature_is_refused() {
    let signing = &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
    let key = HostKey::generate();
    let der_key = aws_lc_rs::signature::EcdsaKeyPair::from_pkcs8(signing, &key.to_pkcs8()).unwrap();
    let proof = prove(&key, &honest());
    let (input, _) = proof.rsplit_once('.').unwrap();
    let der = der_key.sign(&aws_lc_rs::rand::SystemRandom::new(), input.as_bytes()).unwrap();
    let with_der = format!("{input}.{}", BASE64URL_NOPAD.encode(der.as_ref()));
    assert!(judge(&with_der, false).is_err());
    assert!(!key.public_key().verifies(input.as_bytes(), der.as_ref()));
}

#[test]
fn all_zero_signature_is_refused() {
    let proof = prove(&HostKey::generate(), &honest());
    let (input, _) = proof.rsplit_once('.').unwrap();
    let forged = format!("{input}.{}", BASE64URL_NOPAD.encode(&[0; 64]));
    assert_eq!(judge(&forged, false).unwrap_err(), ProofError::Invalid("the signature does not verify"));
}

#[test]
fn size_is_judged_before_anything_else() {
    let huge = "x".repeat(jws::MAX_LEN + 1);
    assert_eq!(Proof::parse(&huge).unwrap_err(), ProofError::Invalid("longer than 4096 bytes"));
    let long = Claims { htm: "x".repeat(4096), ..honest() };
    let error = Proof::parse(&prove(&HostKey::generate(), &long)).unwrap_err();
    assert_eq!(error, ProofError::Invalid("longer than 4096 bytes"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_changed_character_is_refused(at: prop::sample::Index, to in "[A-Za-z0-9._=-]") {
        let proof = prove(&HostKey::generate(), &honest());
        let at = at.index(proof.len());
        let mut changed = proof.clone();
        changed.replace_range(at..=at, &to);
        prop_assume!(changed != proof);
        prop_assert!(judge(&changed, false).is_err());
    }

    #[test]
    fn parse_never_panics(text in ".{0,400}") {
        let _ = judge(&text, false);
    }

    #[test]
    fn parse_of_any_json_never_panics(header in ".{0,80}", payload in ".{0,80}", signature: [u8; 32]) {
        let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let doubled = [signature, signature].concat();
        let form = format!("{}.{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()), encode(&doubled));
        prop_assert!(judge(&form, false).is_err());
    }

    #[test]
    fn htu_never_panics_and_is_its_own_normal_form(text in "(https?|wss?)://[ -~]{0,40}") {
        if let Ok(url) = HtuUrl::parse(&text) {
            prop_assert_eq!(HtuUrl::parse(url.as_str()).unwrap(), url);
        }
    }
}
