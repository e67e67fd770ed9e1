//! One request and its whole answer, over any stream, in HTTP/1.1: what comes back is bounded, and never followed.

use std::fmt;
use std::pin::pin;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// A whole answer.
#[derive(Clone)]
pub struct Response {
    /// The status; a redirect is an answer like any other and is not followed.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A body may carry what was just minted; only its length is shown.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Response");
        shown.field("status", &self.status).field("body", &self.body.len()).finish_non_exhaustive()
    }
}

/// How much of an answer is read, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// Of its head.
    pub head: usize,
    /// Of its body.
    pub body: usize,
}

/// Why there is no whole answer.
#[derive(Debug)]
pub enum ExchangeError {
    /// The connection broke, or what came is not HTTP.
    Broken(hyper::Error),
    /// The body is longer than may be.
    TooLarge {
        /// The status, which came before the body.
        status: StatusCode,
    },
}

pub(crate) type Sender = http1::SendRequest<Full<Bytes>>;
pub(crate) type Connection<S> = http1::Connection<TokioIo<S>, Full<Bytes>>;

/// Sends one request as it is and reads the answer to its end.
pub async fn exchange<S>(stream: S, request: Request<Bytes>, most: Most) -> Result<Response, ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = begin(stream, most).await.map_err(ExchangeError::Broken)?;
    let mut connection = pin!(connection);
    let mut answer = pin!(async {
        let response = sender.send_request(request.map(Full::new)).await.map_err(ExchangeError::Broken)?;
        read(response, most).await
    });
    tokio::select! {
        biased;
        answered = answer.as_mut() => answered,
        // The connection may end before the last bytes of its answer are taken from it.
        _ = connection.as_mut() => answer.await,
    }
}

/// Makes a stream ready for a request.
pub(crate) async fn begin<S>(stream: S, most: Most) -> Result<(Sender, Connection<S>), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    http1::Builder::new().max_buf_size(most.head).handshake(TokioIo::new(stream)).await
}

/// Reads an answer to its end.
pub(crate) async fn read(response: http::Response<Incoming>, most: Most) -> Result<Response, ExchangeError> {
    let (head, body) = response.into_parts();
    match Limited::new(body, most.body).collect().await {
        Ok(body) => Ok(Response { status: head.status, headers: head.headers, body: body.to_bytes() }),
        // A limited body fails by its source or by its limit.
        Err(error) => Err(match error.downcast::<hyper::Error>() {
            Ok(error) => ExchangeError::Broken(*error),
            Err(_) => ExchangeError::TooLarge { status: head.status },
        }),
    }
}
