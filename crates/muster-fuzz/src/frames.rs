//! Frames of the channel, in both directions, as both sides read them.

use std::fmt::Debug;

use muster_wire::Object;
use muster_wire::channel::{AgentMessage, MAX_FRAME, ServerMessage};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A frame of an agent: what parses prints as what parses to the same; nothing unknown passes; an object alone.
pub fn agent_frame(data: &[u8]) {
    closed::<AgentMessage>(data);
}

/// A frame of a server: the same.
pub fn server_frame(data: &[u8]) {
    closed::<ServerMessage>(data);
}

fn closed<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.len() > MAX_FRAME {
        return;
    }
    let Ok(Object(message)) = serde_json::from_str::<Object<T>>(text) else { return };
    let printed = serde_json::to_string(&message).expect("messages are plain data");
    // What one side may send the other may keep: nothing grows by more than JSON's longest escape.
    assert!(printed.len() <= text.len() * 6 + 1024, "{} bytes became {}", text.len(), printed.len());
    let Object(again) = serde_json::from_str::<Object<T>>(&printed).expect("what is printed parses");
    assert_eq!(again, message);
    let fields: Map<String, Value> = serde_json::from_str(text).expect("a message is an object");
    assert!(fields.contains_key("type"), "a message without a type");
    let mut more = fields.clone();
    more.insert("unknown_field".to_owned(), Value::Bool(true));
    let more = serde_json::to_string(&more).expect("JSON");
    assert!(serde_json::from_str::<Object<T>>(&more).is_err(), "an unknown field passed");
    let in_a_list: Vec<&Value> = fields.values().collect();
    let in_a_list = serde_json::to_string(&in_a_list).expect("JSON");
    assert!(serde_json::from_str::<Object<T>>(&in_a_list).is_err(), "a list passed for an object");
}
