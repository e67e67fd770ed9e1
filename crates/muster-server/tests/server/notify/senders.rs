//! Each sender against a server of its kind, and what must not leave.

mod chat;
mod email;

use ipnet::IpNet;
use muster_ids::Timestamp;
use muster_outbound::{Allowed, Options, Outbound};
use muster_server::notify::text::{Line, Message};
use muster_server::outbound::Gate;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A gate that reaches this machine, and nothing else that is private.
pub(crate) fn gate() -> Gate {
    gate_trusting(Vec::new())
}

pub(crate) fn gate_trusting(extra_roots: Vec<rustls::pki_types::CertificateDer<'static>>) -> Gate {
    let loopback: [IpNet; 2] = ["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    let client = Outbound::new(Options { extra_roots, ..Options::default() });
    Gate { client, allowed: Allowed::networks(&loopback) }
}

pub(crate) fn message(key: &str) -> Message {
    let says = "The host “web-1” is back.".to_owned();
    Message {
        subject: format!("[Muster] {says}"),
        lines: vec![Line { at: NOW, says, next: Some("muster host list".to_owned()) }],
        more: 0,
        link: Some("https://muster.example/".to_owned()),
        is_urgent: false,
        key: key.to_owned(),
    }
}
