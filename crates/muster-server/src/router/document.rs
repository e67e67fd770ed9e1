//! The OpenAPI 3.1 document, generated from the handlers, and the page made of it.

use std::fmt::Write;

use aide::openapi::{
    HeaderStyle, Info, OpenApi, Parameter, ParameterData, ParameterSchemaOrContent, ReferenceOr, SchemaObject,
};
use muster_http::ListenerKind;
use schemars::Schema;
use serde_json::{Value, json};

use super::routes;
use crate::api::meta::Documentation;
use crate::auth::web_session::cookie_name;

/// Returns the OpenAPI document of every route.
pub fn openapi_document() -> Value {
    aide::generate::on_error(|error| tracing::debug!(%error, "openapi generation"));
    aide::generate::extract_schemas(true);
    let mut api = OpenApi {
        info: Info {
            title: "Muster".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: Some(
                "Turns a machine nobody knows yet into a host you can trust, reach and revoke.".to_owned(),
            ),
            ..Info::default()
        },
        ..OpenApi::default()
    };
    let _ = routes().finish_api(&mut api);
    let mut document = serde_json::to_value(&api).expect("the document is plain data");
    document["components"]["securitySchemes"] = json!({
        "operator_token": { "type": "http", "scheme": "bearer", "description": "`mso_…`, an operator's API token." },
        "web_session": { "type": "apiKey", "in": "cookie", "name": cookie_name(ListenerKind::Machines),
                         "description": format!(
                             "`msw_…`, the session of a signed-in browser; `{}` on the operators' loopback listener. \
                              State-changing requests must come from the same origin.",
                             cookie_name(ListenerKind::Operators)
                         ) },
        "ticket": { "type": "http", "scheme": "bearer", "description": "`mse_…`, `msr_…` or `mss_…`, a ticket." },
        "agent_key": { "type": "http", "scheme": "bearer", "description": "`msa_…`, an agent key." },
        "dpop": { "type": "apiKey", "in": "header", "name": "DPoP",
                  "description": "Proof of possession (RFC 9449, ES256) with `bd`, the SHA-256 of the body." },
    });
    document
}

/// Returns the OpenAPI document as it is served and checked in.
pub fn openapi_json() -> String {
    let mut text = serde_json::to_string_pretty(&openapi_document()).expect("the document is plain data");
    text.push('\n');
    text
}

/// Renders the document and its page once.
pub(super) fn render() -> Documentation {
    let document = openapi_document();
    Documentation { json: openapi_json().into(), html: page(&document).into() }
}

/// Describes a header that a request may have.
pub(crate) fn header_parameter(name: &str, says: &str, json_schema: Schema) -> ReferenceOr<Parameter> {
    let schema = SchemaObject { json_schema, external_docs: None, example: None };
    ReferenceOr::Item(Parameter::Header {
        parameter_data: ParameterData {
            name: name.to_owned(),
            description: Some(says.to_owned()),
            required: false,
            deprecated: None,
            format: ParameterSchemaOrContent::Schema(schema),
            example: None,
            examples: Default::default(),
            explode: None,
            extensions: Default::default(),
        },
        style: HeaderStyle::Simple,
    })
}

fn page(document: &Value) -> String {
    let mut rows = String::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let summary =
                operation["summary"].as_str().or(operation["description"].as_str()).unwrap_or_default();
            let permission = operation["x-muster-permission"].as_str().unwrap_or("public");
            let _ = write!(
                rows,
                "<tr><td><code>{}</code></td><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
                escape(&method.to_uppercase()),
                escape(path),
                escape(summary),
                escape(permission)
            );
        }
    }
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Muster API</title>\
         <style>:root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;\
         max-width:70rem;padding:0 1rem}}div{{overflow-x:auto}}table{{border-collapse:collapse;width:100%}}\
         td,th{{text-align:left;padding:.4rem .8rem;border-bottom:1px solid #8884;vertical-align:top}}\
         code{{font:14px ui-monospace,monospace}}</style><h1>Muster API</h1>\
         <p>The full description is <a href=\"/v1/openapi.json\">/v1/openapi.json</a> (OpenAPI 3.1). Errors are \
         <code>application/problem+json</code> (RFC 9457) with a stable <code>code</code>. An admin names the team \
         to act in with the header <code>Muster-Team</code>.</p><div><table><tr><th>Method<th>Path<th>What it does\
         <th>Needs</tr>{rows}</table></div></html>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
