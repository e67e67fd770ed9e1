//! The audit trail as operators read it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use muster_ids::{AuditId, HostId, TeamId, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::happening::Happening;

/// One thing that was done or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// Names it.
    pub id: AuditId,
    /// The team it belongs to.
    pub team_id: TeamId,
    /// Its place in the chain; dense, without gaps.
    pub position: u64,
    /// When.
    pub at: Timestamp,
    /// Who: `user_…`, `host_…`, `jkt:…` or `system`.
    pub actor: String,
    /// The role they acted in: `admin`, `owner`, `operator`, `viewer`; none for machines and the server itself.
    pub role: Option<String>,
    /// The address they came from.
    pub source: String,
    /// What: `host.enrolled`, `claim.decided`, …
    pub action: String,
    /// On what.
    pub target: String,
    /// The host it is about, if it is about one.
    pub host_id: Option<HostId>,
    /// How it ended: `ok` or the code of the refusal.
    pub outcome: String,
    /// Names of the fields that changed; never the values of secrets.
    pub changed: Vec<String>,
    /// Details that are not secret.
    pub details: serde_json::Value,
}

/// Actions between commas, at least one: `host.enrolled,claim.decided`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionList(Vec<Happening>);

impl ActionList {
    /// Most actions of one list.
    const MAX: usize = 8;

    /// Parses a list; a refusal is a code.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let of_word = |word: &str| Happening::of_word(word).filter(|action| action.is_audited());
        let mut actions: Vec<Happening> =
            text.split(',').map(of_word).collect::<Option<_>>().ok_or("unknown_action")?;
        actions.sort_unstable();
        actions.dedup();
        if actions.len() > Self::MAX { Err("too_many") } else { Ok(Self(actions)) }
    }

    /// Returns their words.
    pub fn words(&self) -> Vec<String> {
        self.0.iter().map(|action| action.as_str().to_owned()).collect()
    }
}

impl<'de> Deserialize<'de> for ActionList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&<Cow<'de, str>>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for ActionList {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "ActionList".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let actions = Happening::ALL.iter().filter(|action| action.is_audited());
        let words: Vec<String> = actions.map(|action| action.as_str().replace('.', "\\.")).collect();
        let words = words.join("|");
        json_schema!({ "type": "string", "pattern": format!("^({words})(,({words})){{0,7}}$") })
    }
}

/// A head of the chain, short enough to be kept elsewhere: `POSITION:MAC`, the first 16 hex digits of its MAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditAnchor {
    position: u64,
    mac: [u8; ANCHOR_LEN],
}

const ANCHOR_LEN: usize = 8;

/// The text is no anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed")]
pub struct ParseAnchorError;

impl AuditAnchor {
    /// Shortens a link.
    pub fn new(position: u64, mac: &[u8; 32]) -> Self {
        Self { position, mac: std::array::from_fn(|at| mac[at]) }
    }

    /// Returns its position.
    pub const fn position(self) -> u64 {
        self.position
    }

    /// Whether it is of a link with this MAC.
    pub fn is_of(self, mac: &[u8; 32]) -> bool {
        mac.starts_with(&self.mac)
    }
}

impl fmt::Display for AuditAnchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.position)?;
        self.mac.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for AuditAnchor {
    type Err = ParseAnchorError;

    fn from_str(text: &str) -> Result<Self, ParseAnchorError> {
        let (position, mac) = text.split_once(':').ok_or(ParseAnchorError)?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if position.is_empty()
            || !position.bytes().all(|byte| byte.is_ascii_digit())
            || mac.len() != 2 * ANCHOR_LEN
            || !mac.bytes().all(is_hex)
        {
            return Err(ParseAnchorError);
        }
        let position = position.parse().map_err(|_| ParseAnchorError)?;
        let mut bytes = [0; ANCHOR_LEN];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&mac[2 * at..2 * at + 2], 16).map_err(|_| ParseAnchorError)?;
        }
        Ok(Self { position, mac: bytes })
    }
}

impl Serialize for AuditAnchor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AuditAnchor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for AuditAnchor {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "AuditAnchor".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{1,20}:[0-9a-f]{16}$", "maxLength": 37 })
    }
}

/// What a break of the chain looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakKind {
    /// The row, or its link, is not what was sealed.
    Changed,
    /// Rows are gone.
    Missing,
    /// The row was sealed at another place.
    Moved,
    /// The server did not write the row.
    Inserted,
    /// Rows at the end are gone.
    Truncated,
    /// What is kept of the end of the chain was not kept by the server.
    Head,
    /// What is kept of the beginning of the chain was not kept by the server.
    Tail,
}

/// A place where the chain does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditBreak {
    /// Where it begins.
    pub position: u64,
    /// Where it ends, if it is more than one position.
    pub until: Option<u64>,
    /// What it looks like.
    pub kind: BreakKind,
}

impl AuditBreak {
    /// A break at one position.
    pub const fn at(position: u64, kind: BreakKind) -> Self {
        Self { position, until: None, kind }
    }

    /// A break from one position to another.
    pub fn between(position: u64, until: u64, kind: BreakKind) -> Self {
        Self { position, until: Some(until).filter(|until| *until != position), kind }
    }
}

/// Whether a head that was kept elsewhere is still part of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnchorState {
    /// It is.
    Holds,
    /// Its row was dropped because of its age: nothing can be said.
    Dropped,
    /// It is not: the trail was cut, or is another one.
    Broken,
}

/// What came of verifying a part of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditVerification {
    /// What is kept begins after this position; the rows before were dropped because of their age.
    pub begin: u64,
    /// The last position that was verified: where to go on.
    pub through: u64,
    /// How many rows were verified.
    pub checked: u64,
    /// Whether that was the end.
    pub is_end: bool,
    /// Where the chain does not hold, at most 100 places.
    pub breaks: Vec<AuditBreak>,
    /// Rows that have no place yet and are not verified: the server gives them one a moment after their commit.
    pub unsealed: u64,
    /// Where the chain ends: keep it elsewhere, and ask later whether it is still part of the chain.
    pub head: AuditAnchor,
    /// What became of the anchor that was asked for.
    pub anchor: Option<AnchorState>,
}
