//! Bounded numbers, lists and maps.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::de::{Deserialize, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Whole<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Whole<MIN, MAX> {
    /// Wraps a number within the bounds; `None` outside.
    pub fn new(value: u64) -> Option<Self> {
        (MIN..=MAX).contains(&value).then_some(Self(value))
    }

    /// Wraps the nearest number within the bounds.
    pub fn clamped(value: u64) -> Self {
        Self(value.clamp(MIN, MAX))
    }

    /// Returns the number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl<const MIN: u64, const MAX: u64> Serialize for Whole<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = u64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<u64, E> {
                Ok(value)
            }
            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<u64, E> {
                u64::try_from(value).map_err(|_| E::custom("out_of_range"))
            }
        }
        Self::new(deserializer.deserialize_u64(Number)?).ok_or_else(|| D::Error::custom("out_of_range"))
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for Whole<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Whole".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// A list of at most `MAX` different values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Few<T: Ord, const MAX: usize>(BTreeSet<T>);

impl<T: Ord, const MAX: usize> Default for Few<T, MAX> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T: Ord, const MAX: usize> Few<T, MAX> {
    /// Returns the values in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    /// Returns the set.
    pub fn into_set(self) -> BTreeSet<T> {
        self.0
    }

    /// Whether the list holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many values the list holds.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T: Ord, const MAX: usize> FromIterator<T> for Few<T, MAX> {
    /// Collects at most `MAX` values; later ones are left out.
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self(values.into_iter().take(MAX).collect())
    }
}

impl<T: Ord + Serialize, const MAX: usize> Serialize for Few<T, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl<'de, T: Ord + Deserialize<'de>, const MAX: usize> Deserialize<'de> for Few<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Ord + Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
            type Value = BTreeSet<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<BTreeSet<T>, A::Error> {
                let mut values = BTreeSet::new();
                let mut count = 0;
                while let Some(value) = seq.next_element()? {
                    count += 1;
                    if count > MAX {
                        return Err(A::Error::custom("too_many"));
                    }
                    values.insert(value);
                }
                Ok(values)
            }
        }
        deserializer.deserialize_seq(List::<T, MAX>(PhantomData)).map(Self)
    }
}

/// Deserializes a list of one to `MAX` different values; for `deserialize_with`.
pub fn at_least_one<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Few<T, MAX>, D::Error>
where
    D: Deserializer<'de>,
    T: Ord + Deserialize<'de>,
{
    let few = Few::deserialize(deserializer)?;
    if few.is_empty() { Err(D::Error::custom("empty")) } else { Ok(few) }
}

/// Deserializes a list of one to `MAX` values in their order, none of them twice; for `deserialize_with`.
pub fn distinct<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Ordered<T, MAX>, D::Error>
where
    D: Deserializer<'de>,
    T: Ord + Deserialize<'de>,
{
    let values: Ordered<T, MAX> = Ordered::deserialize(deserializer)?;
    match values.iter().collect::<BTreeSet<&T>>().len() {
        0 => Err(D::Error::custom("empty")),
        left if left < values.0.len() => Err(D::Error::custom("duplicate")),
        _ => Ok(values),
    }
}

impl<T: Ord + JsonSchema, const MAX: usize> JsonSchema for Few<T, MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Few_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "maxItems": MAX, "items": generator.subschema_for::<T>() })
    }
}

/// A list of at most `MAX` values whose order means something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Default for Ordered<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> Ordered<T, MAX> {
    /// Returns the values in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// Whether the list holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T, const MAX: usize> FromIterator<T> for Ordered<T, MAX> {
    /// Collects at most `MAX` values; later ones are left out.
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self(values.into_iter().take(MAX).collect())
    }
}

impl<T: Serialize, const MAX: usize> Serialize for Ordered<T, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Ordered<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
            type Value = Vec<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    if values.len() == MAX {
                        return Err(A::Error::custom("too_many"));
                    }
                    values.push(value);
                }
                Ok(values)
            }
        }
        deserializer.deserialize_seq(List::<T, MAX>(PhantomData)).map(Self)
    }
}

impl<T: JsonSchema, const MAX: usize> JsonSchema for Ordered<T, MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Ordered_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "maxItems": MAX, "items": generator.subschema_for::<T>() })
    }
}

/// Words between commas, none of them twice: what a filter of a list lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyOf<T>(Vec<T>);

impl<T> AnyOf<T> {
    /// Returns what the words say, in their order.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<'de, T: Deserialize<'de> + PartialEq> Deserialize<'de> for AnyOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        let mut values = Vec::new();
        for word in text.split(',') {
            let word: StrDeserializer<'_, ValueError> = word.into_deserializer();
            let value = T::deserialize(word).map_err(|_| D::Error::custom("unknown_value"))?;
            if values.contains(&value) {
                return Err(D::Error::custom("duplicate"));
            }
            values.push(value);
        }
        Ok(Self(values))
    }
}

/// Returns the words of an enum whose variants are words, as its schema tells them one by one.
fn words(schema: &Schema) -> Vec<&str> {
    let variants = schema.get("oneOf").and_then(|variants| variants.as_array());
    variants.into_iter().flatten().filter_map(|variant| variant.get("const")?.as_str()).collect()
}

impl<T: JsonSchema> JsonSchema for AnyOf<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("AnyOf_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let schema = T::json_schema(generator);
        let words = words(&schema).join("|");
        json_schema!({ "type": "string", "pattern": format!("^({words})(,({words}))*$") })
    }
}

/// A map of at most `MAX` entries; a repeated key is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FewEntries<K: Ord, V, const MAX: usize>(BTreeMap<K, V>);

impl<K: Ord, V, const MAX: usize> Default for FewEntries<K, V, MAX> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, V, const MAX: usize> FewEntries<K, V, MAX> {
    /// Returns the entries in order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter()
    }

    /// Returns the map.
    pub fn into_map(self) -> BTreeMap<K, V> {
        self.0
    }

    /// Whether the map holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Ord, V, const MAX: usize> FromIterator<(K, V)> for FewEntries<K, V, MAX> {
    /// Collects at most `MAX` entries; later ones are left out.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(entries.into_iter().take(MAX).collect())
    }
}

impl<K: Ord + Serialize, V: Serialize, const MAX: usize> Serialize for FewEntries<K, V, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.0)
    }
}

impl<'de, K, V, const MAX: usize> Deserialize<'de> for FewEntries<K, V, MAX>
where
    K: Ord + Deserialize<'de>,
    V: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<K, V, const MAX: usize>(PhantomData<(K, V)>);
        impl<'de, K, V, const MAX: usize> Visitor<'de> for Entries<K, V, MAX>
        where
            K: Ord + Deserialize<'de>,
            V: Deserialize<'de>,
        {
            type Value = BTreeMap<K, V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BTreeMap<K, V>, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some(key) = map.next_key()? {
                    if entries.len() == MAX {
                        return Err(A::Error::custom("too_many"));
                    }
                    if entries.insert(key, map.next_value()?).is_some() {
                        return Err(A::Error::custom("duplicate_field"));
                    }
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(Entries::<K, V, MAX>(PhantomData)).map(Self)
    }
}

impl<K: Ord + JsonSchema, V: JsonSchema, const MAX: usize> JsonSchema for FewEntries<K, V, MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("FewEntries_{}", V::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "maxProperties": MAX,
            "propertyNames": generator.subschema_for::<K>(),
            "additionalProperties": generator.subschema_for::<V>(),
        })
    }
}
