//! Bodies of requests.

use http::StatusCode;
use muster_http::{MAX_DEPTH, parse_json};
use muster_wire::enroll::EnrollRequest;
use muster_wire::job::CreateJob;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// JSON is never refused as no JSON, and what parses is JSON, an object, bounded in depth, and prints as the same.
pub fn strict_json(data: &[u8]) {
    judge::<EnrollRequest>(data);
    judge::<CreateJob>(data);
}

fn judge<T: Serialize + DeserializeOwned + PartialEq>(data: &[u8]) {
    // By text, into a value: what is skipped is not looked at for UTF-8 or halves of surrogate pairs.
    let text = std::str::from_utf8(data).ok();
    let is_json = text.is_some_and(|text| serde_json::from_str::<Value>(text).is_ok());
    match parse_json::<T>(data) {
        Ok(body) => {
            assert!(is_json, "a body that is no JSON was read");
            let fields: Map<String, Value> = serde_json::from_slice(data).expect("a body is an object");
            assert!(depth(&Value::Object(fields)) <= MAX_DEPTH);
            let printed = serde_json::to_vec(&body).expect("bodies are plain data");
            assert!(parse_json::<T>(&printed).is_ok_and(|again| again == body), "printed as another body");
        }
        Err(problem) => match problem.status() {
            StatusCode::BAD_REQUEST => {
                let is_deep =
                    is_json && data.iter().filter(|byte| matches!(byte, b'{' | b'[')).count() > MAX_DEPTH;
                assert!(!is_json || is_deep, "JSON was refused as no JSON");
            }
            // A field may be refused before the fault of the text behind it is read.
            StatusCode::UNPROCESSABLE_ENTITY => assert!(std::str::from_utf8(data).is_ok()),
            status => panic!("refused with {status}"),
        },
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
