//! HTTP by the byte: requests that no client library would send, and their answers.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as JSON; `null` when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Sends these bytes over plain TCP and returns the answer; `None`: the server closed without one.
pub async fn ask(address: SocketAddr, request: &[u8], within: Duration) -> io::Result<Option<Answer>> {
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        ask_over(stream, request).await
    };
    tokio::time::timeout(within, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Sends these bytes over an open stream and returns the answer; `None`: the server closed without one.
pub async fn ask_over<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    request: &[u8],
) -> io::Result<Option<Answer>> {
    // A server that refuses early may close before everything is sent; its answer counts.
    let _ = stream.write_all(request).await;
    let _ = stream.flush().await;
    let mut received = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        if let Some(answer) = parse(&received, false) {
            return Ok(Some(answer));
        }
        match stream.read(&mut chunk).await {
            Ok(0) => return Ok(parse(&received, true)),
            Ok(length) => received.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                return Ok(parse(&received, true));
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(parse(&received, true)),
            Err(error) => return Err(error),
        }
    }
}

/// Reads one answer; `None`: not all of it is there.
fn parse(received: &[u8], is_over: bool) -> Option<Answer> {
    let head_len = received.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&received[..head_len]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let answer = Answer { status, headers, body: received[head_len + 4..].to_vec() };
    let length = answer.header("content-length").and_then(|length| length.parse::<usize>().ok());
    match length {
        _ if matches!(status, 101 | 204 | 304) => Some(Answer { body: Vec::new(), ..answer }),
        Some(length) if answer.body.len() >= length => {
            Some(Answer { body: answer.body[..length].to_vec(), ..answer })
        }
        Some(_) => is_over.then_some(answer),
        None => match answer.header("transfer-encoding") {
            Some(_) => unchunk(&answer.body, is_over).map(|body| Answer { body, ..answer }),
            None => is_over.then_some(answer),
        },
    }
}

fn unchunk(mut framed: &[u8], is_over: bool) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let Some(line_len) = framed.windows(2).position(|bytes| bytes == b"\r\n") else {
            return is_over.then_some(body);
        };
        let size = usize::from_str_radix(std::str::from_utf8(&framed[..line_len]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        let Some(chunk) = framed.get(line_len + 2..line_len + 2 + size) else {
            return is_over.then_some(body);
        };
        body.extend_from_slice(chunk);
        framed = framed.get(line_len + 4 + size..).unwrap_or_default();
    }
}
