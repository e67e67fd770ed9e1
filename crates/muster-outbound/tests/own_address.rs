//! This machine is not reached through its public address either, which is judged in a network of the test's own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use std::process::Command;

use bytes::Bytes;
use http::Request;
use muster_outbound::{Allowed, Outbound, OutboundError, Unreachable};
use tokio::net::TcpListener;

const INSIDE: &str = "MUSTER_TEST_INSIDE_OWN_NETWORK";
const SET_UP: &str =
    "ip link set lo up && ip addr add 1.2.3.4/32 dev lo && exec \"$0\" --exact inside --nocapture";

#[test]
fn the_public_address_of_this_machine_is_refused() {
    let program = std::env::current_exe().unwrap();
    let mut here = Command::new("unshare");
    here.args(["--map-root-user", "--net", "sh", "-c", "ip link set lo up"]);
    if !here.output().is_ok_and(|tried| tried.status.success()) {
        // Networks of one's own need rights; the rule itself has a test that needs none.
        assert!(
            std::env::var_os("CI").is_none(),
            "no network of its own can be made here: nothing may be skipped in CI"
        );
        eprintln!("skipped: no network of its own can be made here");
        return;
    }
    let mut inside = Command::new("unshare");
    inside.args(["--map-root-user", "--net", "sh", "-c", SET_UP]).arg(program).env(INSIDE, "1");
    let output = inside.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// Does nothing, except in the network of the test above.
#[tokio::test]
async fn inside() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let listener = TcpListener::bind("1.2.3.4:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let ask = async |allowed: &Allowed| {
        let request = Request::get(&url).body(Bytes::new()).unwrap();
        Outbound::default().with_deadline(std::time::Duration::from_millis(300)).send(request, allowed).await
    };
    match ask(&Allowed::public_only()).await {
        Err(OutboundError::Refused { why, .. }) => assert_eq!(why, Unreachable::ThisMachine),
        other => panic!("{other:?}"),
    }
    let mail = Outbound::default().resolve_checked("1.2.3.4", 25, &Allowed::public_only()).await;
    assert!(matches!(mail, Err(OutboundError::Refused { .. })), "{mail:?}");
    let listed = ask(&Allowed::networks(&["1.2.3.4/32".parse().unwrap()])).await;
    assert!(
        matches!(listed, Err(OutboundError::TimedOut { .. })),
        "it is reached, and says nothing: {listed:?}"
    );
}
