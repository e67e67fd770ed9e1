//! Tickets in full: rotation, bounds, refusals, explanations, ephemeral hosts and leaks, on both databases.

mod bounds;
mod ephemeral;
mod explain;
mod keys;
mod leak;
mod rotation;
mod why;
