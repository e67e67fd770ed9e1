//! WebSocket upgrades that are none.

use super::{Expect, Pair};

const KEY: &str = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const VERSION: &str = "sec-websocket-version: 13\r\n";
const PROTOCOL: &str = "sec-websocket-protocol: muster.channel.v1\r\n";
const UPGRADE: &str = "connection: upgrade\r\nupgrade: websocket\r\n";

fn get(credential: &str, lines: &str) -> String {
    format!("GET /v1/agent/connect HTTP/1.1\r\nhost: {{authority}}\r\n{credential}{lines}\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrades_that_are_none() {
    let pair = Pair::start().await;
    let agent = "authorization: Bearer {agent_key}\r\n";
    let refused = Expect::Refused(&[400, 403, 426]);
    for (what, lines) in [
        ("a plain request", "connection: close\r\n".to_owned()),
        ("no key", format!("{UPGRADE}{VERSION}{PROTOCOL}")),
        ("an empty key", format!("{UPGRADE}{VERSION}{PROTOCOL}sec-websocket-key: \r\n")),
        ("version 12", format!("{UPGRADE}{KEY}{PROTOCOL}sec-websocket-version: 12\r\n")),
        ("no version", format!("{UPGRADE}{KEY}{PROTOCOL}")),
        ("no subprotocol", format!("{UPGRADE}{KEY}{VERSION}")),
        ("an unknown subprotocol", format!("{UPGRADE}{KEY}{VERSION}sec-websocket-protocol: zq7canary\r\n")),
        ("no upgrade", format!("connection: upgrade\r\n{KEY}{VERSION}{PROTOCOL}")),
        ("another upgrade", format!("connection: upgrade\r\nupgrade: h2c\r\n{KEY}{VERSION}{PROTOCOL}")),
        ("no connection", format!("upgrade: websocket\r\n{KEY}{VERSION}{PROTOCOL}")),
        ("a foreign origin", format!("{UPGRADE}{KEY}{VERSION}{PROTOCOL}origin: http://evil.example\r\n")),
        ("no origin a browser may have", format!("{UPGRADE}{KEY}{VERSION}{PROTOCOL}origin: null\r\n")),
        ("its own origin", format!("{UPGRADE}{KEY}{VERSION}{PROTOCOL}origin: http://{{authority}}\r\n")),
    ] {
        pair.check(what, &get(agent, &lines), b"", refused).await;
    }
    let good = format!("{UPGRADE}{KEY}{VERSION}{PROTOCOL}");
    for (what, credential) in [
        ("nobody", ""),
        ("an operator", "authorization: Bearer {owner_token}\r\n"),
        ("a ticket", "authorization: Bearer {site_key}\r\n"),
        ("a proof that is none", "dpop: a.b.c\r\n"),
        ("an agent key and a proof", "authorization: Bearer {agent_key}\r\ndpop: a.b.c\r\n"),
    ] {
        pair.check(what, &get(credential, &good), b"", Expect::Refused(&[401])).await;
    }
    let post = format!(
        "POST /v1/agent/connect HTTP/1.1\r\nhost: {{authority}}\r\n{agent}{good}content-length: 0\r\n\r\n"
    );
    pair.check("POST", &post, b"", Expect::Refused(&[405])).await;
    let sent = pair.sqlite.send(&get(agent, &good), b"").await;
    assert_eq!(sent.map(|answer| answer.status), Some(101), "a good upgrade");
    pair.assert_alive().await;
}
