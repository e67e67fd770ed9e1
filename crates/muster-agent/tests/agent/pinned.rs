//! Certificates that change: which ones an agent takes, from the next dial on.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_agent::state::{IdentityState, StateDir};
use muster_ids::{BearerKind, KeyName, Timestamp};
use muster_proof::instruction::{Pins, sign_pins};
use muster_proof::{HostKey, digest};
use muster_wire::JoinString;
use muster_wire::channel::{AgentMessage, ServerMessage};
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::fake::{Fake, Peer, Rig, admitted, proof_refused};

/// A certificate and the pin of its key.
struct Certificate {
    acceptor: TlsAcceptor,
    pin: String,
}

impl Certificate {
    fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["muster.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let pin = digest::spki_pin(&key.subject_public_key_info());
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), pin }
    }
}

/// Shows whatever certificate is set, and passes on what it carries.
struct Front {
    shows: Arc<Mutex<TlsAcceptor>>,
    handshakes: Arc<Mutex<(usize, usize)>>,
}

impl Front {
    async fn start(first: &Certificate) -> (Self, Fake) {
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let outer = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", outer.local_addr().unwrap()).parse().unwrap();
        let to = inner.local_addr().unwrap();
        let instruction = Arc::new(HostKey::generate());
        let thumbprint = instruction.thumbprint();
        let mut fake = Fake::behind(inner, url, move |_, seen| match seen.target.as_str() {
            "/v1/enroll" => admitted(thumbprint, "new"),
            _ => proof_refused(seen).unwrap_or(crate::fake::Act::Upgrade),
        });
        fake.instruction = instruction;
        let shows = Arc::new(Mutex::new(first.acceptor.clone()));
        let handshakes = Arc::new(Mutex::new((0, 0)));
        let front = Self { shows: Arc::clone(&shows), handshakes: Arc::clone(&handshakes) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = outer.accept().await {
                let acceptor = shows.lock().unwrap().clone();
                let handshakes = Arc::clone(&handshakes);
                tokio::spawn(async move {
                    let Ok(mut tls) = acceptor.accept(stream).await else {
                        handshakes.lock().unwrap().1 += 1;
                        return;
                    };
                    handshakes.lock().unwrap().0 += 1;
                    let mut plain = TcpStream::connect(to).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut tls, &mut plain).await;
                });
            }
        });
        (front, fake)
    }

    fn show(&self, certificate: &Certificate) {
        *self.shows.lock().unwrap() = certificate.acceptor.clone();
    }

    fn refused(&self) -> usize {
        self.handshakes.lock().unwrap().1
    }
}

async fn tell(peer: &mut Peer, key: &HostKey, at: i64, current: &[&Certificate], next: &[&Certificate]) {
    say(peer, key, at, current, next).await;
    let Some(AgentMessage::PinsKept { .. }) = peer.hear().await else { panic!("not kept") };
}

async fn say(peer: &mut Peer, key: &HostKey, at: i64, current: &[&Certificate], next: &[&Certificate]) {
    let pins = |of: &[&Certificate]| of.iter().map(|certificate| certificate.pin.clone()).collect();
    let pins = Pins {
        to: KeyName::Pair(peer.key()),
        issued_at: Timestamp::from_millis(at),
        current: pins(current),
        next: pins(next),
        instruction_key: key.thumbprint(),
        next_instruction_key: None,
        not_before: Timestamp::from_millis(at),
    };
    peer.say(&ServerMessage::Pins { statement: sign_pins(key, &pins) }).await;
}

async fn joined_to(fake: &Fake, pins: &[&Certificate]) -> (Rig, JoinString) {
    let machine = Rig::new();
    let pins = pins.iter().map(|certificate| certificate.pin.clone()).collect();
    let join = JoinString { pins, ..fake.join_string(BearerKind::SiteKey, 1) };
    machine.join(&join).await.unwrap();
    (machine, join)
}

#[tokio::test]
async fn b23_a_certificate_is_taken_once_it_is_announced_and_no_longer_than_it_is_named() {
    let (first, second) = (Certificate::new(), Certificate::new());
    let (front, mut fake) = Front::start(&first).await;
    let (machine, _) = joined_to(&fake, &[&first]).await;
    let instruction = Arc::clone(&fake.instruction);
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        peer.welcome("g1").await;
        tell(&mut peer, &instruction, 10, &[&first], &[&second]).await;
        front.show(&second);
        drop(peer);
        let mut peer = fake.channel().await;
        peer.welcome("g2").await;
        tell(&mut peer, &instruction, 20, &[&second], &[]).await;
        assert_eq!(front.refused(), 0);
        // Somebody who still holds the former key.
        front.show(&first);
        drop(peer);
        while front.refused() < 3 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(fake.channels.try_recv().is_err(), "it spoke to a key that is not named any more");
        front.show(&second);
        fake.channel().await.welcome("g3").await;
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
}

/// The server says that its certificate is publicly valid, and here it is not: without its pins the agent would never
/// come back.
#[tokio::test]
async fn c28_pins_are_kept_where_the_certificate_is_not_taken_without_them() {
    let first = Certificate::new();
    let (front, mut fake) = Front::start(&first).await;
    let (machine, _) = joined_to(&fake, &[&first]).await;
    let instruction = Arc::clone(&fake.instruction);
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        peer.welcome("g1").await;
        say(&mut peer, &instruction, 10, &[], &[&first]).await;
        while front.refused() < 1 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        drop(peer);
        fake.channel().await.welcome("g2").await;
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    let identity = machine.identity().unwrap();
    assert_eq!((identity.pins, identity.pins_issued_at), (vec![first.pin], None));
}

#[tokio::test]
async fn b23_without_pins_an_untrusted_certificate_is_refused_until_a_join_string_names_it() {
    let first = Certificate::new();
    let (front, mut fake) = Front::start(&first).await;
    let (machine, mut join) = joined_to(&fake, &[&first]).await;
    let instruction = Arc::clone(&fake.instruction);
    // The certificate was a public one when the server said so.
    let state = StateDir::open(&machine.folder()).unwrap();
    let told = Some(Timestamp::from_millis(10));
    let without = IdentityState { pins: Vec::new(), pins_issued_at: told, ..machine.identity().unwrap() };
    state.store_identity(&without).unwrap();
    drop(state);
    let stop = CancellationToken::new();
    let test = async {
        while front.refused() < 3 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    assert!(fake.channels.try_recv().is_err());
    // The operator hands out a join string with the pin: key and host stay, and the server says its pins again.
    join.ticket = crate::fake::ticket(BearerKind::EnrolmentToken, 2);
    machine.join(&join).await.unwrap();
    let identity: IdentityState = machine.identity().unwrap();
    assert_eq!(identity.pins_issued_at, Some(Timestamp::from_millis(9)));
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        let (_, report) = peer.welcome_in("g2", None).await;
        assert_eq!(report.pins_issued_at, Some(Timestamp::from_millis(9)));
        tell(&mut peer, &instruction, 20, &[&first], &[]).await;
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
}
