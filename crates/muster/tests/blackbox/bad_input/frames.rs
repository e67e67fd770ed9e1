//! WebSocket frames that no library would send, before the hello and after it.

use std::time::Duration;

use muster_wire::channel::{HelloClaims, ServerMessage};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Pair, Target};

const CLOSED_WITHIN: Duration = Duration::from_secs(6);
const TEXT: u8 = 1;
const CONTINUATION: u8 = 0;
const CLOSE: u8 = 8;
const PING: u8 = 9;

/// A frame byte by byte; a client must mask.
fn frame(first: u8, payload: &[u8], is_masked: bool) -> Vec<u8> {
    let mask = if is_masked { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(mask | short as u8),
        long => {
            bytes.push(mask | 126);
            bytes.extend_from_slice(&(long as u16).to_be_bytes());
        }
    }
    if is_masked {
        // A mask of zeros leaves the payload as it is.
        bytes.extend_from_slice(&[0; 4]);
    }
    bytes.extend_from_slice(payload);
    bytes
}

fn text(payload: &str) -> Vec<u8> {
    frame(0x80 | TEXT, payload.as_bytes(), true)
}

/// What follows a close frame's code.
fn close(code: u16) -> Vec<u8> {
    frame(0x80 | CLOSE, &code.to_be_bytes(), true)
}

/// Frames that end a channel: name, bytes, close codes that say so (nothing said is also an end).
fn bad_frames() -> Vec<(&'static str, Vec<u8>, &'static [u16])> {
    vec![
        ("not masked", frame(0x80 | TEXT, b"{}", false), &[1002]),
        ("invalid UTF-8", frame(0x80 | TEXT, &[0xc3, 0x28], true), &[1007]),
        ("binary", frame(0x82, b"{}", true), &[1003, 1008]),
        ("a reserved opcode", frame(0x83, b"x", true), &[1002]),
        ("a reserved control opcode", frame(0x8b, b"x", true), &[1002]),
        ("a reserved bit", frame(0xc1, b"x", true), &[1002]),
        ("a fragmented ping", frame(PING, b"x", true), &[1002]),
        ("a ping of 126 bytes", frame(0x80 | PING, &[b'x'; 126], true), &[1002]),
        ("a continuation of nothing", frame(0x80 | CONTINUATION, b"x", true), &[1002]),
        ("a message inside a message", [frame(TEXT, b"{", true), text("}")].concat(), &[1002]),
        ("close code 1005", close(1005), &[1002, 1005, 1000]),
        ("close code 999", close(999), &[1002, 999]),
        ("half a close code", frame(0x80 | CLOSE, &[3], true), &[1002]),
        ("a length of 2^63", [vec![0x81, 0xff], vec![0xff; 8], vec![0; 4]].concat(), &[1002, 1009]),
        ("no JSON", text("zq7canary"), &[1007, 1008]),
        ("an empty message", text(""), &[1007, 1008]),
        ("an unknown message", text(r#"{"type":"zq7canary"}"#), &[1008]),
        ("a list", text("[]"), &[1008]),
        ("a message too deep", text(&format!("{}{}", "[".repeat(2000), "]".repeat(2000))), &[1008, 1009]),
        ("a heartbeat with a lie", text(r#"{"type":"heartbeat","heartbeat":{"load_percent":-1}}"#), &[1008]),
    ]
}

/// Opens a channel by hand as the machine with the agent key.
async fn open(target: &Target) -> TcpStream {
    let mut stream = TcpStream::connect(target.installation.server.operators).await.unwrap();
    let head = target.fill(
        "GET /v1/agent/connect HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {agent_key}\r\n\
         connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: muster.channel.v1\r\n\r\n",
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    stream
}

/// Reads one frame of the server: opcode and payload; `None` at the end.
async fn read(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let first = stream.read_u8().await.ok()?;
    let length = match stream.read_u8().await.ok()? {
        126 => usize::from(stream.read_u16().await.ok()?),
        127 => usize::try_from(stream.read_u64().await.ok()?).unwrap(),
        short => usize::from(short),
    };
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.ok()?;
    Some((first & 0x0f, payload))
}

/// Reads to the end of the channel: the messages and the close code.
async fn to_end(what: &str, stream: &mut TcpStream) -> (Vec<String>, Option<u16>) {
    let reading = async {
        let (mut messages, mut code) = (Vec::new(), None);
        while let Some((opcode, payload)) = read(stream).await {
            match opcode {
                TEXT => messages.push(String::from_utf8(payload).unwrap()),
                CLOSE => code = payload.first_chunk().map(|code| u16::from_be_bytes(*code)),
                _ => {}
            }
        }
        (messages, code)
    };
    let read = tokio::time::timeout(CLOSED_WITHIN, reading).await;
    read.unwrap_or_else(|_| panic!("{what}: the channel stays open"))
}

fn assert_ended(what: &str, code: Option<u16>, codes: &[u16]) {
    assert!(
        code.is_none_or(|code| codes.contains(&code)),
        "{what}: closed with {code:?}, not with {codes:?}"
    );
}

/// Says hello with the agent key and takes the configuration.
async fn greet(target: &Target, stream: &mut TcpStream, generation: Option<String>) -> String {
    let message = async |stream: &mut TcpStream| loop {
        match read(stream).await {
            Some((TEXT, payload)) => return serde_json::from_slice::<ServerMessage>(&payload).unwrap(),
            Some(_) => {}
            None => panic!("the server closed"),
        }
    };
    let ServerMessage::Challenge { challenge, .. } = message(stream).await else { panic!("no challenge") };
    let claims = HelloClaims {
        host_id: target.host,
        challenge,
        server_url: format!("http://{}/v1/agent/connect", target.installation.server.operators),
        generation,
        boot_id: "boot".to_owned(),
    };
    let hello = json!({ "type": "hello", "proof": serde_json::to_string(&claims).unwrap() });
    stream.write_all(&text(&hello.to_string())).await.unwrap();
    let ServerMessage::Welcome { generation, .. } = message(stream).await else { panic!("no welcome") };
    let acknowledged = json!({ "type": "generation_acknowledged", "generation": generation, "report": { "hostname": "m",
        "facts": { "os": "x", "arch": "x", "cpu_cores": 1, "memory_mb": 1, "disk_gb": 1 } } });
    stream.write_all(&text(&acknowledged.to_string())).await.unwrap();
    let ServerMessage::ConfigUpdate { config } = message(stream).await else { panic!("no configuration") };
    let applied = json!({ "type": "config_applied", "version": config.version, "digest": config.digest });
    stream.write_all(&text(&applied.to_string())).await.unwrap();
    generation
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_break_the_protocol_before_the_hello() {
    let pair = Pair::start().await;
    for target in [&pair.sqlite, &pair.postgres] {
        for (what, bytes, codes) in bad_frames() {
            let mut stream = open(target).await;
            stream.write_all(&bytes).await.unwrap();
            let (messages, code) = to_end(what, &mut stream).await;
            assert_eq!(messages.len(), 1, "{what}: {messages:?}");
            assert!(messages[0].contains("challenge"), "{what}: {messages:?}");
            assert_ended(what, code, codes);
        }
    }
    pair.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_break_the_protocol_after_the_hello() {
    let pair = Pair::start().await;
    let target = &pair.sqlite;
    let mut generation = None;
    for (what, bytes, codes) in bad_frames() {
        let mut stream = open(target).await;
        generation = Some(greet(target, &mut stream, generation).await);
        stream.write_all(&bytes).await.unwrap();
        let (messages, code) = to_end(what, &mut stream).await;
        let leaked = messages.iter().find(|message| message.contains("zq7canary"));
        assert!(leaked.is_none(), "{what}: {leaked:?}");
        assert_ended(what, code, codes);
    }
    pair.assert_alive().await;
}

/// A flood of empty frames and of pings ends, and costs others nothing (SECURITY B14).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b14_floods_before_the_hello_end() {
    let pair = Pair::start().await;
    let target = &pair.sqlite;
    let empty_fragment = frame(TEXT, b"", true);
    let empty_rest = frame(CONTINUATION, b"", true).repeat(4096);
    let pings = frame(0x80 | PING, b"", true).repeat(4096);
    for (what, first, flood) in [("fragments", empty_fragment, empty_rest), ("pings", Vec::new(), pings)] {
        let mut stream = open(target).await;
        let (mut reader, mut writer) = stream.split();
        let flooding = async {
            let _ = writer.write_all(&first).await;
            for _ in 0..256 {
                if writer.write_all(&flood).await.is_err() {
                    return;
                }
            }
        };
        let draining = async {
            let mut bytes = vec![0; 64 * 1024];
            while reader.read(&mut bytes).await.is_ok_and(|length| length > 0) {}
        };
        let ended =
            tokio::time::timeout(Duration::from_secs(15), async { tokio::join!(flooding, draining) }).await;
        assert!(ended.is_ok(), "a flood of {what} keeps its socket");
    }
    pair.assert_alive().await;
}
