//! Vectors of the standards: RFC 7515 A.3, RFC 7638 §3 (as applied to EC by RFC 9449 §6.1) and RFC 9449 §4.1.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use data_encoding::BASE64URL_NOPAD;
use muster_ids::Timestamp;
use muster_proof::dpop::{Expected, Proof};
use muster_proof::{HostKey, HtuUrl, Jwk, ProofError, PublicKey, jws};

fn jwk(x: &str, y: &str) -> Jwk {
    Jwk { kty: "EC".into(), crv: "P-256".into(), x: x.into(), y: y.into() }
}

const A3_INPUT: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const A3_SIGNATURE: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

fn a3_key() -> PublicKey {
    let jwk =
        jwk("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    PublicKey::from_jwk(&jwk).unwrap()
}

#[test]
fn es256_signature_of_rfc_7515_verifies() {
    let signature = BASE64URL_NOPAD.decode(A3_SIGNATURE.as_bytes()).unwrap();
    assert!(a3_key().verifies(A3_INPUT.as_bytes(), &signature));
    for at in 0..signature.len() {
        let mut tampered = signature.clone();
        tampered[at] ^= 1;
        assert!(!a3_key().verifies(A3_INPUT.as_bytes(), &tampered));
    }
}

#[test]
fn document_of_rfc_7515_has_no_typ_and_passes_for_none_of_ours() {
    for typ in jws::Typ::ALL {
        assert!(jws::decode(&format!("{A3_INPUT}.{A3_SIGNATURE}"), typ).is_err());
    }
}

const RFC_9449_PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";

#[test]
fn proof_of_rfc_9449_holds_at_its_time_and_names_its_key() {
    let urls = [HtuUrl::parse("https://server.example.com/token").unwrap()];
    let expected = |now_secs: i64| Expected {
        method: "POST",
        accepted_urls: &urls,
        body_sha256: None,
        bearer: None,
        now: Timestamp::from_millis(now_secs * 1000),
        nonce_is_valid: |_: &str| false,
        nonce_required: false,
    };
    let judged = Proof::parse(RFC_9449_PROOF).unwrap().judge_request(&expected(1_562_262_616)).unwrap();
    let verified = judged.verify_signature().unwrap();
    assert_eq!(verified.thumbprint.to_string(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");

    let late = Proof::parse(RFC_9449_PROOF).unwrap().judge_request(&expected(1_700_000_000));
    assert_eq!(late.unwrap_err(), ProofError::UseNonce);
}

#[test]
fn thumbprint_covers_exactly_the_required_members_in_order() {
    let key = a3_key();
    let jwk = key.to_jwk();
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, jwk.x, jwk.y);
    assert_eq!(*key.thumbprint().digest(), muster_proof::digest::sha256(canonical.as_bytes()));
}

#[test]
fn key_survives_every_form_it_is_stored_in() {
    let key = HostKey::generate();
    let reread = HostKey::from_pkcs8(&key.to_pkcs8()).unwrap();
    assert_eq!(reread.public_key(), key.public_key());
    assert!(key.public_key().verifies(b"text", &reread.sign(b"text")));
    let public = *key.public_key();
    assert_eq!(PublicKey::from_bytes(public.as_bytes()), Ok(public));
    assert_eq!(PublicKey::from_jwk(&public.to_jwk()), Ok(public));
}

#[test]
fn private_key_is_never_printed() {
    let key = HostKey::generate();
    assert_eq!(format!("{key:?}"), format!("HostKey({}, [redacted])", key.thumbprint()));
}

#[test]
fn documents_that_hold_no_p256_private_key_are_refused() {
    let der = HostKey::generate().to_pkcs8();
    assert!(HostKey::from_pkcs8(&[]).is_err());
    assert!(HostKey::from_pkcs8(&der[..der.len() - 1]).is_err());
    let signing = &aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING;
    let other_curve = aws_lc_rs::signature::EcdsaKeyPair::generate(signing).unwrap().to_pkcs8v1().unwrap();
    assert!(HostKey::from_pkcs8(other_curve.as_ref()).is_err());
}

#[test]
fn points_that_are_not_one_uncompressed_point_on_the_curve_are_refused() {
    let good = *a3_key().as_bytes();
    let mut off_curve = good;
    off_curve[64] ^= 1;
    assert!(PublicKey::from_bytes(&off_curve).is_err());
    assert!(PublicKey::from_bytes(&[4; 65]).is_err());
    let mut zero = [0; 65];
    zero[0] = 4;
    assert!(PublicKey::from_bytes(&zero).is_err());
    assert!(PublicKey::from_bytes(&[0]).is_err(), "the point at infinity");
    let mut hybrid = good;
    hybrid[0] = 6 | (good[64] & 1);
    assert!(PublicKey::from_bytes(&hybrid).is_err());
    let mut compressed = good[..33].to_vec();
    compressed[0] = 2 | (good[64] & 1);
    assert!(PublicKey::from_bytes(&compressed).is_err());
}

#[test]
fn jwks_that_are_almost_right_are_refused() {
    let good = a3_key().to_jwk();
    let changes: [fn(&mut Jwk); 7] = [
        |jwk| jwk.kty = "RSA".into(),
        |jwk| jwk.crv = "P-384".into(),
        |jwk| jwk.crv = "p-256".into(),
        |jwk| jwk.x.push('='),
        |jwk| jwk.y.truncate(42),
        |jwk| jwk.x = BASE64URL_NOPAD.encode(&[0; 33]),
        |jwk| std::mem::swap(&mut jwk.x, &mut jwk.y),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut jwk = good.clone();
        change(&mut jwk);
        assert!(PublicKey::from_jwk(&jwk).is_err(), "change {at}");
    }
}

#[test]
fn spki_pin_is_the_hash_of_the_der() {
    assert_eq!(muster_proof::digest::spki_pin(b""), "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
}
