//! Strict JSON bodies: one media type, bounded bytes, time and depth, an object at the top, errors by field.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, RequestBody, SchemaObject};
use aide::operation::set_body;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use muster_wire::fault::Fault;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{ConnectInfo, Problem};

/// Largest body of a route that says nothing else, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;
/// How long a body may take to arrive when the accept loop says nothing else.
pub const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Deepest nesting of a body.
pub const MAX_DEPTH: usize = 32;

/// Reads a JSON body of at most `limit` bytes, within the time the connection allows. Judges headers before bytes.
pub async fn read_json_bytes(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let within = request.extensions().get::<ConnectInfo>().map_or(BODY_WITHIN, |info| info.body_within);
    read_json_bytes_within(request, limit, within).await
}

/// Reads a JSON body of at most `limit` bytes that arrives `within` a time (else 408).
pub async fn read_json_bytes_within(
    request: Request,
    limit: usize,
    within: Duration,
) -> Result<Bytes, Problem> {
    check_media_type(request.headers())?;
    let announced = announced_length(request.headers());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE));
    }
    match tokio::time::timeout(within, collect(request.into_body(), limit)).await {
        Ok(result) => result,
        Err(_) => Err(Problem::of_status(StatusCode::REQUEST_TIMEOUT)),
    }
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| malformed("the request body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            return Err(Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE));
        }
        // Nearly every body is one frame; it is handed on without a copy.
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let is_json = types.next().is_some_and(|value| value.to_str().is_ok_and(is_utf8_json));
    if !is_json || types.next().is_some() || headers.contains_key(CONTENT_ENCODING) {
        return Err(Problem::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    Ok(())
}

fn is_utf8_json(value: &str) -> bool {
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
    is_json
        && parts.all(|parameter| {
            parameter.split_once('=').is_some_and(|(name, value)| {
                name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
            })
        })
}

/// Parses a body into `T`: 400 `malformed_json` for what is not JSON, 422 `validation` for what is not a `T`.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("the request body is not UTF-8"))?;
    if text.starts_with('\u{feff}') {
        return Err(malformed("the request body starts with a byte order mark"));
    }
    check_depth(bytes)?;
    // serde takes an array for a struct; here the top level is an object or it is refused.
    if !text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
        return Err(if is_json(text) { Problem::validation().field("", "wrong_type") } else { not_json() });
    }
    // Nearly every body is what it should be; only one that is not is read again, for the place where it is not.
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        // serde_json calls an enum that is neither text nor object a fault of syntax; the text itself tells.
        let is_enum_of_wrong_type = error.inner().to_string().starts_with("expected value") && is_json(text);
        if !error.inner().is_data() && !is_enum_of_wrong_type {
            return not_json();
        }
        let fault = Fault::of_json(&error);
        Problem::validation().field(fault.pointer(), fault.code)
    })?;
    deserializer.end().map_err(|_| not_json())?;
    Ok(value)
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn not_json() -> Problem {
    malformed("the request body is not valid JSON")
}

fn malformed(detail: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed_json", detail)
}

/// Refuses nesting beyond [`MAX_DEPTH`] before any parser recurses; brackets inside strings do not count.
fn check_depth(bytes: &[u8]) -> Result<(), Problem> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(malformed("the request body is nested too deep"));
        }
    }
    Ok(())
}

/// A JSON body as its bytes, for a hash over exactly what was sent, and as `T` once it is parsed.
#[derive(Clone)]
pub struct RawJson<T, const LIMIT: usize = BODY_LIMIT> {
    bytes: Bytes,
    parsed: PhantomData<fn() -> T>,
}

/// A body may carry a credential; only its length is shown.
impl<T, const LIMIT: usize> fmt::Debug for RawJson<T, LIMIT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawJson").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl<T, const LIMIT: usize> RawJson<T, LIMIT> {
    /// Returns the body as it was sent.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Parses the body; see [`parse_json`].
    pub fn parse(&self) -> Result<T, Problem>
    where
        T: DeserializeOwned,
    {
        parse_json(&self.bytes)
    }
}

impl<T, S: Sync, const LIMIT: usize> FromRequest<S> for RawJson<T, LIMIT> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = read_json_bytes(request, LIMIT).await?;
        Ok(Self { bytes, parsed: PhantomData })
    }
}

/// A parsed JSON body of at most `LIMIT` bytes.
#[derive(Debug, Clone)]
pub struct StrictJson<T, const LIMIT: usize = BODY_LIMIT>(pub T);

impl<T: DeserializeOwned, S: Sync, const LIMIT: usize> FromRequest<S> for StrictJson<T, LIMIT> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = read_json_bytes(request, LIMIT).await?;
        parse_json(&bytes).map(Self)
    }
}

impl<T: JsonSchema, const LIMIT: usize> aide::OperationInput for RawJson<T, LIMIT> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        document_body::<T>(ctx, operation);
    }
}

impl<T: JsonSchema, const LIMIT: usize> aide::OperationInput for StrictJson<T, LIMIT> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        document_body::<T>(ctx, operation);
    }
}

fn document_body<T: JsonSchema>(ctx: &mut GenContext, operation: &mut Operation) {
    let json_schema = ctx.schema.subschema_for::<T>();
    let described = ctx.resolve_schema(&json_schema).get("description");
    let description = described.and_then(|text| text.as_str()).map(String::from);
    let media = MediaType {
        schema: Some(SchemaObject { json_schema, example: None, external_docs: None }),
        ..MediaType::default()
    };
    let content = [("application/json".to_owned(), media)].into_iter().collect();
    set_body(ctx, operation, RequestBody { description, content, required: true, ..RequestBody::default() });
}

#[cfg(test)]
mod tests;
