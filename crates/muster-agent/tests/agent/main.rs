//! The agent against a scripted server: what it keeps, what it sends, and what it never does.

mod channel;
mod fake;
mod join;
mod work;
