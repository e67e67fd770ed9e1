//! SECURITY D, row "JSON shape", at the one public door: nothing but the exact object is an enrolment.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use muster_wire::Object;
use muster_wire::enroll::EnrollRequest;
use serde_json::{Value, json};

fn good() -> Value {
    json!({
        "hostname": "web-1",
        "machine_uid": "smbios:0123456789abcdef0123456789abcdef",
        "facts": {
            "os": "Debian 12", "arch": "x86_64", "cpu_cores": 2, "memory_mb": 2048, "disk_gb": 20,
            "address": "192.0.2.1", "versions": { "agent": "0.1.0" }
        },
        "labels": { "company": "Example", "department": "IT", "device_type": "server", "tags": ["rack:7"] },
        "agent_secret": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    })
}

fn parse(text: &str) -> Result<EnrollRequest, serde_json::Error> {
    serde_json::from_str::<Object<EnrollRequest>>(text).map(|object| object.0)
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Value)) {
    let mut request = good();
    change(&mut request);
    let text = request.to_string();
    assert!(parse(&text).is_err(), "{text}");
}

fn set(pointer: &'static str, value: Value) -> impl FnOnce(&mut Value) {
    move |request| *request.pointer_mut(pointer).unwrap() = value
}

#[test]
fn the_whole_request_and_the_least_one() {
    let request = parse(&good().to_string()).unwrap();
    assert_eq!(serde_json::to_value(&request).unwrap(), good());
    let least = json!({
        "hostname": "a",
        "machine_uid": "random:0123456789abcdef0123456789abcdef",
        "facts": { "os": "x", "arch": "y", "cpu_cores": 1, "memory_mb": 1, "disk_gb": 0 },
    });
    let request = parse(&least.to_string()).unwrap();
    assert!(request.labels.is_empty() && request.agent_secret.is_none());
    assert_eq!(serde_json::to_value(&request).unwrap(), least);
}

#[test]
fn an_array_is_no_struct_at_any_level() {
    let values = |object: &Value| Value::Array(object.as_object().unwrap().values().cloned().collect());
    let whole =
        json!(["web-1", "smbios:0123456789abcdef0123456789abcdef", good()["facts"], good()["labels"], null]);
    assert!(parse(&whole.to_string()).is_err());
    let facts = json!(["Debian 12", "x86_64", 2, 2048, 20, null, {}]);
    refused(set("/facts", facts));
    refused(set("/facts", values(&good()["facts"])));
    refused(set("/facts/versions", json!([["agent", "0.1.0"]])));
    refused(set("/facts/versions", json!([])));
    refused(set("/labels", json!(["Example", "IT", "server", ["rack:7"]])));
    refused(set("/labels", json!([])));
    refused(set("/hostname", json!(["web-1"])));
    refused(set("/labels/tags", json!({ "0": "rack:7" })));
}

#[test]
fn unknown_fields_are_refused_at_every_level() {
    for pointer in ["", "/facts", "/labels"] {
        refused(|request| {
            let object = request.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
            object.insert("unknown".into(), json!(1));
        });
    }
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(parse(&deep).is_err());
}

#[test]
fn repeated_fields_are_refused_at_every_level() {
    let text = good().to_string();
    for (once, twice) in [
        (r#""hostname":"web-1""#, r#""hostname":"web-1","hostname":"web-1""#),
        (r#""hostname":"web-1""#, r#""hostname":"web-1","\u0068ostname":"web-2""#),
        (r#""os":"Debian 12""#, r#""os":"Debian 12","os":"Debian 13""#),
        (r#""company":"Example""#, r#""company":"Example","company":null"#),
        (r#""agent":"0.1.0""#, r#""agent":"0.1.0","agent":"0.1.0""#),
    ] {
        let twice = text.replacen(once, twice, 1);
        assert_ne!(twice, text, "{once}");
        assert!(parse(&twice).is_err(), "{twice}");
    }
}

#[test]
fn required_fields_are_required_and_null_is_no_value() {
    for (parent, field) in [
        ("", "hostname"),
        ("", "machine_uid"),
        ("", "facts"),
        ("/facts", "os"),
        ("/facts", "arch"),
        ("/facts", "cpu_cores"),
        ("/facts", "memory_mb"),
        ("/facts", "disk_gb"),
    ] {
        refused(|request| {
            request.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field);
        });
        refused(|request| request.pointer_mut(parent).unwrap()[field] = Value::Null);
    }
    for pointer in ["/labels", "/labels/tags", "/facts/versions"] {
        refused(set(pointer, Value::Null));
    }
}

#[test]
fn every_field_holds_its_bounds() {
    for (pointer, bad) in [
        ("/hostname", json!("")),
        ("/hostname", json!("a b")),
        ("/hostname", json!(7)),
        ("/machine_uid", json!("smbios:0123")),
        ("/machine_uid", json!("serial:0123456789abcdef0123456789abcdef")),
        ("/facts/os", json!("x".repeat(129))),
        ("/facts/arch", json!("x".repeat(33))),
        ("/facts/cpu_cores", json!(0)),
        ("/facts/cpu_cores", json!(-1)),
        ("/facts/cpu_cores", json!(65_537)),
        ("/facts/cpu_cores", json!("2")),
        ("/facts/cpu_cores", json!(2.0)),
        ("/facts/memory_mb", json!(0)),
        ("/facts/disk_gb", json!(1u64 << 63)),
        ("/facts/address", json!("not an address")),
        ("/facts/address", json!("192.0.2.1:80")),
        ("/facts/address", json!("192.0.2.256")),
        ("/facts/versions", json!({ "a b": "1" })),
        ("/labels/company", json!("x".repeat(129))),
        ("/labels/company", json!("\u{202e}")),
        ("/labels/device_type", json!("x".repeat(65))),
        ("/labels/tags", json!(vec!["x"; 33])),
        ("/labels/tags", json!(["=cmd"])),
        ("/agent_secret", json!("")),
        ("/agent_secret", json!("A".repeat(42))),
        ("/agent_secret", json!("A".repeat(44))),
        ("/agent_secret", json!(format!("{}B", "A".repeat(42)))),
        ("/agent_secret", json!(format!("{}+", "A".repeat(42)))),
        ("/agent_secret", json!(format!("{}=", "A".repeat(43)))),
    ] {
        refused(set(pointer, bad));
    }
    let versions: serde_json::Map<String, Value> = (0..17).map(|n| (format!("v{n}"), json!("1"))).collect();
    refused(set("/facts/versions", Value::Object(versions)));
}

#[test]
fn anything_around_the_object_is_refused() {
    let text = good().to_string();
    for bad in [
        String::new(),
        "{}".into(),
        "null".into(),
        "\"x\"".into(),
        "7".into(),
        format!("{text}{text}"),
        format!("{text}x"),
        format!("\u{feff}{text}"),
        format!("[{text}]"),
        text[..text.len() - 1].into(),
        text.replacen("2048", "1e999", 1),
        text.replacen("2048", "NaN", 1),
        text.replacen("2048", "9223372036854775808", 1),
        text.replacen("web-1", "web\\ud800", 1),
        text.replacen("web-1", "web\\u0000", 1),
    ] {
        assert!(parse(&bad).is_err(), "{bad}");
    }
}
