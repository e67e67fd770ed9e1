//! The routes, as the OpenAPI document lists them.

use muster_server::router::openapi_document;
use serde_json::Value;

/// One operation.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) method: String,
    pub(crate) path: String,
    /// The word of the permission it needs, `agent`, or nothing for public ones.
    pub(crate) permission: Option<String>,
    pub(crate) has_body: bool,
    /// The names of its path parameters.
    pub(crate) parameters: Vec<String>,
    /// Names of query parameters that take an id.
    pub(crate) id_queries: Vec<String>,
}

impl Route {
    pub(crate) fn changes_state(&self) -> bool {
        self.method != "GET"
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// Every operation, in the order of the document.
pub(crate) fn routes() -> Vec<Route> {
    let document = openapi_document();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            routes.push(route(path, method, operation));
        }
    }
    assert!(routes.len() > 90, "the document holds only {} operations", routes.len());
    routes
}

fn route(path: &str, method: &str, operation: &Value) -> Route {
    let queries = operation["parameters"].as_array().into_iter().flatten();
    let id_queries = queries
        .filter(|parameter| parameter["in"] == "query")
        .filter_map(|parameter| parameter["name"].as_str())
        .filter(|name| name.ends_with("_id") && *name != "request_id");
    Route {
        method: method.to_uppercase(),
        path: path.to_owned(),
        permission: operation["x-muster-permission"].as_str().map(str::to_owned),
        has_body: operation["requestBody"].is_object(),
        parameters: path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(str::to_owned)
            .collect(),
        id_queries: id_queries.map(str::to_owned).collect(),
    }
}
