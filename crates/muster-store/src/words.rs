//! Enums whose words are stored: the same words as on the wire.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

use crate::{FromValue, ToValue, Value};

/// An enum of unit variants in a TEXT column, by its serde word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<T>(pub T);

impl<T: Serialize> Word<T> {
    /// Returns the word.
    pub(crate) fn text(&self) -> Option<String> {
        match serde_json::to_value(&self.0) {
            Ok(serde_json::Value::String(word)) => Some(word),
            _ => None,
        }
    }
}

/// Returns words, each between spaces, as a filter takes them that lets any of them through; `None` of none.
pub(crate) fn between_spaces<T: Serialize + Copy>(values: &[T]) -> Option<String> {
    let words: Vec<String> = values.iter().filter_map(|value| Word(*value).text()).collect();
    (!words.is_empty()).then(|| format!(" {} ", words.join("  ")))
}

impl<T: Serialize> ToValue for Word<T> {
    fn to_value(&self) -> Value {
        self.text()
            .map_or_else(|| unreachable!("only enums of unit variants are stored as words"), Value::Text)
    }
}

impl<T: DeserializeOwned> FromValue for Word<T> {
    fn from_value(value: Value) -> Result<Self, Value> {
        let Value::Text(text) = value else { return Err(value) };
        let word: StrDeserializer<'_, Error> = text.as_str().into_deserializer();
        match T::deserialize(word) {
            Ok(known) => Ok(Self(known)),
            Err(_) => Err(Value::Text(text)),
        }
    }
}
