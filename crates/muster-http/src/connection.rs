//! One connection's stream as hyper sees it, with what hyper does not do by itself:
//! its empty error replies become problems, a peer that never reads is dropped, a refused upload is drained so that
//! the refusal arrives, and a request whose length is said twice is noticed.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

use crate::edge::{self, Edge};
use crate::framing::FramingScan;
use crate::sources::AtSource;
use crate::{Problem, request};

const LINGER_FOR: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// A connection's place under the caps, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) _connection: OwnedSemaphorePermit,
    pub(crate) at_source: Option<AtSource>,
}

/// What the stream and the service of one connection tell each other. The last of the two to go frees the place.
#[derive(Debug)]
pub(crate) struct Signals {
    place: Mutex<Place>,
    answering: AtomicBool,
    ambiguous: AtomicBool,
    refused: AtomicBool,
}

impl Signals {
    pub(crate) fn new(place: Place) -> Self {
        let flag = || AtomicBool::new(false);
        Self { place: Mutex::new(place), answering: flag(), ambiguous: flag(), refused: flag() }
    }

    /// Notes that a handler took the connection over: it counts no longer against its source.
    pub(crate) fn vouch(&self) {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).at_source = None;
    }

    /// Notes that hyper delivered a request; ends when the returned guard goes with the reply's body.
    pub(crate) fn begin(self: &Arc<Self>) -> Answering {
        self.answering.store(true, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }

    /// Tells whether the request just delivered said its length more than once.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.ambiguous.swap(false, Ordering::Relaxed)
    }

    /// Notes that a reply may leave bytes of its request unread.
    pub(crate) fn note_refusal(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }
}

/// Lives from a request's arrival to the end of its reply.
#[derive(Debug)]
pub(crate) struct Answering(Arc<Signals>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.store(false, Ordering::Relaxed);
    }
}

/// A reply's body that ends its [`Answering`] with itself.
#[derive(Debug)]
pub(crate) struct ReplyBody {
    pub(crate) body: Body,
    pub(crate) answering: Answering,
}

impl http_body::Body for ReplyBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        debug_assert!(self.answering.0.answering.load(Ordering::Relaxed), "a body is sent while answering");
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The stream under hyper. Holds the connection's place under the cap until it is dropped, upgrade or not.
#[derive(Debug)]
pub(crate) struct GuardedStream<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    io: Option<IO>,
    edge: Arc<Edge>,
    signals: Arc<Signals>,
    scan: FramingScan,
    problem: Bytes,
    stalled: Option<Pin<Box<Sleep>>>,
    stall_after: Duration,
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static> GuardedStream<IO> {
    pub(crate) fn new(io: IO, edge: Arc<Edge>, signals: Arc<Signals>, stall_after: Duration) -> Self {
        Self {
            io: Some(io),
            edge,
            signals,
            scan: FramingScan::default(),
            problem: Bytes::new(),
            stalled: None,
            stall_after,
        }
    }

    fn io(&mut self) -> Pin<&mut IO> {
        Pin::new(self.io.as_mut().expect("the stream is taken by drop only"))
    }

    /// Passes a write on, unless nothing moved for too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let after = self.stall_after;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer stopped reading")))
    }

    fn poll_problem(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.problem.is_empty() {
            let bytes = self.problem.clone();
            let written = self.io().poll_write(cx, &bytes);
            let count = ready!(self.watch(cx, written))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.problem = self.problem.slice(count..);
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static> AsyncRead for GuardedStream<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.io().poll_read(cx, buf))?;
        let signals = Arc::clone(&self.signals);
        if !signals.answering.load(Ordering::Relaxed) {
            self.scan.feed(&buf.filled()[before..]);
            if self.scan.is_over() && self.scan.take() {
                signals.ambiguous.store(true, Ordering::Relaxed);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static> AsyncWrite for GuardedStream<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_problem(cx))?;
        if !self.signals.answering.load(Ordering::Relaxed)
            && let Some(status) = parser_refusal(buf)
        {
            self.problem = render_refusal(&self.edge, status);
            self.signals.note_refusal();
            return Poll::Ready(Ok(buf.len()));
        }
        let written = self.io().poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_problem(cx))?;
        let flushed = self.io().poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_problem(cx))?;
        let shut = self.io().poll_shutdown(cx);
        self.watch(cx, shut)
    }
}

/// Closing a socket with unread bytes resets it, and a reset destroys the reply before the peer has read it.
impl<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static> Drop for GuardedStream<IO> {
    fn drop(&mut self) {
        if !self.signals.refused.load(Ordering::Relaxed) {
            return;
        }
        if let (Some(mut io), Ok(runtime)) = (self.io.take(), tokio::runtime::Handle::try_current()) {
            let signals = Arc::clone(&self.signals);
            runtime.spawn(async move {
                let _ = tokio::time::timeout(LINGER_FOR, discard(&mut io)).await;
                drop(signals);
            });
        }
    }
}

async fn discard(io: &mut (impl AsyncRead + Unpin)) {
    let (mut scratch, mut left) = ([0; 2048], LINGER_BYTES);
    while let Ok(count) = io.read(&mut scratch).await {
        left = left.saturating_sub(count);
        if count == 0 || left == 0 {
            return;
        }
    }
}

/// Recognises the whole of hyper's own reply to a head it cannot parse: a 4xx with nothing but a zero length.
fn parser_refusal(buf: &[u8]) -> Option<StatusCode> {
    let head = std::str::from_utf8(buf.strip_prefix(b"HTTP/1.1 ")?.strip_suffix(b"\r\n\r\n")?).ok()?;
    let mut lines = head.split("\r\n");
    let status = StatusCode::from_bytes(lines.next()?.as_bytes().get(..3)?).ok()?;
    let (mut is_empty, mut is_bare) = (false, true);
    for line in lines {
        match line.split_once(": ")? {
            ("content-length", "0") => is_empty = true,
            ("connection" | "date", _) => {}
            _ => is_bare = false,
        }
    }
    (status.is_client_error() && is_empty && is_bare).then_some(status)
}

fn render_refusal(edge: &Edge, status: StatusCode) -> Bytes {
    use axum::response::IntoResponse;
    let id = edge.request_id();
    let response = edge::finish(request::within(id, || Problem::of_status(status).into_response()), id);
    let (head, body) = response.into_parts();
    // The body is one ready frame of bytes in memory.
    let body = body.collect();
    let body = futures_util::FutureExt::now_or_never(body)
        .and_then(Result::ok)
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let mut text =
        format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or("Error"));
    for (name, value) in &head.headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
    }
    text.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()));
    [text.as_bytes(), &body].concat().into()
}
