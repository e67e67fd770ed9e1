//! The channel's closed sets (SECURITY B3, D row "WS frames"): every message comes back, nothing else parses.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use std::fmt::Debug;

use muster_wire::Object;
use muster_wire::channel::{AgentMessage, Config, HelloClaims, MAX_RUNNING, ServerMessage};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const HOST: &str = "host_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5";
const JOB: &str = "job_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5";

fn attempt() -> Value {
    json!({ "job_id": JOB, "attempt": 1 })
}

fn config() -> Value {
    json!({
        "version": { "epoch": 0, "n": 3 },
        "digest": "d",
        "secrets": { "repo": { "version": 2, "document": { "url": "/srv", "password": "canary" } } },
    })
}

fn report() -> Value {
    json!({
        "hostname": "web-1",
        "facts": { "os": "Debian", "arch": "x86_64", "cpu_cores": 1, "memory_mb": 1, "disk_gb": 1 },
        "config_version": { "epoch": 0, "n": 3 },
        "config_digest": "d",
        "running": [attempt()],
        "policy": ["backup"],
    })
}

fn server_messages() -> Vec<Value> {
    let time = "2026-01-15T12:00:00.000Z";
    let dispatch = json!({
        "attempt": attempt(), "host_id": HOST, "work": { "kind": "backup", "paths": ["/srv"], "secret": "repo" },
        "secret_version": 2, "time_limit_secs": 60, "expires_at": time,
    });
    vec![
        json!({ "type": "challenge", "challenge": "c", "protocol": 1, "server_time": time }),
        json!({ "type": "welcome", "generation": "g", "heartbeat_secs": 30, "server_time": time }),
        json!({ "type": "config_update", "config": config() }),
        json!({ "type": "job_run", "dispatch": dispatch }),
        json!({ "type": "job_recorded", "attempt": attempt() }),
        json!({ "type": "revoked", "statement": "s" }),
        json!({ "type": "goodbye", "reason": "restart", "retry_after_secs": 5 }),
    ]
}

fn agent_messages() -> Vec<Value> {
    let result = json!({ "snapshot_id": "abc", "bytes_processed": 1, "bytes_added": 1, "files": 1 });
    vec![
        json!({ "type": "hello", "proof": "p" }),
        json!({ "type": "generation_acknowledged", "generation": "g", "report": report() }),
        json!({ "type": "config_applied", "version": { "epoch": 0, "n": 3 }, "digest": "d" }),
        json!({ "type": "heartbeat", "heartbeat": { "load_percent": 12, "disk_free_gb": 3 } }),
        json!({ "type": "job_started", "attempt": attempt() }),
        json!({ "type": "job_progress", "attempt": attempt(),
                "progress": { "percent": 50, "bytes_done": 1, "bytes_total": 2 } }),
        json!({ "type": "job_log", "attempt": attempt(), "text": "line" }),
        json!({ "type": "job_finished", "attempt": attempt(), "end": { "outcome": "succeeded", "result": result } }),
        json!({ "type": "goodbye", "reason": "stopping" }),
    ]
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str::<Object<T>>(text).map(|object| object.0)
}

#[track_caller]
fn comes_back<T: DeserializeOwned + Serialize + PartialEq + Debug>(message: &Value) {
    let parsed: T = parse(&message.to_string()).unwrap_or_else(|error| panic!("{message}: {error}"));
    assert_eq!(serde_json::to_value(&parsed).unwrap(), *message);
}

/// Every object inside `value`, by JSON Pointer.
fn objects(value: &Value, pointer: &str, found: &mut Vec<String>) {
    if let Value::Object(fields) = value {
        found.push(pointer.to_owned());
        fields.iter().for_each(|(name, inner)| objects(inner, &format!("{pointer}/{name}"), found));
    }
    if let Value::Array(items) = value {
        items.iter().enumerate().for_each(|(at, inner)| objects(inner, &format!("{pointer}/{at}"), found));
    }
}

/// Objects whose keys are free: maps of secrets and documents.
fn is_map(pointer: &str) -> bool {
    pointer.ends_with("/secrets") || pointer.contains("/document")
}

#[track_caller]
fn is_closed<T: DeserializeOwned>(message: &Value) {
    let mut pointers = Vec::new();
    objects(message, "", &mut pointers);
    for pointer in pointers {
        let with = |change: &dyn Fn(&mut Value)| {
            let mut changed = message.clone();
            change(changed.pointer_mut(&pointer).unwrap());
            changed.to_string()
        };
        let as_array = with(&|object| *object = object.as_object().unwrap().values().cloned().collect());
        assert!(parse::<T>(&as_array).is_err(), "an array passed at {pointer:?}: {as_array}");
        if !is_map(&pointer) {
            let unknown = with(&|object| object["unknown"] = json!(1));
            assert!(parse::<T>(&unknown).is_err(), "an unknown field passed: {unknown}");
        }
    }
}

#[test]
fn every_message_comes_back() {
    server_messages().iter().for_each(comes_back::<ServerMessage>);
    agent_messages().iter().for_each(comes_back::<AgentMessage>);
}

#[test]
fn no_message_takes_an_unknown_field_or_an_array_for_an_object() {
    server_messages().iter().for_each(is_closed::<ServerMessage>);
    agent_messages().iter().for_each(is_closed::<AgentMessage>);
}

/// SECURITY B3: neither side can be spoken to in the words of the other.
#[test]
fn b03_no_message_of_one_side_is_one_of_the_other() {
    for message in server_messages() {
        assert!(parse::<AgentMessage>(&message.to_string()).is_err(), "{message}");
    }
    for message in agent_messages() {
        assert!(parse::<ServerMessage>(&message.to_string()).is_err(), "{message}");
    }
}

#[test]
fn unknown_and_missing_types_are_refused() {
    for bad in [
        json!({ "type": "shutdown" }),
        json!({ "type": "Heartbeat", "heartbeat": {} }),
        json!({ "type": "" }),
        json!({ "type": 3 }),
        json!({ "type": null }),
        json!({ "type": ["hello"], "proof": "p" }),
        json!({ "heartbeat": {} }),
        json!({ "hello": { "proof": "p" } }),
        json!({}),
        json!(["hello", "p"]),
        json!("hello"),
        json!(0),
        json!(null),
    ] {
        let text = bad.to_string();
        assert!(parse::<AgentMessage>(&text).is_err(), "{text}");
        assert!(parse::<ServerMessage>(&text).is_err(), "{text}");
    }
    for text in ["", " ", "{", "{}{}", "\u{feff}{}", "\0"] {
        assert!(parse::<AgentMessage>(text).is_err(), "{text:?}");
    }
}

#[test]
fn repeated_fields_are_refused() {
    for bad in [
        r#"{"type":"hello","type":"hello","proof":"p"}"#,
        r#"{"type":"hello","proof":"p","proof":"q"}"#,
        r#"{"type":"goodbye","type":"hello","proof":"p"}"#,
        r#"{"type":"heartbeat","heartbeat":{},"heartbeat":{}}"#,
        r#"{"type":"heartbeat","heartbeat":{"load_percent":1,"load_percent":2}}"#,
    ] {
        assert!(parse::<AgentMessage>(bad).is_err(), "{bad}");
    }
    let text = json!({ "type": "config_update", "config": config() }).to_string();
    for (once, twice) in [
        (r#""password":"canary""#, r#""password":"canary","password":"other""#),
        (r#""repo":{"#, r#""repo":{"version":1,"document":{}},"repo":{"#),
        (r#""digest":"d""#, r#""digest":"d","digest":"e""#),
        (r#""n":3"#, r#""n":3,"n":4"#),
    ] {
        let twice = text.replacen(once, twice, 1);
        assert_ne!(twice, text, "{once}");
        assert!(parse::<ServerMessage>(&twice).is_err(), "{twice}");
    }
}

#[test]
fn what_an_agent_brings_is_bounded() {
    let with = |pointer: &str, value: Value| {
        let mut message = json!({ "type": "generation_acknowledged", "generation": "g", "report": report() });
        *message.pointer_mut(pointer).unwrap() = value;
        parse::<AgentMessage>(&message.to_string())
    };
    let attempts = |count: usize| Value::Array(vec![attempt(); count]);
    assert!(with("/report/running", attempts(MAX_RUNNING)).is_ok());
    assert!(with("/report/running", attempts(MAX_RUNNING + 1)).is_err());
    assert!(with("/report/running", Value::Null).is_err());
    assert!(with("/report/config_version", Value::Null).is_ok());
    assert!(with("/report/config_version", json!({ "epoch": -1, "n": 0 })).is_err());
    assert!(with("/report/config_version", json!({ "epoch": 4_294_967_296u64, "n": 0 })).is_err());
    assert!(with("/report/hostname", json!("a\u{0}b")).is_err());
    assert!(with("/report/policy", json!(vec!["x"; 33])).is_err());
    assert!(with("/report/running", json!([{ "job_id": HOST, "attempt": 1 }])).is_err());
    let goodbye = |reason: &str| json!({ "type": "goodbye", "reason": reason }).to_string();
    assert!(parse::<AgentMessage>(&goodbye("\u{1b}[0m")).is_err());
    assert!(parse::<AgentMessage>(&goodbye(&"x".repeat(65))).is_err());
}

#[test]
fn the_claims_of_a_hello_are_one_exact_object() {
    let good = json!({
        "host_id": HOST, "challenge": "c", "server_url": "https://muster.example/", "generation": "g",
        "boot_id": "9c6e3b1e-0000-4000-8000-000000000000",
    });
    comes_back::<HelloClaims>(&good);
    is_closed::<HelloClaims>(&good);
    for (field, bad) in [
        ("host_id", json!("host_1")),
        ("host_id", json!(JOB)),
        ("challenge", json!(7)),
        ("boot_id", json!("")),
        ("boot_id", json!("a\u{0}b")),
        ("boot_id", json!("\u{1b}]0;x\u{7}")),
        ("boot_id", json!("x".repeat(65))),
        ("server_url", json!("https://muster.example/\u{0}")),
        ("server_url", json!("x".repeat(2049))),
    ] {
        let mut claims = good.clone();
        claims[field] = bad;
        assert!(parse::<HelloClaims>(&claims.to_string()).is_err(), "{claims}");
    }
}

#[test]
fn a_config_is_one_exact_object() {
    comes_back::<Config>(&config());
    is_closed::<Config>(&config());
    let secrets: serde_json::Map<String, Value> =
        (0..65).map(|n| (format!("s{n}"), json!({ "version": 1, "document": {} }))).collect();
    let mut too_many = config();
    too_many["secrets"] = Value::Object(secrets);
    assert!(parse::<Config>(&too_many.to_string()).is_err());
}

#[test]
fn b22_no_debug_form_shows_a_secret() {
    for message in server_messages() {
        let parsed: ServerMessage = parse(&message.to_string()).unwrap();
        assert!(!format!("{parsed:?}").contains("canary"), "{parsed:?}");
    }
}
