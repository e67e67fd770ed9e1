//! For tests only: one function per place where bytes of strangers are read, each with what must hold for any bytes.
//!
//! A target takes bytes and panics when a property breaks; parsing and refusing are both fine. The same functions run
//! in `tests/corpus.rs` on every `make test` (the committed corpus and mutations of it, from a printed seed) and under
//! libFuzzer by `make fuzz` (`fuzz/fuzz_targets`). To add one: a function here, its line in [`TARGETS`], a file and a
//! `[[bin]]` in `fuzz/`, and seeds in `fuzz/corpus/<name>/`; a test tells what is missing.

mod agent_channel;
mod bearer;
mod client_address;
mod cursor;
mod dpop;
mod frames;
mod hello;
mod htu;
mod ids;
mod join_string;
mod machine_uid;
mod mutate;
mod restic;
mod server_channel;
mod strict_json;
mod taken;

pub use agent_channel::agent_channel;
pub use bearer::bearer;
pub use client_address::{client_address, trusted_proxies};
pub use cursor::{cursor, generation};
pub use dpop::{dpop_claims, dpop_header};
pub use frames::{agent_frame, server_frame};
pub use hello::hello;
pub use htu::htu;
pub use ids::ids;
pub use join_string::join_string;
pub use machine_uid::machine_uid;
pub use mutate::Mutator;
pub use restic::restic_output;
pub use server_channel::server_channel;
pub use strict_json::strict_json;

/// A target: takes any bytes, panics when what must hold does not.
pub type Target = fn(&[u8]);

/// Every target, by the name of its corpus and its fuzzer.
pub const TARGETS: [(&str, Target); 18] = [
    ("agent_channel", agent_channel),
    ("agent_frame", agent_frame),
    ("bearer", bearer),
    ("client_address", client_address),
    ("cursor", cursor),
    ("dpop_claims", dpop_claims),
    ("dpop_header", dpop_header),
    ("generation", generation),
    ("hello", hello),
    ("htu", htu),
    ("ids", ids),
    ("join_string", join_string),
    ("machine_uid", machine_uid),
    ("restic_output", restic_output),
    ("server_channel", server_channel),
    ("server_frame", server_frame),
    ("strict_json", strict_json),
    ("trusted_proxies", trusted_proxies),
];
