//! Text that is never shown again: passwords, codes, and whatever a person may have typed in their place.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::TextError;

/// A text of at most `MAX` characters that is wiped on drop and never printed.
#[derive(Clone)]
pub struct Hidden<const MAX: usize>(SecretString);

impl<const MAX: usize> Hidden<MAX> {
    /// Wraps a text; a refusal is a code.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        if text.chars().count() > MAX {
            return Err(TextError::TooLong);
        }
        Ok(Self(SecretString::from(text)))
    }

    /// Returns the text, which is secret.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl<const MAX: usize> PartialEq for Hidden<MAX> {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl<const MAX: usize> Eq for Hidden<MAX> {}

impl<const MAX: usize> fmt::Debug for Hidden<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<const MAX: usize> Serialize for Hidden<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Hidden<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl<const MAX: usize> JsonSchema for Hidden<MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Hidden".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "password", "minLength": 1, "maxLength": MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_typed_and_shows_nothing() {
        let hidden: Hidden<8> = serde_json::from_str(r#"" pass\n ""#).unwrap();
        assert_eq!((hidden.expose(), format!("{hidden:?}").as_str()), (" pass\n ", "[redacted]"));
        assert_eq!(Hidden::<3>::parse("").unwrap_err(), TextError::Empty);
        assert_eq!(Hidden::<3>::parse("äöüß").unwrap_err(), TextError::TooLong);
        assert!(serde_json::from_str::<Hidden<3>>("7").is_err());
    }
}
