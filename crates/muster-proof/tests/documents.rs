//! Hello, `revoked` and `pins`: none passes for another, none passes by another key.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use muster_ids::{AgentKeyId, HostId, KeyName, PublicId, Timestamp};
use muster_proof::dpop::{self, Claims, Proof};
use muster_proof::instruction::{self, MAX_REASON_CHARS, Pins, Revoked};
use muster_proof::{HostKey, HtuUrl, ProofError, digest, hello, jws};
use muster_wire::channel::HelloClaims;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn host_id() -> HostId {
    HostId::from_uuid("0199f5a2-7b4e-7000-8000-000000000001".parse().unwrap())
}

fn hello_claims() -> HelloClaims {
    HelloClaims {
        host_id: host_id(),
        challenge: digest::sha256_base64url(b"challenge"),
        server_url: "wss://muster.example/v1/agent/connect".into(),
        generation: None,
        boot_id: "9c6e3b1e-0000-4000-8000-000000000000".into(),
    }
}

fn revoked() -> Revoked {
    Revoked {
        host_id: host_id(),
        key: KeyName::Agent(AgentKeyId::new(PublicId::from_entropy([1; 16]))),
        reason: "retired by ana".into(),
        at: NOW,
    }
}

fn pins() -> Pins {
    Pins {
        to: KeyName::Pair(HostKey::generate().thumbprint()),
        issued_at: NOW,
        current: vec![digest::spki_pin(b"current")],
        next: vec![digest::spki_pin(b"next")],
        instruction_key: HostKey::generate().thumbprint(),
        next_instruction_key: None,
        not_before: NOW,
    }
}

#[test]
fn every_document_passes_for_itself_and_for_no_other() {
    let key = HostKey::generate();
    let url = HtuUrl::parse("https://muster.example/v1/enroll").unwrap();
    let documents = [
        dpop::prove(&key, &Claims::new("POST", &url, NOW, [0; 16])),
        hello::sign(&key, &hello_claims()),
        instruction::sign_revoked(&key, &revoked()),
        instruction::sign_pins(&key, &pins()),
    ];
    for (is, document) in documents.iter().enumerate() {
        let passes = [
            Proof::parse(document).is_ok(),
            hello::verify(document, key.public_key()).is_ok(),
            instruction::verify_revoked(document, &key.thumbprint()).is_ok(),
            instruction::verify_pins(document, &key.thumbprint()).is_ok(),
        ];
        for (taken_for, passed) in passes.into_iter().enumerate() {
            assert_eq!(passed, is == taken_for, "{document} taken for {:?}", jws::Typ::ALL[taken_for]);
        }
    }
}

#[test]
fn typ_decides_even_when_the_claims_would_fit() {
    let key = HostKey::generate();
    for typ in jws::Typ::ALL.into_iter().filter(|typ| *typ != jws::Typ::Revoked) {
        let document = jws::sign(&key, typ, jws::Naming::Embedded, &revoked());
        let refusal = instruction::verify_revoked(&document, &key.thumbprint());
        assert_eq!(refusal, Err(ProofError::Invalid("typ is not the expected one")));
    }
}

#[test]
fn documents_say_what_was_signed() {
    let key = HostKey::generate();
    let thumbprint = key.thumbprint();
    let said = instruction::verify_revoked(&instruction::sign_revoked(&key, &revoked()), &thumbprint);
    assert_eq!(said, Ok(revoked()));
    let pins = pins();
    let said = instruction::verify_pins(&instruction::sign_pins(&key, &pins), &thumbprint);
    assert_eq!(said, Ok(pins));
    assert_eq!(hello::verify(&hello::sign(&key, &hello_claims()), key.public_key()), Ok(hello_claims()));
}

#[test]
fn documents_by_another_key_are_refused() {
    let (key, other) = (HostKey::generate(), HostKey::generate());
    assert!(
        instruction::verify_revoked(&instruction::sign_revoked(&other, &revoked()), &key.thumbprint())
            .is_err()
    );
    assert!(instruction::verify_pins(&instruction::sign_pins(&other, &pins()), &key.thumbprint()).is_err());
    assert!(hello::verify(&hello::sign(&other, &hello_claims()), key.public_key()).is_err());
}

#[test]
fn header_of_the_right_key_over_a_signature_of_another_is_refused() {
    let (key, other) = (HostKey::generate(), HostKey::generate());
    let genuine = instruction::sign_revoked(&key, &revoked());
    let (input, _) = genuine.rsplit_once('.').unwrap();
    let signature = data_encoding::BASE64URL_NOPAD.encode(&other.sign(input.as_bytes()));
    let refusal = instruction::verify_revoked(&format!("{input}.{signature}"), &key.thumbprint());
    assert_eq!(refusal, Err(ProofError::Invalid("the signature does not verify")));
}

#[test]
fn instruction_without_embedded_key_is_refused() {
    let key = HostKey::generate();
    let document = jws::sign(&key, jws::Typ::Revoked, jws::Naming::Thumbprint, &revoked());
    let refusal = instruction::verify_revoked(&document, &key.thumbprint());
    assert_eq!(refusal, Err(ProofError::Invalid("the header has no jwk")));
}

#[test]
fn tampered_documents_are_refused() {
    let key = HostKey::generate();
    let genuine = instruction::sign_revoked(&key, &revoked());
    for at in 0..genuine.len() {
        let mut tampered = genuine.clone().into_bytes();
        tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(tampered).unwrap();
        assert!(instruction::verify_revoked(&tampered, &key.thumbprint()).is_err(), "at {at}");
    }
}

#[test]
fn longest_reason_still_reaches_the_machine() {
    let key = HostKey::generate();
    for filler in ["\u{1}", "\"", "𝄞", "x"] {
        let document =
            instruction::sign_revoked(&key, &Revoked { reason: filler.repeat(10_000), ..revoked() });
        let said = instruction::verify_revoked(&document, &key.thumbprint()).unwrap();
        assert_eq!(said.reason, filler.repeat(MAX_REASON_CHARS));
    }
}

#[test]
fn pins_that_are_no_hashes_are_refused() {
    let key = HostKey::generate();
    let good = pins().current;
    let many = vec![good[0].clone(); instruction::MAX_PINS + 1];
    let bad = |text: &str| vec![text.to_owned()];
    for (current, next) in [(bad(""), vec![]), (bad("sha256/abc"), vec![]), (good, bad("x")), (many, vec![])]
    {
        let pins = Pins { current, next, ..pins() };
        assert!(instruction::verify_pins(&instruction::sign_pins(&key, &pins), &key.thumbprint()).is_err());
    }
}
