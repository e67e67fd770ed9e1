//! A kept-alive HTTP/1.1 connection that costs next to nothing: whole requests out, whole answers in.
//!
//! It reads what Muster and the floors send, and nothing more of HTTP: an answer has a length or no body.

use anyhow::{Context, bail};
use muster_client::{Dialer, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

const HEAD_LIMIT: usize = 64 * 1024;
const CHUNK: usize = 4 * 1024;

/// An answer as far as a load generator needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Returns a header by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = std::str::from_utf8(&self.head).ok()?;
        let mut fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Whether it is a 5xx that Muster never gives, under no load.
    pub(crate) fn is_failure(&self) -> bool {
        self.status >= 500 && !(self.status == 503 && self.header("retry-after").is_some())
    }
}

/// An open connection; one request at a time.
pub(crate) struct Connection {
    stream: Stream,
    received: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(dialer: &Dialer, url: &Url) -> anyhow::Result<Self> {
        let stream = dialer.connect(url).await?;
        Ok(Self { stream, received: Vec::with_capacity(CHUNK) })
    }

    /// Sends a whole request and reads its whole answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        self.stream.write_all(request).await.context("cannot send a request")?;
        self.stream.flush().await.context("cannot send a request")?;
        loop {
            if let Some((answer, used)) = parse(&self.received)? {
                self.received.drain(..used);
                return Ok(answer);
            }
            if self.stream.read_buf(&mut self.received).await.context("cannot read an answer")? == 0 {
                bail!("the server closed the connection before its answer");
            }
        }
    }
}

/// Reads one answer and how many bytes it took; `None`: not all of it is there.
fn parse(received: &[u8]) -> anyhow::Result<Option<(Answer, usize)>> {
    let Some(head_len) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        if received.len() > HEAD_LIMIT {
            bail!("the head of an answer has no end");
        }
        return Ok(None);
    };
    let head = &received[..head_len];
    let status = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let status = status.context("the answer is not HTTP")?;
    let body_len = length(head, status)?;
    let Some(body) = received.get(head_len + 4..head_len + 4 + body_len) else { return Ok(None) };
    let answer = Answer { status, head: head.to_vec(), body: body.to_vec() };
    Ok(Some((answer, head_len + 4 + body_len)))
}

fn length(head: &[u8], status: u16) -> anyhow::Result<usize> {
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let Some(at) = line.iter().position(|byte| *byte == b':') else { continue };
        if line[..at].eq_ignore_ascii_case(b"content-length") {
            let value = std::str::from_utf8(&line[at + 1..]).context("a length is no text")?;
            return value.trim().parse().context("a length is no number");
        }
    }
    if status == 204 || status == 304 { Ok(0) } else { bail!("an answer {status} without a length") }
}

/// Writes a `POST` with a JSON body.
pub(crate) fn post(path: &str, authority: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    with_body("POST", path, authority, headers, body)
}

/// Writes a `PUT` with a JSON body.
pub(crate) fn put(path: &str, authority: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    with_body("PUT", path, authority, headers, body)
}

fn with_body(method: &str, path: &str, authority: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    append(&mut request, headers);
    [request.as_bytes(), body].concat()
}

/// Writes a request without a body.
pub(crate) fn get(path: &str, authority: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut request = format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\n");
    append(&mut request, headers);
    request.into_bytes()
}

fn append(request: &mut String, headers: &[(&str, &str)]) {
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_one_after_the_other_however_they_are_cut() {
        let one = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ndpop-nonce: n1\r\n\r\nok";
        let two = b"HTTP/1.1 204 No Content\r\n\r\n";
        let both = [one.as_slice(), two.as_slice()].concat();
        for cut in 0..one.len() {
            assert_eq!(parse(&both[..cut]).unwrap(), None, "{cut}");
        }
        let (first, used) = parse(&both).unwrap().unwrap();
        assert_eq!((first.status, first.body.as_slice()), (200, b"ok".as_slice()));
        assert_eq!(first.header("dpop-nonce"), Some("n1"));
        let (second, rest) = parse(&both[used..]).unwrap().unwrap();
        assert_eq!((second.status, rest), (204, two.len()));
    }

    #[test]
    fn a_503_is_a_failure_unless_it_says_when_to_come_back() {
        let answer = |text: &[u8]| parse(text).unwrap().unwrap().0;
        assert!(answer(b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n").is_failure());
        assert!(!answer(b"HTTP/1.1 503 x\r\ncontent-length: 0\r\nRetry-After: 3\r\n\r\n").is_failure());
        assert!(answer(b"HTTP/1.1 500 x\r\ncontent-length: 0\r\nretry-after: 3\r\n\r\n").is_failure());
        assert!(!answer(b"HTTP/1.1 429 x\r\ncontent-length: 0\r\n\r\n").is_failure());
    }

    #[test]
    fn what_is_not_http_is_an_error() {
        assert!(parse(b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(parse(&vec![b'x'; HEAD_LIMIT + 1]).is_err());
    }
}
