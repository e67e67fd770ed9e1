//! A directory of RFC 8555 on loopback, strict in what it takes: nonces, signatures and URLs are checked, and names are verified by
//! a real look at the listener (`tls-alpn-01`, RFC 8737).

mod book;
mod signed;
mod verify;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use crate::imposter::{Authority, acceptor};
use crate::receiver::{Received, parse};
use book::Book;
use signed::Signed;

/// How long one connection is listened to.
const PATIENCE: Duration = Duration::from_secs(20);

/// A refusal of requests.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// When to come back, as the header says it.
    pub retry_after: Option<String>,
    /// How many requests with a signature are refused.
    pub times: u32,
}

/// How a directory behaves.
#[derive(Debug, Clone)]
pub struct Knobs {
    /// Where the listener of every name is.
    pub listener: Option<SocketAddr>,
    /// How many nonces it will not know.
    pub bad_nonces: u32,
    /// What it refuses.
    pub refusal: Option<Refusal>,
    /// Whether it expects another proof than the right one.
    pub expects_another: bool,
    /// Whether it gives up every order when it should sign.
    pub gives_up: bool,
    /// How long its certificates are valid.
    pub lives_for: Duration,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            listener: None,
            bad_nonces: 0,
            refusal: None,
            expects_another: false,
            gives_up: false,
            lives_for: Duration::from_secs(90 * 86_400),
        }
    }
}

/// What came to a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Requests of every kind.
    pub requests: u64,
    /// Accounts made.
    pub accounts: u64,
    /// Contacts of the last account.
    pub contacts: Vec<String>,
    /// Orders made.
    pub orders: u64,
    /// Looks at the listener.
    pub looks: u64,
    /// Certificates signed.
    pub signed: u64,
}

/// A directory that listens until it is dropped.
pub struct AcmeDirectory {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl std::fmt::Debug for AcmeDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AcmeDirectory").field("address", &self.address).finish_non_exhaustive()
    }
}

struct Shared {
    base: String,
    authority: Authority,
    tls: TlsAcceptor,
    knobs: Mutex<Knobs>,
    seen: Mutex<Seen>,
    book: Mutex<Book>,
}

impl Drop for AcmeDirectory {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Status, headers and body of an answer.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_string(),
        }
    }

    fn problem(status: u16, kind: &str, detail: &str) -> Self {
        let body = json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail });
        Self {
            status,
            headers: vec![("content-type", "application/problem+json".to_owned())],
            body: body.to_string(),
        }
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl AcmeDirectory {
    /// Starts a directory with an authority of its own.
    ///
    /// # Panics
    /// When it cannot listen, or no certificate can be made.
    pub async fn start(knobs: Knobs) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let authority = Authority::new("a directory for tests");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &authority.issuer).expect("a certificate").der().clone();
        let shared = Arc::new(Shared {
            base: format!("https://{address}"),
            authority,
            tls: acceptor(certificate, &key),
            knobs: Mutex::new(knobs),
            seen: Mutex::default(),
            book: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                tokio::spawn(async move {
                    // Who hangs up asked for nothing more.
                    let _ = tokio::time::timeout(PATIENCE, converse(tcp, &shared)).await;
                });
            }
        });
        Self { address, shared, task: task.abort_handle() }
    }

    /// Returns its address.
    pub fn url(&self) -> String {
        format!("https://{}/directory", self.address)
    }

    /// Returns the certificate of its authority, which vouches for itself and for what it signs.
    pub fn authority_pem(&self) -> &str {
        self.shared.authority.pem()
    }

    /// Changes how it behaves.
    pub fn set(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.shared.knobs());
    }

    /// Returns what came until now.
    pub fn seen(&self) -> Seen {
        self.shared.seen().clone()
    }

    /// Knows no account any more, as after a loss of its own.
    pub fn forget_accounts(&self) {
        self.shared.book().forget_accounts();
    }
}

impl Shared {
    fn knobs(&self) -> MutexGuard<'_, Knobs> {
        self.knobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn refuses(&self) -> Option<Answer> {
        let mut knobs = self.knobs();
        let refusal = knobs.refusal.as_mut().filter(|refusal| refusal.times > 0)?;
        refusal.times -= 1;
        let mut answer = match refusal.status {
            429 => Answer::problem(429, "rateLimited", "too many of them"),
            status => Answer { status, headers: Vec::new(), body: "<h1>not now</h1>".to_owned() },
        };
        if let Some(later) = &refusal.retry_after {
            answer = answer.with("retry-after", later.clone());
        }
        Some(answer)
    }

    fn take_bad_nonce(&self) -> bool {
        let mut knobs = self.knobs();
        let is_bad = knobs.bad_nonces > 0;
        knobs.bad_nonces = knobs.bad_nonces.saturating_sub(1);
        is_bad
    }
}

async fn converse(tcp: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let mut stream = shared.tls.accept(tcp).await?;
    let mut bytes = Vec::new();
    let request = loop {
        if let Some(request) = parse(&bytes) {
            break request;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    shared.seen().requests += 1;
    let answer = answer(shared, &request);
    let nonce = shared.book().nonce();
    let mut text =
        format!("HTTP/1.1 {} Said\r\nreplay-nonce: {nonce}\r\nconnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let body = if request.method == "HEAD" { "" } else { &answer.body };
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", answer.body.len()));
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}

fn answer(shared: &Arc<Shared>, request: &Received) -> Answer {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/directory") => Answer::json(
            200,
            &json!({
                "newNonce": shared.url("/nonce"), "newAccount": shared.url("/account"),
                "newOrder": shared.url("/order"), "revokeCert": shared.url("/revoke"),
                "keyChange": shared.url("/key-change"),
            }),
        ),
        ("HEAD", "/nonce") => Answer { status: 200, headers: Vec::new(), body: String::new() },
        ("POST", path) => {
            if let Some(refused) = shared.refuses() {
                return refused;
            }
            match Signed::read(shared, request) {
                Ok(signed) => book::answer(shared, path, &signed),
                Err(refused) => refused,
            }
        }
        _ => Answer::problem(404, "malformed", "there is no such thing"),
    }
}
