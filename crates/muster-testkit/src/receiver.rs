//! A server of HTTP that keeps what it was sent and answers as it is told: in place of a chat or a push server that no
//! registry has.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// `POST`, `PUT`, …
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// Returns the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A whole answer as it is sent; nobody gets one while there is none.
type Said = Option<Arc<str>>;

/// A server that listens until it is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    said: watch::Sender<Said>,
    task: AbortHandle,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    /// Starts a server that answers 200.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let (said, to_say) = watch::channel(None);
        let shared = Arc::clone(&received);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&shared), to_say.clone()));
            }
        });
        let receiver = Self { address, received, said, task: task.abort_handle() };
        receiver.answers(200, "");
        Ok(receiver)
    }

    /// Returns the port it listens at.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers with this status, and these header lines, each with its end, from now on.
    pub fn answers(&self, status: u16, headers: &str) {
        self.says(&format!(
            "HTTP/1.1 {status} Said\r\n{headers}content-length: 2\r\nconnection: close\r\n\r\nok"
        ));
    }

    /// Answers with these bytes from now on.
    pub fn says(&self, answer: &str) {
        self.said.send_replace(Some(answer.into()));
    }

    /// Takes what comes and keeps everybody waiting, until it is told how to answer.
    pub fn holds(&self) {
        self.said.send_replace(None);
    }

    /// Returns what came until now.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns what came, and forgets it.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.received.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn converse(
    mut stream: TcpStream,
    received: Arc<Mutex<Vec<Received>>>,
    mut said: watch::Receiver<Said>,
) {
    let mut bytes = Vec::new();
    let request = loop {
        if let Some(request) = parse(&bytes) {
            break request;
        }
        match stream.read_buf(&mut bytes).await {
            Ok(1..) => {}
            // Whoever hangs up early asked for nothing.
            _ => return,
        }
    };
    received.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    // The receiver is gone: there is nothing to say.
    let Ok(answer) = said.wait_for(Option::is_some).await.map(|said| said.clone()) else { return };
    let answer = answer.unwrap_or_default();
    // Who asked may be gone; the test sees that on its side.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Reads one request; `None`: not all of it is there.
pub(crate) fn parse(bytes: &[u8]) -> Option<Received> {
    let head_len = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..head_len]).into_owned();
    let mut lines = head.split("\r\n");
    let mut request_line = lines.next()?.split(' ');
    let (method, path) = (request_line.next()?.to_owned(), request_line.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(Some(0), |(_, value)| value.parse().ok())?;
    let body = bytes.get(head_len + 4..head_len + 4 + length)?.to_vec();
    Some(Received { method, path, headers, body })
}
