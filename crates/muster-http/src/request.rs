//! What the edge knows of a request before any handler: its id, its connection.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::FromRequestParts;
use http::request::Parts;
use muster_ids::RequestId;

use crate::Problem;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// Runs `work` as the request `id`, so that every problem made in it names that request.
pub(crate) async fn scope<F: Future>(id: RequestId, work: F) -> F::Output {
    CURRENT.scope(id, work).await
}

/// Makes something synchronously as the request `id`.
pub(crate) fn within<T>(id: RequestId, make: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(id, make)
}

/// Returns the id of the request this task answers.
pub(crate) fn current() -> Option<RequestId> {
    CURRENT.try_with(|id| *id).ok()
}

/// Runs work of a request to its end in a task of its own, although whoever asked may hang up: what is counted after it
/// was judged is counted all the same.
pub async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let task = match current() {
        Some(id) => tokio::spawn(scope(id, work)),
        None => tokio::spawn(work),
    };
    task.await.unwrap_or_else(|error| Err(Problem::internal(error)))
}

/// The id of the request at hand, for audit records and log lines; `None` outside of [`protect`](crate::protect).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrentRequest(pub Option<RequestId>);

impl CurrentRequest {
    /// Reads the id of the request this task answers.
    pub fn read() -> Self {
        Self(current())
    }
}

impl<S: Sync> FromRequestParts<S> for CurrentRequest {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::read())
    }
}

impl aide::OperationInput for CurrentRequest {}

/// Which of the two faces of the server a connection came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListenerKind {
    /// Operators on the same machine: plain HTTP on a loopback address.
    Operators,
    /// Machines and browsers: TLS.
    Machines,
}

/// The connection a request came in by; every request served by [`serve`](crate::serve) carries one as an extension.
#[derive(Debug, Clone, Copy)]
pub struct ConnectInfo {
    /// Address of the other end of the TCP connection: a proxy's, if there is one.
    pub peer: SocketAddr,
    /// The listener that accepted it.
    pub listener: ListenerKind,
    /// How long a request body may take to arrive.
    pub body_within: Duration,
}

impl<S: Sync> FromRequestParts<S> for ConnectInfo {
    type Rejection = crate::Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, crate::Problem> {
        let found = parts.extensions.get::<Self>().copied();
        found.ok_or_else(|| crate::Problem::internal("the request did not come through the accept loop"))
    }
}

impl aide::OperationInput for ConnectInfo {}

/// Marks a request that a page makes by itself, without anybody who asks: it keeps no session alive.
#[derive(Debug, Clone, Copy)]
pub struct Unattended;
