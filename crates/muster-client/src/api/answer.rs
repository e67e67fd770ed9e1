use std::fmt;
use std::ops::Deref;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A value together with the document it was read from, byte for byte.
///
/// Serializes as that document: what an older client does not understand is still passed on.
#[derive(Clone)]
pub struct Answer<T> {
    value: T,
    document: Box<RawValue>,
}

impl<T> Answer<T> {
    /// Returns the document as the server wrote it.
    pub fn document(&self) -> &str {
        self.document.get()
    }

    /// Returns the value.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T> Deref for Answer<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Answer<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let document = <Box<RawValue>>::deserialize(deserializer)?;
        let value = serde_json::from_str(document.get()).map_err(D::Error::custom)?;
        Ok(Self { value, document })
    }
}

impl<T> Serialize for Answer<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.document.serialize(serializer)
    }
}

#[cfg(test)]
mod tests;
