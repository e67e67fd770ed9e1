//! Proofs of possession in requests.

use std::sync::LazyLock;

use data_encoding::BASE64URL_NOPAD;
use muster_ids::Timestamp;
use muster_proof::digest::sha256;
use muster_proof::dpop::{Expected, IAT_TOLERANCE, Proof, VerifiedProof};
use muster_proof::jws::MAX_LEN;
use muster_proof::{HostKey, HtuUrl};
use serde_json::Value;

use crate::hello::signed;
use crate::taken::{Taken, with_one_character_changed};

static KEY: LazyLock<HostKey> = LazyLock::new(HostKey::generate);

const METHOD: &str = "POST";
const URL: &str = "https://muster.example:8643/v1/enroll";
const BEARER: &str = "the presented ticket";
const BODY: &[u8] = b"{}";
const NONCE: &str = "good-nonce";
const NOW_SECS: i64 = 1_800_000_000;
const CLAIMS: [&str; 8] = ["htm", "htu", "iat", "jti", "ath", "bd", "nonce", "sub"];

/// What the request at hand is; the seeds are made for each of the eight.
#[derive(Clone, Copy)]
struct Request {
    has_bearer: bool,
    has_body: bool,
    nonce_required: bool,
}

impl Request {
    fn of(choice: u8) -> Self {
        Self { has_bearer: choice & 1 == 0, has_body: choice & 2 == 0, nonce_required: choice & 4 != 0 }
    }

    fn judge(self, header: &str) -> Option<VerifiedProof> {
        let proof = Proof::parse(header).ok()?;
        assert!(header.len() <= MAX_LEN, "a header of {} bytes was looked at", header.len());
        let accepted_urls = [HtuUrl::parse(URL).expect("a URL")];
        let expected = Expected {
            method: METHOD,
            accepted_urls: &accepted_urls,
            body_sha256: self.has_body.then(|| sha256(BODY)),
            bearer: self.has_bearer.then_some(BEARER),
            now: Timestamp::from_millis(NOW_SECS * 1000),
            nonce_is_valid: |nonce: &str| nonce == NONCE,
            nonce_required: self.nonce_required,
        };
        let judged = proof.judge_request(&expected).ok()?;
        let named = judged.thumbprint();
        let verified = judged.verify_signature().ok()?;
        assert_eq!(verified.thumbprint, named);
        assert_eq!(verified.key.thumbprint(), named);
        Some(verified)
    }

    /// Compares what was believed with what was asked, from the claims as they stand in the payload.
    fn holds(self, payload: &[u8]) {
        let said: Value = serde_json::from_slice(payload).expect("what is believed is JSON");
        let said = said.as_object().expect("what is believed is an object");
        let text = |name: &str| said.get(name).and_then(Value::as_str);
        let hash = |bytes: &[u8]| BASE64URL_NOPAD.encode(&sha256(bytes));
        assert!(said.keys().all(|name| CLAIMS.contains(&name.as_str())), "an unknown claim was believed");
        assert_eq!(text("htm"), Some(METHOD));
        let htu = text("htu").and_then(|htu| HtuUrl::parse(htu).ok());
        assert_eq!(htu.as_ref().map(HtuUrl::as_str), Some(URL));
        assert!(text("jti").is_some_and(|jti| (8..=64).contains(&jti.len())));
        assert_eq!(text("ath").map(str::to_owned), self.has_bearer.then(|| hash(BEARER.as_bytes())));
        match text("bd") {
            Some(bd) => assert_eq!(bd, if self.has_body { hash(BODY) } else { hash(b"") }),
            None => assert!(!self.has_body, "a body nobody vouches for"),
        }
        let has_nonce = text("nonce") == Some(NONCE);
        let iat = said.get("iat").and_then(Value::as_i64).expect("a time");
        let clock_agrees = iat.abs_diff(NOW_SECS) <= IAT_TOLERANCE.as_secs();
        assert!(has_nonce || (clock_agrees && !self.nonce_required), "a proof of another time was believed");
    }
}

/// Any header: what is believed was signed, and is what the request asks for.
pub fn dpop_header(data: &[u8]) {
    let mut taken = Taken::from(data);
    let request = Request::of(taken.byte());
    let Ok(header) = std::str::from_utf8(taken.rest()) else { return };
    if request.judge(header).is_some() {
        let payload = header.split('.').nth(1).expect("three parts");
        request.holds(&BASE64URL_NOPAD.decode(payload.as_bytes()).expect("base64url"));
    }
}

/// Any claims, really signed: the signature makes no claim true.
pub fn dpop_claims(data: &[u8]) {
    let mut taken = Taken::from(data);
    let request = Request::of(taken.byte());
    let (at, with) = (usize::from(taken.byte()), taken.byte());
    let payload = taken.rest();
    let jwk = serde_json::to_string(&KEY.public_key().to_jwk()).expect("plain data");
    let header = signed(&KEY, &format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{jwk}}}"#), payload);
    let Some(verified) = request.judge(&header) else { return };
    assert_eq!(verified.thumbprint, KEY.thumbprint());
    request.holds(payload);
    if let Some(changed) = with_one_character_changed(&header, at, with) {
        assert!(request.judge(&changed).is_none(), "a changed proof was believed");
    }
}
