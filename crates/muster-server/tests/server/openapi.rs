//! The OpenAPI document is what the handlers say, and every route says who may call it.

use std::fs;
use std::path::PathBuf;

use muster_server::router::{PUBLIC, openapi_document, openapi_json};

fn checked_in() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json")
}

#[test]
fn the_checked_in_document_is_what_the_handlers_say() {
    if std::env::var_os("MUSTER_WRITE_OPENAPI").is_some() {
        fs::write(checked_in(), openapi_json()).unwrap();
    }
    let stored = fs::read_to_string(checked_in()).unwrap();
    assert!(
        stored == openapi_json(),
        "docs/openapi.json differs from the handlers: run `make openapi` and look at the difference"
    );
}

#[test]
fn every_route_names_a_permission_or_is_listed_as_public() {
    let document = openapi_document();
    let mut seen = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            seen += 1;
            let permission = operation["x-muster-permission"].as_str();
            let is_public = PUBLIC.iter().any(|(public, _)| public == path);
            assert!(
                permission.is_some() != is_public,
                "{method} {path}: permission {permission:?}, public {is_public}"
            );
            let has_security = operation["security"].as_array().is_some_and(|list| !list.is_empty());
            assert_eq!(has_security, permission.is_some(), "{method} {path}: security scheme");
        }
    }
    assert!(seen > 30, "the document holds only {seen} operations");
}

#[test]
fn every_operation_has_a_summary_and_the_default_problem() {
    let document = openapi_document();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let problem = &operation["responses"]["default"]["content"]["application/problem+json"];
            assert!(problem.is_object(), "{method} {path} does not document its problems");
            let words = operation["summary"].as_str().unwrap_or_default();
            assert!(!words.is_empty(), "{method} {path} says nothing about itself");
        }
    }
}
