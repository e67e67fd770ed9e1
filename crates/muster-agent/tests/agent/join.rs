//! Joining: lost replies, refusals, what is never sent.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use muster_agent::error::{AgentError, Exit};
use muster_agent::join::Joined;
use muster_agent::state::{Membership, StateDir};
use muster_agent::status::{self, Standing};
use muster_edge::Clock;
use muster_ids::{BearerKind, KeyThumbprint, Timestamp};
use muster_wire::JoinString;
use muster_wire::enroll::{Disposition, EnrollRequest};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::fake::{Act, Fake, NONCE, Rig, admitted, host_id, problem, problem_with, proof_refused};

fn key_of(fake: &Arc<std::sync::OnceLock<KeyThumbprint>>) -> KeyThumbprint {
    *fake.get().expect("set before the first request")
}

/// A server whose script knows the instruction key.
async fn server(
    script: impl Fn(usize, &crate::fake::Seen, KeyThumbprint) -> Act + Send + Sync + 'static,
) -> Fake {
    let known = Arc::new(std::sync::OnceLock::new());
    let told = Arc::clone(&known);
    let fake = Fake::start(move |n, seen| script(n, seen, key_of(&told))).await;
    known.set(fake.instruction.thumbprint()).expect("set once");
    fake
}

#[tokio::test]
async fn c02_a_lost_reply_is_asked_for_again_with_the_same_key() {
    let fake = server(|n, _, key| if n == 0 { Act::Close } else { admitted(key, "new") }).await;
    let machine = Rig::new();
    let join = fake.join_string(BearerKind::EnrolmentToken, 1);
    let joined = machine.join(&join).await.unwrap();
    assert!(matches!(joined, Joined::Admitted { disposition: Disposition::New, .. }), "{joined:?}");
    let seen = fake.requests();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].key(), seen[1].key());
    assert_ne!(
        seen[0].proof.clone().unwrap().unwrap().claims.jti,
        seen[1].proof.clone().unwrap().unwrap().claims.jti
    );
    let request: EnrollRequest = serde_json::from_slice(&seen[0].body).unwrap();
    assert!(request.machine_uid.to_string().starts_with("given:"));
    assert_eq!(machine.identity().unwrap().host_id(), Some(host_id()));
    let ticket = join.ticket.expose();
    for entry in fs::read_dir(machine.folder()).unwrap() {
        let content = fs::read(entry.unwrap().path()).unwrap();
        assert!(
            !String::from_utf8_lossy(&content).contains(ticket.expose_secret()),
            "b22: the ticket is kept"
        );
    }
}

#[tokio::test]
async fn c02_when_every_reply_is_lost_the_next_command_goes_on_with_the_same_key() {
    let fake = server(|n, _, key| if n < 3 { Act::Close } else { admitted(key, "new") }).await;
    let mut machine = Rig::new();
    machine.machine.pace.tries = 3;
    let join = fake.join_string(BearerKind::EnrolmentToken, 1);
    let error = machine.join(&join).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Unreachable);
    assert!(error.to_string().contains("Nothing is lost"), "{error}");
    machine.join(&join).await.unwrap();
    let seen = fake.requests();
    assert_eq!((seen.len(), seen[0].key()), (4, seen[3].key()));
}

#[tokio::test]
async fn c08_a_wrong_clock_does_not_keep_a_machine_out() {
    let fake = server(|_, seen, key| proof_refused(seen).unwrap_or_else(|| admitted(key, "new"))).await;
    let mut machine = Rig::new();
    machine.machine.clock = Clock::fake(Timestamp::from_millis(1_000_000)).0;
    machine.join(&fake.join_string(BearerKind::EnrolmentToken, 1)).await.unwrap();
    let seen = fake.requests();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].proof.clone().unwrap().unwrap().claims.nonce.as_deref(), Some(NONCE));
}

#[tokio::test]
async fn a_server_that_always_asks_for_another_nonce_is_not_asked_for_ever() {
    let fake = server(|_, _, _| {
        problem_with(401, "use_dpop_nonce", vec![("DPoP-Nonce", "n".to_owned())], &json!({}))
    })
    .await;
    let machine = Rig::new();
    machine.join(&fake.join_string(BearerKind::EnrolmentToken, 1)).await.unwrap_err();
    assert_eq!(fake.requests().len(), 2);
}

#[tokio::test]
async fn c16_a_state_folder_that_cannot_be_written_sends_nothing() {
    let fake = server(|_, _, key| admitted(key, "new")).await;
    let machine = Rig::new();
    let join = fake.join_string(BearerKind::EnrolmentToken, 1);
    let file = machine.parent.path().join("file");
    fs::write(&file, "x").unwrap();
    for folder in [file.join("state"), "/proc/self/fdinfo/state".into(), file] {
        let outcome = muster_agent::join::join(&machine.machine, &folder, &join, Default::default()).await;
        let error = outcome.unwrap_err();
        assert_eq!(error.exit(), Exit::Failed);
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    let held = StateDir::open(&machine.folder()).unwrap();
    let joined =
        muster_agent::join::join(&machine.machine, &machine.folder(), &join, Default::default()).await;
    let error = joined.unwrap_err().to_string();
    assert!(error.contains("another muster-agent"), "{error}");
    drop(held);
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn b23_a_server_with_another_key_gets_no_byte() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("https://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let received = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&received);
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut bytes = Vec::new();
                let _ = stream.read_to_end(&mut bytes).await;
                counted.fetch_add(bytes.len(), Ordering::SeqCst);
            }
        }
    });
    let machine = Rig::new();
    let fake = server(|_, _, key| admitted(key, "new")).await;
    let join = JoinString {
        urls: vec![url],
        pins: vec![KeyThumbprint::from_digest([1; 32]).to_string()],
        ..fake.join_string(BearerKind::EnrolmentToken, 1)
    };
    let error = machine.join(&join).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Failed);
    assert!(error.to_string().contains("nothing was sent"), "{error}");
    assert_eq!(received.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn b23_a_redirect_is_not_followed() {
    let elsewhere = server(|_, _, key| admitted(key, "new")).await;
    let target = elsewhere.url.to_string();
    let fake = server(move |_, _, _| Act::Reply(302, vec![("Location", target.clone())], json!({}))).await;
    let machine = Rig::new();
    let error = machine.join(&fake.join_string(BearerKind::EnrolmentToken, 1)).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Failed);
    assert_eq!((fake.requests().len(), elsewhere.requests().len()), (1, 0));
}

#[tokio::test]
async fn b23_an_answer_of_another_installation_makes_no_host() {
    let foreign = KeyThumbprint::from_digest([9; 32]);
    let fake = server(move |_, _, _| admitted(foreign, "new")).await;
    let machine = Rig::new();
    let error = machine.join(&fake.join_string(BearerKind::EnrolmentToken, 1)).await.unwrap_err();
    assert!(matches!(error, AgentError::ForeignServer), "{error}");
    assert_eq!(machine.identity().unwrap().host_id(), None);
}

#[tokio::test]
async fn a_refusal_is_one_line_that_says_what_to_do() {
    let check = async |status: u16, code: &'static str, exit: Exit, words: &[&str]| {
        let fake = server(move |_, _, _| {
            problem_with(
                status,
                code,
                vec![("Retry-After", "300".into())],
                &json!({ "errors": [
                { "pointer": "/hostname", "code": "too_long" }
            ] }),
            )
        })
        .await;
        let machine = Rig::new();
        let join = fake.join_string(BearerKind::EnrolmentToken, 1);
        let error = machine.join(&join).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.exit(), exit, "{text}");
        assert!(!text.contains(['\n', '\u{1b}']), "b08: {text:?}");
        assert!(!text.contains(join.ticket.expose().expose_secret()), "b22: {text}");
        for word in words {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert_eq!(fake.requests().len(), 1, "{code}");
    };
    let ticket = crate::fake::ticket(BearerKind::EnrolmentToken, 1).id.to_string();
    let why = format!("muster ticket why {ticket}");
    check(401, "enrollment_rejected", Exit::Failed, &[&why, "req-7"]).await;
    check(409, "key_in_use", Exit::Failed, &["reset"]).await;
    check(409, "site_conflict", Exit::Failed, &["another site"]).await;
    check(403, "claim_rejected", Exit::Failed, &["a person refused"]).await;
    check(403, "host_suspended", Exit::Failed, &["resume"]).await;
    check(422, "validation", Exit::Failed, &["/hostname too_long"]).await;
    check(503, "unavailable", Exit::Unreachable, &["300 seconds"]).await;
    check(418, "odd", Exit::Failed, &["text"]).await;
}

#[tokio::test]
async fn addresses_are_tried_in_order_and_a_server_that_is_down_says_so() {
    let fake = server(|_, _, key| admitted(key, "new")).await;
    let machine = Rig::new();
    let join = fake.join_string(BearerKind::EnrolmentToken, 1);
    let dead: Url = "http://127.0.0.1:1/".parse().unwrap();
    let down = JoinString { urls: vec![dead.clone()], ..join.clone() };
    let error = machine.join(&down).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Unreachable);
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    let both = JoinString { urls: vec![dead, fake.url.clone()], ..join };
    machine.join(&both).await.unwrap();
}

fn waiting(instruction_key: KeyThumbprint) -> Act {
    let body = json!({
        "claim_id": muster_ids::ClaimId::from_uuid(uuid::Uuid::from_u128(crate::fake::HOST)),
        "reason": "collision", "retry_after_secs": 5,
        "server_time": Timestamp::from_millis(1_700_000_000_000), "instruction_key": instruction_key,
    });
    Act::Reply(202, Vec::new(), body)
}

#[tokio::test]
async fn a_machine_that_waits_asks_again_with_the_same_key_until_a_person_decided() {
    let mut fake = server(|n, seen, key| match n {
        _ if seen.target.ends_with("connect") => proof_refused(seen).unwrap_or(Act::Upgrade),
        0..4 => waiting(key),
        _ => admitted(key, "new"),
    })
    .await;
    let machine = Rig::new();
    let error = machine.join(&fake.join_string(BearerKind::SiteKey, 1)).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Waiting);
    assert!(error.to_string().contains("collision"), "{error}");
    let status = status::read(&machine.folder(), &machine.machine.policy).unwrap();
    assert!(matches!(status.standing, Standing::Waiting { .. }), "{status}");
    let stop = tokio_util::sync::CancellationToken::new();
    let test = async {
        fake.channel().await.welcome("g1").await;
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    let seen = fake.requests();
    assert!(
        seen.iter()
            .all(|seen| seen.proof.as_ref().unwrap().is_err() || seen.key() == fake.requests()[0].key())
    );
    assert_eq!(machine.identity().unwrap().host_id(), Some(host_id()));
}

#[tokio::test]
async fn a_host_that_joins_again_is_reused_by_site_key_and_spends_no_one_time_ticket() {
    let fake = server(|n, _, key| if n == 0 { admitted(key, "new") } else { admitted(key, "reuse") }).await;
    let machine = Rig::new();
    machine.join(&fake.join_string(BearerKind::SiteKey, 1)).await.unwrap();
    let joined = machine.join(&fake.join_string(BearerKind::SiteKey, 1)).await.unwrap();
    assert!(matches!(joined, Joined::Admitted { disposition: Disposition::Reuse, .. }), "{joined:?}");
    let elsewhere = JoinString {
        urls: vec!["https://new.example/".parse().unwrap()],
        ..fake.join_string(BearerKind::EnrolmentToken, 2)
    };
    assert_eq!(machine.join(&elsewhere).await.unwrap(), Joined::Moved { host_id: host_id() });
    assert_eq!(machine.identity().unwrap().urls, elsewhere.urls);
    let foreign = JoinString { instruction_key: KeyThumbprint::from_digest([1; 32]), ..elsewhere };
    let error = machine.join(&foreign).await.unwrap_err();
    assert!(matches!(error, AgentError::ForeignJoinString), "{error}");
    let seen = fake.requests();
    assert_eq!((seen.len(), seen[0].key()), (2, seen[1].key()));
}

#[tokio::test]
async fn a_new_ticket_is_presented_only_after_the_earlier_one_was_refused() {
    let earlier = crate::fake::ticket(BearerKind::EnrolmentToken, 1).expose();
    let fake = server(move |_, seen, key| {
        if seen.ticket.as_deref() == Some(earlier.expose_secret()) {
            problem(401, "enrollment_rejected")
        } else {
            admitted(key, "new")
        }
    })
    .await;
    let machine = Rig::new();
    machine.join(&fake.join_string(BearerKind::EnrolmentToken, 1)).await.unwrap_err();
    assert!(matches!(machine.identity().unwrap().membership, Membership::Joining { .. }));
    let joined = machine.join(&fake.join_string(BearerKind::EnrolmentToken, 2)).await.unwrap();
    assert!(matches!(joined, Joined::Admitted { by_earlier_ticket: false, .. }), "{joined:?}");
    let tickets: Vec<_> = fake.requests().into_iter().map(|seen| seen.ticket.unwrap()).collect();
    assert_eq!(tickets.len(), 3);
    assert!(tickets[0] == tickets[1] && tickets[1] != tickets[2]);
}

#[tokio::test]
async fn a_ticket_that_is_no_ticket_is_refused_before_anything_is_made() {
    let fake = server(|_, _, key| admitted(key, "new")).await;
    let machine = Rig::new();
    let error = machine.join(&fake.join_string(BearerKind::OperatorToken, 1)).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Usage);
    assert!(!machine.folder().exists() && fake.requests().is_empty());
}

#[tokio::test]
async fn a_host_whose_key_is_missing_says_so_instead_of_making_another() {
    let fake = server(|_, _, key| admitted(key, "new")).await;
    let machine = Rig::new();
    machine.join(&fake.join_string(BearerKind::SiteKey, 1)).await.unwrap();
    fs::remove_file(machine.file("key.pk8")).unwrap();
    let error = machine.join(&fake.join_string(BearerKind::SiteKey, 1)).await.unwrap_err();
    assert!(matches!(error, AgentError::KeyMissing { .. }), "{error}");
    assert_eq!(fake.requests().len(), 1);
}
