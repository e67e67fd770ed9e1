//! Both sides of the live channel as state machines (DESIGN §5).
//!
//! `challenge → hello → welcome → acknowledged generation → config → work`. A shell feeds frames and the
//! results of what it did; the machine answers with what to do next. Signatures, disks, databases, sockets
//! and clocks are the shell's: this crate must never hold one. To add a message, add it to
//! `muster_wire::channel` and give it its place in `handle` of the side that receives it.

pub mod agent;
pub mod backoff;
pub mod server;
