//! A receiver of webhooks on a real socket, which answers as the test wants.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        });
        line.unwrap_or_else(|| panic!("no {name}: {}", self.head))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The subject of the event it tells of.
    pub(crate) fn subject(&self) -> String {
        self.json()["data"]["subject"].as_str().unwrap().to_owned()
    }
}

#[derive(Debug, Default)]
struct Inner {
    answer: String,
    got: Vec<Got>,
}

/// A receiver.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    inner: Arc<Mutex<Inner>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let inner = Arc::new(Mutex::new(Inner::default()));
        let receiver = Self { port, inner: Arc::clone(&inner) };
        receiver.answers(200);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(stream, Arc::clone(&inner)));
            }
        });
        receiver
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook/s3cret-path?token=s3cret-query", self.port)
    }

    /// Answers with this status from now on.
    pub(crate) fn answers(&self, status: u16) {
        self.says(&format!("HTTP/1.1 {status} As Told\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
    }

    /// Answers with these bytes from now on; with nothing, and no end, when there are none.
    pub(crate) fn says(&self, answer: &str) {
        self.inner.lock().unwrap().answer = answer.to_owned();
    }

    /// What came until now.
    pub(crate) fn got(&self) -> Vec<Got> {
        self.inner.lock().unwrap().got.clone()
    }

    pub(crate) fn subjects(&self) -> Vec<String> {
        self.got().iter().map(Got::subject).collect()
    }

    /// Waits until so many requests came.
    pub(crate) async fn got_times(&self, times: usize) -> Vec<Got> {
        for _ in 0..500 {
            if self.got().len() >= times {
                return self.got();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("only {} of {times} requests came", self.got().len());
    }
}

async fn answer(mut stream: TcpStream, inner: Arc<Mutex<Inner>>) {
    let mut bytes = Vec::new();
    let got = loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                break Got { head: head.to_owned(), body: body.to_owned() };
            }
        }
        if count == 0 {
            return;
        }
    };
    let answer = {
        let mut inner = inner.lock().unwrap();
        inner.got.push(got);
        inner.answer.clone()
    };
    if answer.is_empty() {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let _ = stream.write_all(answer.as_bytes()).await;
}
