//! HTTP/1.1 by hand, one connection a request: what is sent is exactly what the test says.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A reply.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
    pub(crate) raw_body: String,
}

impl Answer {
    /// Returns a header; its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &'_ str| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value.len())
        };
        self.head.lines().find_map(|text| line(text).map(|len| &text[text.len() - len..]))
    }

    /// Returns a text of the body.
    pub(crate) fn text(&self, field: &str) -> String {
        self.body[field].as_str().unwrap_or_else(|| panic!("no {field}: {self:?}")).to_owned()
    }

    /// Expects a problem of this status and code.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json; charset=utf-8"));
    }

    /// Expects a 422 with exactly this field.
    #[track_caller]
    pub(crate) fn invalid(&self, pointer: &str, code: &str) {
        self.problem(422, "validation");
        let expected = serde_json::json!([{ "pointer": pointer, "code": code }]);
        assert_eq!(self.body["errors"], expected, "{self:?}");
    }
}

/// Sends one request and reads its reply.
pub(crate) async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: Option<String>,
) -> Answer {
    ask_from(LOCALHOST, address, method, path, headers, body).await
}

/// Sends one request from this address of the loopback network and reads its reply.
pub(crate) async fn ask_from(
    from: IpAddr,
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: Option<String>,
) -> Answer {
    let mut stream = send(from, address, method, path, headers, body).await;
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("the server answers").unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, raw_body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Answer {
        status: head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0),
        head: head.to_owned(),
        body: serde_json::from_str(raw_body).unwrap_or(Value::Null),
        raw_body: raw_body.to_owned(),
    }
}

/// Sends one request and closes the connection once the server has read it, without waiting for the reply.
pub(crate) async fn hang_up(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: Option<String>,
) {
    let stream = send(LOCALHOST, address, method, path, headers, body).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(stream);
}

async fn send(
    from: IpAddr,
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: Option<String>,
) -> TcpStream {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}");
    let body = match body {
        Some(body) => {
            head.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
            body
        }
        None => String::new(),
    };
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
    stream
}
