//! Secrets: named JSON documents, sealed at rest, never returned.

use std::fmt;

use muster_ids::{HostId, KeyName, SecretId, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::bounds::{Ordered, distinct};
use crate::text::Line;

/// Most hosts whose secret is set with one order.
pub const MOST_PUSHED: usize = 100;

/// A JSON object of a secret; repeated keys are refused, its values are never printed.
#[derive(Clone, PartialEq, Default)]
pub struct Document(Map<String, Value>);

impl Document {
    /// Wraps an object.
    pub fn new(map: Map<String, Value>) -> Self {
        Self(map)
    }

    /// Returns the object, whose values are secret.
    pub fn expose(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Returns the names of its fields.
    pub fn field_names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

struct StrictValue;

impl<'de> DeserializeSeed<'de> for StrictValue {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        if value.contains('\0') { Err(E::custom("control_character")) } else { Ok(value.into()) }
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(StrictValue)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        strict_map(map).map(Value::Object)
    }
}

fn strict_map<'de, A: MapAccess<'de>>(mut entries: A) -> Result<Map<String, Value>, A::Error> {
    let mut map = Map::new();
    while let Some(key) = entries.next_key::<String>()? {
        if key.contains('\0') {
            return Err(A::Error::custom("control_character"));
        }
        let value = entries.next_value_seed(StrictValue)?;
        if map.insert(key, value).is_some() {
            return Err(A::Error::custom("duplicate_field"));
        }
    }
    Ok(map)
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Map<String, Value>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                strict_map(map)
            }
        }
        deserializer.deserialize_map(Entries).map(Self)
    }
}

impl JsonSchema for Document {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Document".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "description": "A JSON object; merged as RFC 7396 where it is set." })
    }
}

/// The typed secret `repo`: where and how a host backs up. Unknown fields are refused.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepoSecret {
    /// The repository in restic's own spelling, for example `rest:https://backup.example/host1/`.
    pub url: Line<2048>,
    /// User name at the repository server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Line<256>>,
    /// Password at the repository server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_password: Option<Line<1024>>,
    /// Password that encrypts the repository.
    pub password: Line<1024>,
}

impl fmt::Debug for RepoSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A secret as operators see it: never its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretMetadata {
    /// Names it.
    pub id: SecretId,
    /// Its name on the host.
    pub name: String,
    /// Counts its changes.
    pub version: u64,
    /// Names of its fields.
    pub fields: Vec<String>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The keys that received it.
    pub deliveries: Vec<Delivery>,
    /// Whether a key that is no longer trusted received the current value.
    pub exposed: bool,
}

/// One delivery of a secret to a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Delivery {
    /// Which version.
    pub version: u64,
    /// To which key.
    pub key: KeyName,
    /// When the agent confirmed it.
    pub delivered_at: Timestamp,
}

/// `PUT /v1/secrets/{name}`: merges one document into the secret of that name of each host. All of them, or none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PushSecret {
    /// The hosts, each once.
    #[serde(deserialize_with = "distinct")]
    #[schemars(extend("minItems" = 1, "uniqueItems" = true))]
    pub hosts: Ordered<HostId, MOST_PUSHED>,
    /// What is merged into each (RFC 7396).
    pub document: Document,
}

/// What an order set, in the order of the hosts' ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PushedSecret {
    /// One for each host.
    pub items: Vec<PushedTo>,
}

/// The secret of one host, as an order left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PushedTo {
    /// The host.
    pub host_id: HostId,
    /// Names the secret.
    pub secret_id: SecretId,
    /// Counts its changes.
    pub version: u64,
    /// Names of its fields.
    pub fields: Vec<String>,
}
