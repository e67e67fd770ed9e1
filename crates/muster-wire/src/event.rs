//! Events: what happened, as streams, pages and receivers tell it.

use muster_ids::{EventId, HostId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bounds::Whole;
use crate::happening::Happening;

/// The kind of the event that a test sends; it is in no list and never happens.
pub const TEST_KIND: &str = "endpoint.test";

/// The place of an event among all events; 0 is before the first.
pub type Position = Whole<0, 999_999_999_999_999>;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its place among all events: what came later has a greater one. The id of the event in a stream.
    pub position: u64,
    /// Names it; receivers that get it twice know it by this.
    pub id: EventId,
    /// What happened; see `GET /v1/event-kinds`.
    pub kind: String,
    /// When.
    pub at: Timestamp,
    /// To what.
    pub subject: String,
    /// The host it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_id: Option<HostId>,
    /// Who did it.
    pub actor: String,
    /// What else there is to say.
    pub payload: Value,
}

/// A kind of event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventKind {
    /// Its word.
    pub kind: String,
    /// What it means.
    pub says: String,
}

/// What a stream says first when events after the asked position are not kept any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventGap {
    /// The position after which was asked.
    pub after: u64,
    /// The position after which the stream goes on.
    pub goes_on_after: u64,
}

/// Kinds of events between commas, at least one: `host.enrolled,host.back`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindList(Vec<Happening>);

impl KindList {
    /// Most kinds of one list.
    const MAX: usize = 64;

    /// Parses a list; a refusal is a code.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let of_word = |word: &str| Happening::of_word(word).filter(|kind| kind.is_told());
        let kinds: Vec<Happening> =
            text.split(',').map(of_word).collect::<Option<_>>().ok_or("unknown_kind")?;
        if kinds.len() > Self::MAX { Err("too_many") } else { Ok(Self(kinds)) }
    }

    /// Returns their words.
    pub fn words(&self) -> Vec<String> {
        self.0.iter().map(|kind| kind.as_str().to_owned()).collect()
    }
}

impl<'de> Deserialize<'de> for KindList {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for KindList {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KindList".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let kinds = Happening::ALL.iter().filter(|kind| kind.is_told());
        let words: Vec<String> = kinds.map(|kind| kind.as_str().replace('.', "\\.")).collect();
        let words = words.join("|");
        schemars::json_schema!({ "type": "string", "pattern": format!("^({words})(,({words})){{0,63}}$") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_kinds_names_events_and_nothing_else() {
        let kinds = KindList::parse("host.enrolled,host.back").unwrap();
        assert_eq!(kinds.words(), ["host.enrolled", "host.back"]);
        for text in
            ["", "host.enrolled,", "host.enrolled, host.back", "host.nothing", "channel.violation", TEST_KIND]
        {
            assert_eq!(KindList::parse(text), Err("unknown_kind"), "{text}");
        }
        let many = vec!["host.back"; 65].join(",");
        assert_eq!(KindList::parse(&many), Err("too_many"));
    }
}
