//! Strict query strings: declared keys only, each once, valid percent-encoding of UTF-8.

use aide::generate::GenContext;
use aide::openapi::Operation;
use aide::operation::{ParamLocation, add_parameters, parameters_from_schema};
use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use schemars::JsonSchema;
use serde::de::{self, DeserializeOwned, Visitor};

use crate::Problem;
use muster_wire::fault::Fault;

/// A parsed query string. Unknown and repeated keys are refused whatever `T` says.
#[derive(Debug, Clone)]
pub struct StrictQuery<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for StrictQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parse_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// Parses a query string that stands somewhere else than behind a path, just as strictly.
pub fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    check_keys(query, declared_fields::<T>())?;
    let pairs = form_urlencoded::parse(query.as_bytes());
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs)).map_err(|error| {
        let fault = Fault::read(error.path(), &error.inner().to_string());
        // Numbers and enums are parsed from text here, so serde's "invalid digit" has no category of its own.
        refused().field(fault.place.join("."), fault.code)
    })
}

fn check_keys(query: &str, declared: Option<&'static [&'static str]>) -> Result<(), Problem> {
    let mut seen: Vec<String> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = decode(key).ok_or_else(|| refused().field("", "malformed"))?;
        decode(value).ok_or_else(|| refused().field("", "malformed"))?;
        if declared.is_some_and(|fields| !fields.contains(&key.as_str())) {
            return Err(refused().field("", "unknown_field"));
        }
        if seen.contains(&key) {
            // Only a declared name is told back.
            let place = if declared.is_some() { key } else { String::new() };
            return Err(refused().field(place, "duplicate_field"));
        }
        seen.push(key);
    }
    Ok(())
}

fn refused() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_query", "the query string does not hold")
}

/// Percent-decodes one key or value; `None` for a broken escape or bytes that are not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Asks `T`'s own `Deserialize` for the field names it declares; `None` when it is not a plain struct.
fn declared_fields<T: DeserializeOwned>() -> Option<&'static [&'static str]> {
    let mut fields = None;
    let _ = T::deserialize(FieldProbe(&mut fields));
    fields
}

struct FieldProbe<'a>(&'a mut Option<&'static [&'static str]>);

impl<'de> de::Deserializer<'de> for FieldProbe<'_> {
    type Error = de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = Some(fields);
        Err(de::Error::custom("probed"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("probed"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<T: JsonSchema> aide::OperationInput for StrictQuery<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = ctx.schema.subschema_for::<T>();
        let parameters = parameters_from_schema(ctx, schema, ParamLocation::Query);
        add_parameters(ctx, operation, parameters);
    }
}

#[cfg(test)]
mod tests;
