//! The doors: tickets, enrolment, hosts and claims, through the real accept loop on both databases.

mod claims;
mod enrolment;
mod enrolment_revocation;
mod hosts;
mod races;
pub(crate) mod scene;
mod tickets;
