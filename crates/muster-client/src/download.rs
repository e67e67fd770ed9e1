//! An answer that is read while it arrives, for what is too long to be held whole.

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::task::JoinHandle;
use url::Url;

use crate::dialer::{Dialer, MOST, Target, hyper_error, no_answer, prepare};
use crate::error::DialError;
use crate::exchange::{self, Response};

/// An answer whose body is still arriving. Dropping it closes the connection.
#[derive(Debug)]
pub struct Download {
    /// The headers.
    pub headers: HeaderMap,
    status: StatusCode,
    body: Incoming,
    authority: String,
    dialer: Dialer,
    connection: JoinHandle<()>,
}

impl Drop for Download {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Download {
    /// Returns the next piece; `None` at the end. A connection that breaks before is an error, so that what ended
    /// is whole. No piece may take longer than an answer may.
    pub async fn next(&mut self) -> Result<Option<Bytes>, DialError> {
        loop {
            let (within, authority) = (self.dialer.timeouts().response, self.authority.clone());
            let dialer = self.dialer.clone();
            let frame = dialer.within(within, &authority, "go on", async {
                self.body.frame().await.transpose().map_err(|error| hyper_error(&authority, error))
            });
            match frame.await? {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
            }
        }
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl Dialer {
    /// Sends one request like [`Dialer::request`]; a success comes back as soon as its head is there, anything else
    /// whole.
    pub async fn download(
        &self,
        request: Request<Bytes>,
        url: &Url,
    ) -> Result<Result<Download, Response>, DialError> {
        let stream = self.connect(url).await?;
        let authority = Target::of(url)?.authority();
        let mut request = request.map(Full::new);
        prepare(&mut request, url)?;
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        let answer = async {
            let (mut sender, connection) =
                exchange::begin(stream, MOST).await.map_err(|error| hyper_error(&authority, error))?;
            let connection = tokio::spawn(async move {
                // Its error reaches whoever reads the body.
                let _ = connection.await;
            });
            let response =
                sender.send_request(request).await.map_err(|error| hyper_error(&authority, error))?;
            if !response.status().is_success() {
                let whole = exchange::read(response, MOST).await;
                return Ok(Err(whole.map_err(|error| no_answer(&authority, error))?));
            }
            let (head, body) = response.into_parts();
            let (authority, dialer) = (authority.clone(), self.clone());
            Ok(Ok(Download {
                headers: head.headers,
                status: head.status,
                body,
                authority,
                dialer,
                connection,
            }))
        };
        self.within(self.timeouts().response, &authority, "answer", answer).await
    }
}
