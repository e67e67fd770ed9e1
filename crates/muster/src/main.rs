//! Muster: server, command line and demo in one binary.
fn main() {}
