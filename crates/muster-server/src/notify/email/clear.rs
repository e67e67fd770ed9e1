//! The part of a conversation before STARTTLS, read byte by byte.
//!
//! Who stands between can put answers behind the server's `220` to STARTTLS. A reader that takes more bytes than it
//! needs would keep them and take them for answers of the server it has by then proven: mail would be "taken" that never
//! arrived (RFC 3207, §6). Read one by one, they are left for TLS, which breaks on them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The first byte of a TLS handshake (RFC 8446, §5.1); no SMTP command begins with it.
const HANDSHAKE: u8 = 0x16;

/// A connection that gives one byte at a time until TLS begins on it.
#[derive(Debug)]
pub(super) struct ClearUntilTls {
    tcp: TcpStream,
    is_clear: bool,
}

impl ClearUntilTls {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, is_clear: true }
    }
}

impl AsyncTokioStream for ClearUntilTls {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }
}

impl AsyncRead for ClearUntilTls {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_clear || buf.remaining() == 0 {
            return Pin::new(&mut self.tcp).poll_read(cx, buf);
        }
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut one))?;
        buf.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClearUntilTls {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.first() == Some(&HANDSHAKE) {
            self.is_clear = false;
        }
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
