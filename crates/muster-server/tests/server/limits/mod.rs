//! What strangers can use up: nothing that somebody with a credential needs.

mod budgets;
mod dead_tickets;
mod failures;
mod proofs;
mod proxies;

use muster_ids::{Bearer, BearerKind, PublicId};
use secrecy::ExposeSecret;

/// A well-formed bearer string that nobody made.
fn nobodys(kind: BearerKind, n: u32) -> String {
    let mut id = [0; 16];
    id[12..].copy_from_slice(&n.to_be_bytes());
    Bearer::new(kind, PublicId::from_entropy(id), [7; 32]).expose().expose_secret().to_owned()
}
