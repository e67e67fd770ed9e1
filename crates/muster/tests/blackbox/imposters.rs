//! Whoever poses as the server hears nothing of a machine: no ticket, no proof, no key (SECURITY B23).
//!
//! The agent is the real one. Each imposter keeps every byte it is sent, on the wire and inside of TLS, and a control
//! that is what the agent wants shows that it would have heard something.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use muster_testkit::canary::{self, Canary};
use muster_testkit::imposter::{Authority, Face, Imposter, Manner, Wrong};
use muster_wire::JoinString;
use secrecy::ExposeSecret;

use crate::harness::{Agent, Backend, Installation, until};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Of a P-256 key in PKCS#8: the private number.
const PRIVATE: std::ops::Range<usize> = 36..68;
const NOTHING_HERE: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A joined agent, a ticket nobody used, and what must not be heard of either.
struct Victim {
    installation: Installation,
    host: Agent,
    join_string: String,
    canaries: Vec<Canary>,
    authority: Authority,
}

impl Victim {
    async fn new() -> Self {
        let installation = Installation::start(Backend::Sqlite).await;
        let mut host = Agent::new(installation.server.folder(), "host", "imposters-host");
        host.joined(&installation.token().await.join_string).await;
        host.run();
        host.until_at_work().await;
        host.stop().await;
        let ticket = installation.token().await;
        let key = host.key_bytes().unwrap();
        let generation = fs::read_to_string(host.state.join("generation.json")).unwrap();
        let generation: serde_json::Value = serde_json::from_str(&generation).unwrap();
        let canaries = vec![
            Canary::new("the ticket", &ticket.token),
            Canary::new("the ticket's secret", &ticket.token[17..60]),
            Canary::of_bytes("the host key", &key[PRIVATE]),
            Canary::new("the generation", generation["generation"].as_str().unwrap()),
        ];
        let authority = Authority::new("trusted here");
        let roots = installation.server.folder().join("ca.pem");
        fs::write(&roots, authority.pem()).unwrap();
        host.environment.push(("SSL_CERT_FILE", roots.display().to_string()));
        Self { installation, host, join_string: ticket.join_string, canaries, authority }
    }

    /// The join string, as if the server were at `url` and held `pins`.
    fn deceived(&self, url: &str, pins: &[String]) -> String {
        let mut join: JoinString = self.join_string.parse().unwrap();
        (join.urls, join.pins) = (vec![url.parse().unwrap()], pins.to_vec());
        join.expose().expose_secret().to_owned()
    }

    fn newcomer(&self, what: &str) -> Agent {
        let name: String =
            what.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(50).collect();
        let mut agent =
            Agent::new(self.installation.server.folder(), &format!("new-{name}"), "imposters-new");
        agent.environment.clone_from(&self.host.environment);
        agent
    }

    /// Starts the host, which believes that its server is at `url` and holds `pins`.
    fn send_host(&mut self, url: &str, pins: &[String]) {
        self.host.believes(&[url.to_owned()], pins);
        self.host.forget_log();
        self.host.run();
    }

    /// Lets a newcomer join and a host run at `url`; nothing of either may reach the imposter.
    async fn visits(&mut self, what: &str, imposter: &Imposter, url: &str, pins: &[String]) {
        let ended = self.newcomer(what).join(&self.deceived(url, pins)).await;
        assert!(matches!(ended.code, 1 | 3), "{what}: {}", ended.said());
        let came = imposter.connections();
        let key = self.host.key_bytes();
        self.send_host(url, pins);
        let host = &mut self.host;
        until(&format!("{what}: the agent does not try again"), Duration::from_secs(20), async || {
            let tries = host.said().matches("next_try_secs").count();
            (tries >= 2 || imposter.connections() >= came + 2).then_some(())
        })
        .await;
        assert!(host.is_running(), "{what}: {}", host.said());
        host.kill9();
        assert_eq!(host.key_bytes(), key, "{what}: the key is another");
        let said = format!("{}{}", ended.said(), host.said());
        let mut found = canary::sightings(&self.canaries, what, &imposter.wire());
        found.extend(canary::sightings(&self.canaries, what, &imposter.inside()));
        found.extend(canary::sightings(&self.canaries, "what the agents said", said.as_bytes()));
        assert_eq!(found, Vec::<String>::new());
    }

    /// The same, and not a byte may have been readable.
    async fn says_nothing(
        &mut self,
        what: &str,
        manner: Manner,
        url: impl Fn(u16) -> String,
        pins: &[String],
    ) {
        let imposter = Imposter::start(LOOPBACK, manner, NOTHING_HERE).await;
        self.visits(what, &imposter, &url(imposter.address().port()), pins).await;
        assert!(imposter.connections() >= 2, "{what}: nobody came");
        let inside = imposter.inside();
        assert!(inside.is_empty(), "{what} heard {}", String::from_utf8_lossy(&inside));
    }

    /// A server that is what the agent wants hears the ticket of a newcomer, and a proof of the host.
    async fn is_believed(&self, what: &str, face: Face, url: impl Fn(u16) -> String, pins: &[String]) {
        let server = Imposter::start(LOOPBACK, Manner::Tls(face), NOTHING_HERE).await;
        let url = url(server.address().port());
        self.newcomer(what).join(&self.deceived(&url, pins)).await;
        assert!(self.canaries[0].is_in(&server.inside()), "{what}: the control hears nothing");
        assert_eq!(canary::sightings(&self.canaries, what, &server.wire()), Vec::<String>::new());
    }
}

fn by_name(port: u16) -> String {
    format!("https://localhost:{port}")
}

fn by_address(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b23_who_is_not_vouched_for_by_a_trusted_authority_hears_nothing() {
    let mut victim = Victim::new().await;
    let stranger = Authority::new("trusted nowhere");
    let vouched = |name: &str, wrong| Face::new(name, Some(&victim.authority), wrong);
    let good = vouched("localhost", Wrong::Nothing);
    victim.is_believed("a certificate that holds", good, by_name, &[]).await;
    let faces = [
        ("a certificate that vouches for itself", Face::new("localhost", None, Wrong::Nothing)),
        ("an unknown authority", Face::new("localhost", Some(&stranger), Wrong::Nothing)),
        ("an expired certificate", vouched("localhost", Wrong::Expired)),
        ("a certificate of tomorrow", vouched("localhost", Wrong::Early)),
        ("a certificate of another name", vouched("other.example", Wrong::Nothing)),
        ("a certificate without its key", vouched("localhost", Wrong::Stolen)),
    ];
    for (what, face) in faces {
        victim.says_nothing(what, Manner::Tls(face), by_name, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b23_who_does_not_hold_the_pinned_key_hears_nothing() {
    let mut victim = Victim::new().await;
    let nobody = Face::new("localhost", None, Wrong::Nothing).pin;
    let good = Face::new("other.example", None, Wrong::Expired);
    let pins = [nobody.clone(), good.pin.clone()];
    victim.is_believed("the next pinned key, whatever name and date", good, by_address, &pins).await;
    let another = Face::new("localhost", None, Wrong::Nothing);
    victim.says_nothing("another key", Manner::Tls(another), by_address, std::slice::from_ref(&nobody)).await;
    let trusted = Face::new("localhost", Some(&victim.authority), Wrong::Nothing);
    victim
        .says_nothing("a trusted certificate of another key", Manner::Tls(trusted), by_name, &[nobody])
        .await;
    let stolen = Face::new("127.0.0.1", None, Wrong::Stolen);
    let pins = [stolen.pin.clone()];
    victim
        .says_nothing("the pinned certificate without its key", Manner::Tls(stolen), by_address, &pins)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b23_a_handshake_that_is_cut_or_none_tells_nothing() {
    let mut victim = Victim::new().await;
    let face = Face::new("127.0.0.1", None, Wrong::Nothing);
    let pins = [face.pin.clone()];
    for bytes in [0, 1, 7, 120, 300] {
        let what = format!("a handshake cut after {bytes} bytes");
        victim.says_nothing(&what, Manner::CutHandshake(face.clone(), bytes), by_address, &pins).await;
    }
    // What comes in plain text is a ClientHello, which it can read and which tells nothing.
    let plain = Imposter::start(LOOPBACK, Manner::Plain, NOTHING_HERE).await;
    victim.visits("no TLS at all", &plain, &by_address(plain.address().port()), &pins).await;
    assert!(!plain.inside().is_empty());
    let heard = String::from_utf8_lossy(&plain.inside()).to_lowercase();
    assert!(!heard.contains("http/1.1\r\n") && !heard.contains("dpop"), "{heard}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b23_plain_http_leaves_this_machine_to_nobody() {
    let mut victim = Victim::new().await;
    let here = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Selects a route, sends nothing.
    let address = here.connect("203.0.113.1:9").and_then(|()| here.local_addr()).map(|address| address.ip());
    let address = address.ok().filter(|ip| !ip.is_loopback());
    let address = address.expect("this test needs an address that is not loopback");
    let eavesdropper = Imposter::start(address, Manner::Plain, NOTHING_HERE).await;
    let url = format!("http://{}", eavesdropper.address());
    let pinned = [Face::new("localhost", None, Wrong::Nothing).pin];
    for (what, pins) in [("without pins", &[][..]), ("with pins", &pinned[..])] {
        let ended = victim.newcomer(what).join(&victim.deceived(&url, pins)).await;
        assert_eq!(ended.code, 3, "{}", ended.said());
        assert!(ended.err.contains("plain http"), "{}", ended.said());
        victim.send_host(&url, pins);
        let host = &mut victim.host;
        until("the agent does not try", Duration::from_secs(10), async || {
            (host.said().matches("next_try_secs").count() >= 2).then_some(())
        })
        .await;
        assert!(host.is_running());
        host.kill9();
    }
    assert_eq!((eavesdropper.connections(), eavesdropper.wire()), (0, Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b23_no_redirect_is_followed_by_a_join_or_an_upgrade() {
    let mut victim = Victim::new().await;
    for status in
        ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let elsewhere = Imposter::start(LOOPBACK, Manner::Plain, NOTHING_HERE).await;
        let face = Face::new("127.0.0.1", None, Wrong::Nothing);
        let pins = [face.pin.clone()];
        let location = format!("http://{}/v1/agent/connect", elsewhere.address());
        let answer = format!(
            "HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let server = Imposter::start(LOOPBACK, Manner::Tls(face), &answer).await;
        let url = by_address(server.address().port());
        let ended = victim.newcomer(status).join(&victim.deceived(&url, &pins)).await;
        assert_eq!(ended.code, 1, "{status}: {}", ended.said());
        victim.send_host(&url, &pins);
        let host = &mut victim.host;
        until("the agent does not try again", Duration::from_secs(20), async || {
            let upgrades = String::from_utf8_lossy(&server.inside()).matches("/v1/agent/connect").count();
            (upgrades >= 2).then_some(())
        })
        .await;
        assert!(host.is_running(), "{status}: {}", host.said());
        host.kill9();
        assert_eq!((elsewhere.connections(), elsewhere.wire()), (0, Vec::new()), "{status}");
    }
}
