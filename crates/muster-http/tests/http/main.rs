//! The accept loop and the edge, attacked through real sockets.

mod bodies;
mod document;
mod framing;
mod headers;
mod limits;
mod problems;
mod server;
mod tls;
