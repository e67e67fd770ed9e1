//! Who may do what, asked of every route of the OpenAPI document as every kind of caller, on both databases.
//!
//! A route without a case fails: its path parameters must be known to `things.rs`, its body to `bodies.rs`. The table
//! is `docs/permissions.md`; `make permissions` writes it anew.

mod bodies;
mod cast;
mod foreign;
mod matrix;
mod routes;
mod things;
