//! Somebody who is about to sign in: a browser, mostly.

use axum::extract::FromRequestParts;
use http::request::Parts;
use muster_http::{ClientAddress, ConnectInfo, ListenerKind, Problem, SameOrigin};
use muster_ids::Bearer;

use super::web_session;
use crate::sign_in::user_agent;

/// Somebody nobody knows yet, whom no page of another site sent; for routes that begin a session.
#[derive(Debug)]
pub struct Visitor {
    /// The address they come from.
    pub source: ClientAddress,
    /// The listener they came in by, where alone their session will be good.
    pub listener: ListenerKind,
    /// What their browser calls itself.
    pub user_agent: String,
    /// The session their browser has until now; not judged.
    pub former: Option<Bearer>,
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        SameOrigin::from_request_parts(parts, state).await?;
        let source = ClientAddress::from_request_parts(parts, state).await?;
        let ConnectInfo { listener, .. } = ConnectInfo::from_request_parts(parts, state).await?;
        Ok(Self {
            source,
            listener,
            user_agent: user_agent(&parts.headers),
            former: web_session::of_request(&parts.headers, listener),
        })
    }
}

impl aide::OperationInput for Visitor {}
