//! Endpoints: who hears of events, and how it went.

use std::fmt;

use muster_ids::{DeliveryId, EndpointId, EventId, HostId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{Few, Whole};
use crate::happening::Happening;
use crate::notification::{
    EmailConfig, HttpUrl, MatrixConfig, NtfyConfig, QuietHours, SlackConfig, TeamsConfig,
};
use crate::object::{object, optional_object};
use crate::text::Name;

/// Most kinds of events one endpoint names.
pub const MAX_KINDS: usize = 128;

/// How an endpoint is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointKind {
    /// A signed POST of each event (Standard Webhooks).
    Webhook,
    /// Mail over SMTP.
    Email,
    /// A topic of ntfy.
    Ntfy,
    /// An incoming webhook of Slack.
    Slack,
    /// A workflow of Microsoft Teams.
    Teams,
    /// A room of Matrix.
    Matrix,
}

impl EndpointKind {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Email => "email",
            Self::Ntfy => "ntfy",
            Self::Slack => "slack",
            Self::Teams => "teams",
            Self::Matrix => "matrix",
        }
    }

    /// Whether a program reads it: each event by itself, at once, in the order of its host. People get messages, in
    /// which events are gathered.
    pub const fn is_for_programs(self) -> bool {
        matches!(self, Self::Webhook)
    }
}

impl fmt::Display for EndpointKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where events are posted to; path and query may be a credential.
    pub url: HttpUrl,
}

/// Where an endpoint is, with its credentials; never returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointTarget {
    /// A webhook.
    Webhook(#[serde(deserialize_with = "object")] WebhookConfig),
    /// Mail.
    Email(#[serde(deserialize_with = "object")] EmailConfig),
    /// A topic of ntfy.
    Ntfy(#[serde(deserialize_with = "object")] NtfyConfig),
    /// Slack.
    Slack(#[serde(deserialize_with = "object")] SlackConfig),
    /// Teams.
    Teams(#[serde(deserialize_with = "object")] TeamsConfig),
    /// Matrix.
    Matrix(#[serde(deserialize_with = "object")] MatrixConfig),
}

impl EndpointTarget {
    /// Returns how it is spoken to.
    pub const fn kind(&self) -> EndpointKind {
        match self {
            Self::Webhook(_) => EndpointKind::Webhook,
            Self::Email(_) => EndpointKind::Email,
            Self::Ntfy(_) => EndpointKind::Ntfy,
            Self::Slack(_) => EndpointKind::Slack,
            Self::Teams(_) => EndpointKind::Teams,
            Self::Matrix(_) => EndpointKind::Matrix,
        }
    }

    /// Returns what people see of it: no path, no query, no credential.
    pub fn shown(&self) -> String {
        match self {
            Self::Webhook(config) => config.url.origin(),
            Self::Email(config) => config.shown(),
            Self::Ntfy(config) => config.shown(),
            Self::Slack(config) => config.shown(),
            Self::Teams(config) => config.shown(),
            Self::Matrix(config) => config.shown(),
        }
    }

    /// Returns the URL that is spoken to, unless it is a mail server.
    pub fn url(&self) -> Option<&HttpUrl> {
        match self {
            Self::Webhook(config) => Some(&config.url),
            Self::Email(_) => None,
            Self::Ntfy(config) => Some(&config.url),
            Self::Slack(config) => Some(&config.url),
            Self::Teams(config) => Some(&config.url),
            Self::Matrix(config) => Some(&config.url),
        }
    }
}

/// How long events are gathered into one message, at most a day.
pub type GroupFor = Whole<0, 86_400>;

/// Makes an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateEndpoint {
    /// What people call it.
    pub name: Name,
    /// Where it is.
    pub target: EndpointTarget,
    /// The kinds of events it hears of; all when none is named.
    #[serde(default)]
    pub events: Few<Happening, MAX_KINDS>,
    /// How many seconds events are gathered into one message; not for webhooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_for_secs: Option<GroupFor>,
    /// When it is left in peace; not for webhooks.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_object")]
    pub quiet_hours: Option<QuietHours>,
}

/// Changes an endpoint: everything but its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetEndpoint {
    /// What people call it.
    pub name: Name,
    /// Where it is from now on; as before when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<EndpointTarget>,
    /// The kinds of events it hears of; all when none is named.
    #[serde(default)]
    pub events: Few<Happening, MAX_KINDS>,
    /// How many seconds events are gathered into one message; not for webhooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_for_secs: Option<GroupFor>,
    /// When it is left in peace; not for webhooks.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_object")]
    pub quiet_hours: Option<QuietHours>,
}

/// Sends a test message and stores nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestEndpoint {
    /// Where it goes.
    pub target: EndpointTarget,
}

/// How a test message went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointTested {
    /// Whether it was taken.
    pub delivered: bool,
    /// The receiver's status, if it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it was not taken, in this server's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// An endpoint as people see it: never its credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// Names it.
    pub id: EndpointId,
    /// How it is spoken to.
    pub kind: EndpointKind,
    /// What people call it.
    pub name: String,
    /// What is shown of where it is.
    pub shown_target: String,
    /// The kinds of events it hears of; all when none is named.
    pub events: Vec<String>,
    /// How many seconds events are gathered into one message.
    pub group_for_secs: u64,
    /// When it is left in peace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_hours: Option<QuietHours>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Since when nothing is sent to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Timestamp>,
    /// Since when deliveries are given up; until one is taken again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
}

/// An endpoint that was just made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MadeEndpoint {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// What webhooks are signed with; shown once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<String>,
}

impl fmt::Debug for MadeEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MadeEndpoint({}, [redacted])", self.endpoint.id)
    }
}

/// How long a rotated signing secret stays good beside the new one: at most a week.
pub type Overlap = Whole<0, 604_800>;

/// Makes another signing secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSigningSecret {
    /// How many seconds messages are signed with the former one too: a day when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_secs: Option<Overlap>,
}

/// A signing secret that was just made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RotatedSigningSecret {
    /// What webhooks are signed with; shown once.
    pub signing_secret: String,
    /// Until when the former one is used too.
    pub former_until: Timestamp,
}

impl fmt::Debug for RotatedSigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RotatedSigningSecret([redacted], {:?})", self.former_until)
    }
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is, or will be, tried.
    Waiting,
    /// The receiver took it.
    Delivered,
    /// It was given up.
    Failed,
}

impl DeliveryState {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// The delivery of one event to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventDelivery {
    /// Names it.
    pub id: DeliveryId,
    /// The event.
    pub event_id: EventId,
    /// Its place among all events.
    pub position: u64,
    /// What happened; absent when the event is not kept any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The host it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_id: Option<HostId>,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u64,
    /// When it is tried next; absent when it is not its turn, or over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// When it was last tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
    /// The receiver's last status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_status: Option<u16>,
    /// Why it was not taken the last time, in this server's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
}

/// Asks for deliveries again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redeliver {
    /// Events since then, of which this endpoint has deliveries.
    pub since: Timestamp,
}

/// How many deliveries were asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Redelivering {
    /// How many.
    pub count: u64,
}
