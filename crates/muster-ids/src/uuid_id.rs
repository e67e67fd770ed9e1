//! Ids that are UUIDs inside and `prefix_<32 lower-case hex>` on the wire.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The text is not an id of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id")]
pub struct ParseIdError;

fn parse_hex(text: &str) -> Result<Uuid, ParseIdError> {
    let well_formed = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !well_formed {
        return Err(ParseIdError);
    }
    Uuid::try_parse(text).map_err(|_| ParseIdError)
}

/// Implements serde and JSON Schema for a type through its strict text form.
macro_rules! text_form {
    ($name:ident, $pattern:expr) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(|_| serde::de::Error::custom("malformed"))
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}
pub(crate) use text_form;

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The prefix on the wire, with its underscore.
            pub const PREFIX: &'static str = concat!($prefix, "_");

            /// Wraps a UUID (version 7 for every id Muster makes).
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Returns the UUID as it is stored.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", Self::PREFIX, self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.strip_prefix(Self::PREFIX).ok_or(ParseIdError).and_then(parse_hex).map(Self)
            }
        }

        text_form!($name, concat!("^", $prefix, "_[0-9a-f]{32}$"));
    )+};
}

uuid_id! {
    /// Names a team (tenant).
    TeamId = "team";
    /// Names a person who may sign in.
    UserId = "user";
    /// Names a site of a team.
    SiteId = "site";
    /// Names a host; the host id is the identity.
    HostId = "host";
    /// Names a claim.
    ClaimId = "claim";
    /// Names a job.
    JobId = "job";
    /// Names a secret.
    SecretId = "secret";
    /// Names an audit record.
    AuditId = "audit";
    /// Names an event of the outbox.
    EventId = "event";
    /// Names an endpoint that hears of events.
    EndpointId = "endpoint";
    /// Names the delivery of one event to one endpoint.
    DeliveryId = "delivery";
    /// Names one request, to quote in a report.
    RequestId = "req";
}
