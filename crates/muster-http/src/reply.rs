//! A JSON reply with a fixed status, so that the OpenAPI document knows it.

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{self, MediaType, Operation, SchemaObject, StatusCode as DocumentedStatus};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::Problem;

/// Header fields of a usual reply, those of the edge included: there is room for all of them from the beginning.
const HEADERS: usize = 12;

/// A reply of `STATUS` with `T` as its JSON body.
#[derive(Debug)]
pub struct Reply<T, const STATUS: u16 = 200> {
    body: T,
    headers: HeaderMap,
}

/// A 201 reply.
pub type Created<T> = Reply<T, 201>;
/// A 202 reply.
pub type Accepted<T> = Reply<T, 202>;

impl<T, const STATUS: u16> Reply<T, STATUS> {
    /// Makes a reply of its body.
    pub fn new(body: T) -> Self {
        Self { body, headers: HeaderMap::with_capacity(HEADERS) }
    }

    /// Sets a header of the reply.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl<T> From<T> for Reply<T> {
    fn from(body: T) -> Self {
        Self::new(body)
    }
}

impl<T: Serialize, const STATUS: u16> IntoResponse for Reply<T, STATUS> {
    fn into_response(self) -> Response {
        let status = const {
            assert!(STATUS >= 200 && STATUS < 300, "a reply is a success; failures are problems");
            STATUS
        };
        let bytes = match serde_json::to_vec(&self.body) {
            Ok(bytes) => bytes,
            Err(error) => return Problem::internal(error).into_response(),
        };
        let mut response = Response::new(bytes.into());
        *response.status_mut() = StatusCode::from_u16(status).expect("a status between 200 and 299 is valid");
        *response.headers_mut() = self.headers;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

impl<T: JsonSchema, const STATUS: u16> OperationOutput for Reply<T, STATUS> {
    type Inner = T;

    fn operation_response(ctx: &mut GenContext, _: &mut Operation) -> Option<openapi::Response> {
        let json_schema = ctx.schema.subschema_for::<T>();
        let described = ctx.resolve_schema(&json_schema).get("description");
        let description = described.and_then(|text| text.as_str()).unwrap_or_default().to_owned();
        let media = MediaType {
            schema: Some(SchemaObject { json_schema, example: None, external_docs: None }),
            ..MediaType::default()
        };
        Some(openapi::Response {
            description,
            content: [("application/json".to_owned(), media)].into_iter().collect(),
            ..openapi::Response::default()
        })
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<DocumentedStatus>, openapi::Response)> {
        let status = Some(DocumentedStatus::Code(STATUS));
        Self::operation_response(ctx, operation).map(|response| vec![(status, response)]).unwrap_or_default()
    }
}
