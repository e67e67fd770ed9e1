//! The one way out of this server to addresses that somebody else chose.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use ipnet::IpNet;
use muster_outbound::{Allowed, Outbound, OutboundError, Response};

/// Who sends requests, and what they may reach beside public addresses.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    /// Sends requests.
    pub client: Outbound,
    /// What the one who runs the server allowed beside public addresses.
    pub allowed: Allowed,
}

impl Gate {
    /// Makes a gate that reaches these networks beside public addresses.
    pub fn reaching(networks: &[IpNet]) -> Self {
        Self { client: Outbound::default(), allowed: Allowed::networks(networks) }
    }

    /// Sends one request, whose URI is absolute. A redirect is an answer like any other.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response, OutboundError> {
        self.client.send(request, &self.allowed).await
    }

    /// Returns the addresses of a host, all of which may be reached; for protocols other than HTTP.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, OutboundError> {
        self.client.resolve_checked(host, port, &self.allowed).await
    }

    /// Checks, without looking at any name, that a URL may be sent to.
    pub fn check_url(&self, url: &str) -> Result<(), OutboundError> {
        muster_outbound::check_url(url, &self.allowed)
    }
}
