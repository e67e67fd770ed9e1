//! Values that cross the line to a database: five kinds, the same on both.

use muster_ids::{
    AgentKeyId, AuditId, ClaimId, DeliveryId, EndpointId, EventId, HostId, InvitationId, JobId, KeyName,
    KeyThumbprint, MachineUid, PublicId, RequestId, SecretId, SiteId, TeamId, TicketId, Timestamp, TokenId,
    UserId, WebSessionId,
};
use muster_wire::text::{Hostname, Tag};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::StoreError;

/// One parameter or one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// BIGINT; also booleans (0 and 1) and timestamps (milliseconds since the epoch).
    Integer(i64),
    /// TEXT; also JSON and every id that is not a UUID.
    Text(String),
    /// `BYTES_T`.
    Bytes(Vec<u8>),
    /// `UUID_T`.
    Uuid(Uuid),
}

impl Value {
    /// The word for this kind in an error.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Integer(_) => "an integer",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Uuid(_) => "a uuid",
        }
    }
}

/// Becomes a parameter; see [`params!`](crate::params).
pub trait ToValue {
    /// Returns the value to bind.
    fn to_value(&self) -> Value;
}

/// Becomes a field; see [`Row::get`](crate::Row::get).
pub trait FromValue: Sized {
    /// Returns the field, or the value that does not fit.
    fn from_value(value: Value) -> Result<Self, Value>;
}

/// Builds the parameters of a statement: `params![now, key, id]` is a `&[Value]`.
#[macro_export]
macro_rules! params {
    () => { &[] as &[$crate::Value] };
    ($($value:expr),+ $(,)?) => { &[$($crate::ToValue::to_value(&$value)),+] as &[$crate::Value] };
}

/// A JSON document in a TEXT column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Json<T>(pub T);

impl<T: Serialize> ToValue for Json<T> {
    fn to_value(&self) -> Value {
        Value::Text(
            serde_json::to_string(&self.0).expect("stored types have string keys and total serializers"),
        )
    }
}

impl<T: DeserializeOwned> FromValue for Json<T> {
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Text(text) => match serde_json::from_str(&text) {
                Ok(document) => Ok(Self(document)),
                Err(_) => Err(Value::Text(text)),
            },
            other => Err(other),
        }
    }
}

impl ToValue for Value {
    fn to_value(&self) -> Value {
        self.clone()
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Null => Ok(None),
            other => T::from_value(other).map(Some),
        }
    }
}

impl ToValue for i64 {
    fn to_value(&self) -> Value {
        Value::Integer(*self)
    }
}

impl FromValue for i64 {
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Integer(number) => Ok(number),
            other => Err(other),
        }
    }
}

macro_rules! narrow_integer {
    ($($name:ty),+) => {$(
        impl ToValue for $name {
            fn to_value(&self) -> Value {
                Value::Integer(i64::from(*self))
            }
        }

        impl FromValue for $name {
            fn from_value(value: Value) -> Result<Self, Value> {
                let number = i64::from_value(value)?;
                number.try_into().map_err(|_| Value::Integer(number))
            }
        }
    )+};
}

narrow_integer!(i32, u32, u16, u8);

impl FromValue for u64 {
    fn from_value(value: Value) -> Result<Self, Value> {
        let number = i64::from_value(value)?;
        number.try_into().map_err(|_| Value::Integer(number))
    }
}

impl ToValue for bool {
    fn to_value(&self) -> Value {
        Value::Integer(i64::from(*self))
    }
}

impl FromValue for bool {
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Integer(0) => Ok(false),
            Value::Integer(1) => Ok(true),
            other => Err(other),
        }
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }
}

impl FromValue for String {
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Text(text) => Ok(text),
            other => Err(other),
        }
    }
}

impl ToValue for [u8] {
    fn to_value(&self) -> Value {
        Value::Bytes(self.to_vec())
    }
}

impl ToValue for Vec<u8> {
    fn to_value(&self) -> Value {
        Value::Bytes(self.clone())
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Bytes(bytes) => Ok(bytes),
            other => Err(other),
        }
    }
}

impl<const N: usize> ToValue for [u8; N] {
    fn to_value(&self) -> Value {
        Value::Bytes(self.to_vec())
    }
}

impl<const N: usize> FromValue for [u8; N] {
    fn from_value(value: Value) -> Result<Self, Value> {
        Vec::from_value(value)?.try_into().map_err(Value::Bytes)
    }
}

impl ToValue for Uuid {
    fn to_value(&self) -> Value {
        Value::Uuid(*self)
    }
}

impl FromValue for Uuid {
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Uuid(uuid) => Ok(uuid),
            // SQLite keeps a UUID as its 16 bytes.
            Value::Bytes(bytes) => Self::from_slice(&bytes).map_err(|_| Value::Bytes(bytes)),
            other => Err(other),
        }
    }
}

impl ToValue for Timestamp {
    fn to_value(&self) -> Value {
        Value::Integer(self.as_millis())
    }
}

impl FromValue for Timestamp {
    fn from_value(value: Value) -> Result<Self, Value> {
        i64::from_value(value).map(Self::from_millis)
    }
}

macro_rules! uuid_ids {
    ($($name:ty),+ $(,)?) => {$(
        impl ToValue for $name {
            fn to_value(&self) -> Value {
                Value::Uuid(self.uuid())
            }
        }

        impl FromValue for $name {
            fn from_value(value: Value) -> Result<Self, Value> {
                Uuid::from_value(value).map(Self::from_uuid)
            }
        }
    )+};
}

uuid_ids!(
    EndpointId, DeliveryId, TeamId, UserId, SiteId, HostId, ClaimId, JobId, SecretId, AuditId, EventId,
    RequestId
);

macro_rules! text_ids {
    ($($name:ty),+ $(,)?) => {$(
        impl ToValue for $name {
            fn to_value(&self) -> Value {
                Value::Text(self.to_string())
            }
        }

        impl FromValue for $name {
            fn from_value(value: Value) -> Result<Self, Value> {
                let text = String::from_value(value)?;
                text.parse().map_err(|_| Value::Text(text))
            }
        }
    )+};
}

text_ids!(
    PublicId,
    TicketId,
    TokenId,
    WebSessionId,
    InvitationId,
    AgentKeyId,
    KeyThumbprint,
    KeyName,
    MachineUid,
    Hostname,
    Tag
);

/// Says which column does not fit, never what it holds.
pub(crate) fn misfit(index: usize, expected: &'static str, found: &Value) -> StoreError {
    StoreError::corrupt(format!("column {index} holds {}, not {expected}", found.kind()))
}
