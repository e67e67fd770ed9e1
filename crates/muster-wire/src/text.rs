//! Bounded text: the charset policy of every field a stranger may fill.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// Why a text was refused; the code of the field's problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing, or only white space.
    #[error("empty")]
    Empty,
    /// More than the field holds.
    #[error("too_long")]
    TooLong,
    /// NUL, line break, escape or another control character.
    #[error("control_character")]
    ControlCharacter,
    /// A character that is invisible or changes the direction of text.
    #[error("invisible_character")]
    InvisibleCharacter,
    /// White space at either end.
    #[error("surrounding_space")]
    SurroundingSpace,
    /// Outside the field's alphabet or form.
    #[error("malformed")]
    Malformed,
}

fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
        | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Returns text that somebody else chose as one line that can be shown: what is invisible or steers a terminal or the
/// direction of text becomes U+FFFD, and what is longer than `max_chars` ends in an ellipsis.
pub fn shown(text: &str, max_chars: usize) -> String {
    let shown = |c: char| if c.is_control() || is_invisible(c) { char::REPLACEMENT_CHARACTER } else { c };
    let mut line: String = text.trim().chars().take(max_chars).map(shown).collect();
    if text.trim().chars().nth(max_chars).is_some() {
        line.pop();
        line.push('…');
    }
    line
}

fn judge(text: &str, max_chars: usize) -> Result<(), TextError> {
    if text.chars().count() > max_chars {
        return Err(TextError::TooLong);
    }
    if text.chars().any(char::is_control) {
        return Err(TextError::ControlCharacter);
    }
    if text.chars().any(is_invisible) {
        return Err(TextError::InvisibleCharacter);
    }
    if text.trim().is_empty() {
        return Err(TextError::Empty);
    }
    if text.trim() != text {
        return Err(TextError::SurroundingSpace);
    }
    Ok(())
}

macro_rules! text_traits {
    ([$($generic:tt)*] $name:ty, $schema:expr) => {
        impl<$($generic)*> $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<$($generic)*> fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<$($generic)*> fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl<$($generic)*> std::str::FromStr for $name {
            type Err = TextError;
            fn from_str(text: &str) -> Result<Self, TextError> {
                Self::parse(text)
            }
        }

        impl<'de, $($generic)*> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <Cow<'de, str>>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }

        impl<$($generic)*> JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

pub(crate) use text_traits;

/// One visible line of at most `MAX` characters, without control or invisible characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Line<const MAX: usize>(String);

impl<const MAX: usize> Line<MAX> {
    /// Parses a line; a refusal is a code.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        judge(text, MAX)?;
        Ok(Self(text.to_owned()))
    }
}

/// Deserializes a line of at most `MAX` characters into a plain string; for `deserialize_with`.
pub fn line_string<'de, D: Deserializer<'de>, const MAX: usize>(deserializer: D) -> Result<String, D::Error> {
    Line::<MAX>::deserialize(deserializer).map(|line| line.0)
}

text_traits!([const MAX: usize] Line<MAX>, json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX }));

/// A name given by a person: one line of at most 64 characters.
pub type Name = Line<64>;

/// A host name of RFC 1123: labels of letters, digits and hyphens, at most 253 characters, lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Hostname(String);

impl Hostname {
    /// Parses a host name and folds it to lower case.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        if text.len() > 253 {
            return Err(TextError::TooLong);
        }
        let label_is_good = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if !text.split('.').all(label_is_good) {
            return Err(TextError::Malformed);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

text_traits!(
    [] Hostname,
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 253,
        "pattern": "^[0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?(\\.[0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?)*$" })
);

/// A tag: `[A-Za-z0-9]` then up to 63 of `[A-Za-z0-9._:=/-]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Tag(String);

impl Tag {
    /// Parses a tag.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let Some(first) = text.bytes().next() else { return Err(TextError::Empty) };
        if text.len() > 64 {
            return Err(TextError::TooLong);
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:=/-".contains(&b);
        if !first.is_ascii_alphanumeric() || !text.bytes().all(allowed) {
            return Err(TextError::Malformed);
        }
        Ok(Self(text.to_owned()))
    }
}

text_traits!(
    [] Tag,
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[0-9A-Za-z][0-9A-Za-z._:=/-]*$" })
);

/// The name of a secret: a lower-case word, `[a-z]` then up to 31 of `[a-z0-9_-]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SecretName(String);

impl SecretName {
    /// Parses the name of a secret.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let Some(first) = text.bytes().next() else { return Err(TextError::Empty) };
        if text.len() > 32 {
            return Err(TextError::TooLong);
        }
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        if !first.is_ascii_lowercase() || !text.bytes().all(allowed) {
            return Err(TextError::Malformed);
        }
        Ok(Self(text.to_owned()))
    }
}

text_traits!(
    [] SecretName,
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 32, "pattern": "^[a-z][a-z0-9_-]*$" })
);

/// The name of a provider people sign in with: as that of a secret, and no word of the paths beside it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ProviderName(String);

impl ProviderName {
    /// Parses the name of a provider.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if matches!(text, "providers" | "callback") {
            return Err(TextError::Malformed);
        }
        SecretName::parse(text).map(|name| Self(name.0))
    }
}

text_traits!(
    [] ProviderName,
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 32, "pattern": "^[a-z][a-z0-9_-]*$" })
);

/// An absolute path on a machine, at most 4096 bytes, without control characters or `..` segments.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct AbsolutePath(String);

impl AbsolutePath {
    /// Parses an absolute path.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        if text.len() > 4096 {
            return Err(TextError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(TextError::ControlCharacter);
        }
        if !text.starts_with('/') || text.split('/').any(|segment| segment == "..") {
            return Err(TextError::Malformed);
        }
        Ok(Self(text.to_owned()))
    }
}

text_traits!(
    [] AbsolutePath,
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 4096, "pattern": "^/" })
);
