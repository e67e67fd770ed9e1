//! Where notifications go, and when they stay away: mail, ntfy, Slack, Teams, Matrix.
//!
//! Every credential here is a type that prints nothing of itself; `shown()` is what people see of a target.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use crate::bounds::{Few, Whole, at_least_one};
use crate::hidden::Hidden;
use crate::text::{Hostname, Line, TextError, text_traits};

/// A credential of one line, at most `MAX` characters; never printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SecretLine<const MAX: usize>(Hidden<MAX>);

impl<const MAX: usize> SecretLine<MAX> {
    /// Parses a credential; a refusal is a code.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        Line::<MAX>::parse(text)?;
        Hidden::parse(text).map(Self)
    }

    /// Returns the credential.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for SecretLine<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl<const MAX: usize> JsonSchema for SecretLine<MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "SecretLine".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX, "writeOnly": true })
    }
}

/// The URL of somebody else's server: `http` or `https`, no user information, no fragment. Its path may be a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(Url);

impl HttpUrl {
    const MAX_CHARS: usize = 2048;

    /// Parses a URL; a refusal is a code.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        Line::<{ Self::MAX_CHARS }>::parse(text)?;
        let url = Url::parse(text).map_err(|_| TextError::Malformed)?;
        let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !is_plain {
            return Err(TextError::Malformed);
        }
        Ok(Self(url))
    }

    /// Returns the URL, whose path may be a credential.
    pub fn expose(&self) -> &Url {
        &self.0
    }

    /// Whether it is `https`.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Returns the scheme, the host and the port.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }
}

impl std::str::FromStr for HttpUrl {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        Self::parse(text)
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/…", self.origin())
    }
}

impl Serialize for HttpUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for HttpUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for HttpUrl {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "HttpUrl".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": Self::MAX_CHARS, "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://" })
    }
}

/// A mail address of the plain form `local@domain`: ASCII, no quoted local part, no literal address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct MailAddress(String);

impl MailAddress {
    /// Parses an address (RFC 5321, §4.1.2: `Dot-string`, `Domain`).
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.len() > 254 {
            return Err(TextError::TooLong);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(TextError::Malformed)?;
        let is_atom = |atom: &str| {
            !atom.is_empty()
                && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
        };
        if local.len() > 64 || !local.split('.').all(is_atom) {
            return Err(TextError::Malformed);
        }
        Hostname::parse(domain)?;
        Ok(Self(text.to_owned()))
    }
}

text_traits!([] MailAddress, json_schema!({ "type": "string", "minLength": 3, "maxLength": 254, "pattern": "^[!-?A-~]+@[0-9A-Za-z.-]+$" }));

/// A mail server: a host name or an IP address, without brackets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct MailServer(String);

impl MailServer {
    /// Parses a host name or an IP address.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(Self(address.to_string())),
            Err(_) => Hostname::parse(text).map(|name| Self(name.to_string())),
        }
    }
}

impl MailServer {
    /// Returns it as it stands in a URL: an IPv6 address in brackets.
    pub fn in_url(&self) -> String {
        if self.0.contains(':') { format!("[{}]", self.0) } else { self.0.clone() }
    }
}

text_traits!([] MailServer, json_schema!({ "type": "string", "minLength": 1, "maxLength": 253, "pattern": "^[0-9A-Za-z.:-]+$" }));

/// A topic of ntfy: 1 to 64 of `[A-Za-z0-9_-]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct NtfyTopic(String);

impl NtfyTopic {
    /// Parses a topic.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        match text.len() {
            0 => Err(TextError::Empty),
            65.. => Err(TextError::TooLong),
            _ if text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(TextError::Malformed),
        }
    }
}

text_traits!([] NtfyTopic, json_schema!({ "type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[0-9A-Za-z_-]+$" }));

/// The id of a Matrix room: `!opaque` or `!opaque:server`; no alias.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct MatrixRoom(String);

impl MatrixRoom {
    /// Parses a room id.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.len() > 255 {
            return Err(TextError::TooLong);
        }
        if text.len() < 2 || !text.starts_with('!') || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(TextError::Malformed);
        }
        Ok(Self(text.to_owned()))
    }
}

text_traits!([] MatrixRoom, json_schema!({ "type": "string", "minLength": 2, "maxLength": 255, "pattern": "^![!-~]+$" }));

/// A time of day, `HH:MM` from `00:00` to `23:59`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct TimeOfDay(String);

impl TimeOfDay {
    /// Parses a time of day.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let digits =
            text.bytes().enumerate().all(|(at, b)| if at == 2 { b == b':' } else { b.is_ascii_digit() });
        let time = Self(text.to_owned());
        match text.len() == 5 && digits && time.hour() < 24 && time.minute() < 60 {
            true => Ok(time),
            false => Err(TextError::Malformed),
        }
    }

    /// Returns the hour, 0 to 23.
    pub fn hour(&self) -> i8 {
        self.0.get(..2).and_then(|hour| hour.parse().ok()).unwrap_or_default()
    }

    /// Returns the minute, 0 to 59.
    pub fn minute(&self) -> i8 {
        self.0.get(3..).and_then(|minute| minute.parse().ok()).unwrap_or_default()
    }
}

text_traits!([] TimeOfDay, json_schema!({ "type": "string", "minLength": 5, "maxLength": 5, "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$" }));

/// The name of a time zone as IANA spells it: `Europe/Berlin`, `UTC`. Whether it exists is the server's to know.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct TimeZoneName(String);

impl TimeZoneName {
    /// Parses the name of a time zone.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        match text.len() {
            0 => Err(TextError::Empty),
            65.. => Err(TextError::TooLong),
            _ if text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+-/".contains(&b)) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(TextError::Malformed),
        }
    }
}

text_traits!([] TimeZoneName, json_schema!({ "type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[0-9A-Za-z_+/-]+$" }));

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Day {
    /// Monday.
    Monday,
    /// Tuesday.
    Tuesday,
    /// Wednesday.
    Wednesday,
    /// Thursday.
    Thursday,
    /// Friday.
    Friday,
    /// Saturday.
    Saturday,
    /// Sunday.
    Sunday,
}

impl Day {
    /// Every day, in their order.
    pub const ALL: [Self; 7] = [
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
        Self::Sunday,
    ];
}

/// When an endpoint is left in peace: every day from one time to another, past midnight if `to` is earlier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// When they begin.
    pub from: TimeOfDay,
    /// When they end.
    pub to: TimeOfDay,
    /// Where these times hold.
    pub time_zone: TimeZoneName,
    /// The days they begin on; every day when none is named.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub days: Few<Day, 7>,
    /// Whether what cannot wait is sent all the same.
    #[serde(default = "breaks")]
    pub urgent_breaks_quiet: bool,
}

fn breaks() -> bool {
    true
}

/// How a mail server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MailSecurity {
    /// STARTTLS, required; usually port 587.
    Starttls,
    /// TLS from the first byte; usually port 465.
    Tls,
    /// No encryption: only to addresses the server's owner allowed.
    Plain,
}

/// Mail over SMTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailConfig {
    /// The mail server.
    pub server: MailServer,
    /// Its port.
    pub port: Whole<1, 65_535>,
    /// How it is spoken to.
    pub security: MailSecurity,
    /// Who the mail is from.
    pub from: MailAddress,
    /// Who it goes to: one to twenty.
    #[serde(deserialize_with = "at_least_one")]
    pub to: Few<MailAddress, 20>,
    /// Who signs in to the mail server; with `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Line<255>>,
    /// The password of `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretLine<1024>>,
}

impl EmailConfig {
    /// Returns what people see of it.
    pub fn shown(&self) -> String {
        let mut to = self.to.iter();
        let first = to.next().map(MailAddress::as_str).unwrap_or_default();
        let server = format!("{}:{}", self.server, self.port.get());
        match to.count() {
            0 => format!("{first} via {server}"),
            others => format!("{first} and {others} more via {server}"),
        }
    }
}

/// A topic of a ntfy server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NtfyConfig {
    /// The server, without the topic.
    pub url: HttpUrl,
    /// The topic; who knows it may read it, where the server asks nobody to sign in.
    pub topic: NtfyTopic,
    /// An access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretLine<1024>>,
}

impl NtfyConfig {
    /// Returns what people see of it: the topic only in part.
    pub fn shown(&self) -> String {
        let start: String = self.topic.as_str().chars().take(3).collect();
        format!("{}/{start}…", self.url.origin())
    }
}

impl fmt::Debug for NtfyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NtfyConfig({})", self.shown())
    }
}

/// An incoming webhook of Slack, or of what understands the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlackConfig {
    /// The webhook's URL, which is a credential.
    pub url: HttpUrl,
}

impl SlackConfig {
    /// Returns what people see of it.
    pub fn shown(&self) -> String {
        format!("{}/…", self.url.origin())
    }
}

/// A workflow of Microsoft Teams that posts an adaptive card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TeamsConfig {
    /// The workflow's URL, which is a credential.
    pub url: HttpUrl,
}

impl TeamsConfig {
    /// Returns what people see of it.
    pub fn shown(&self) -> String {
        format!("{}/…", self.url.origin())
    }
}

/// A room of Matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixConfig {
    /// The homeserver.
    pub url: HttpUrl,
    /// The room.
    pub room: MatrixRoom,
    /// The access token of an account that is in the room.
    pub token: SecretLine<1024>,
}

impl MatrixConfig {
    /// Returns what people see of it.
    pub fn shown(&self) -> String {
        format!("{} at {}", self.room, self.url.origin())
    }
}

#[cfg(test)]
mod tests;
