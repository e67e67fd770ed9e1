//! The OpenAPI document holds: schemathesis asks the running server and finds no 5xx, nothing the document does not
//! describe, no route that lets anybody in who shows nothing.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::harness::{Backend, Installation, both, is_soak};

const SCHEMATHESIS: &[&str] = &["schemathesis==4.32.5"];
/// A stream ends when its reader goes: it has tests of its own.
const STREAMS: &[&str] = &["/v1/events/stream", "/v1/agent/connect"];
/// What would end the credential of the run, or the person it acts as; asked last, one after the other.
const ENDS_ITSELF: &str = "^/v1/(me/tokens/\\{|tokens/\\{|people/\\{|me/password)";

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,negative_data_rejection,\
                      unsupported_method,ignored_auth";
/// Refusals of requests that hold to no schema; a body may be too large as well.
const CONFIGURATION: &str = "[checks.negative_data_rejection]\n\
                             expected-statuses = [400, 401, 403, 404, 405, 409, 413, 415, 422, 428, 429]\n";

/// How many cases a route gets, and the number they are drawn from, which a failure prints.
fn effort() -> (u32, u32) {
    let seed = std::env::var("MUSTER_SEED").ok().and_then(|seed| seed.parse().ok());
    (if is_soak() { 200 } else { 12 }, seed.unwrap_or(20_261_122))
}

fn schemathesis(installation: &Installation, selection: &[&str]) {
    let folder = installation.server.folder();
    let (configuration, report) = (folder.join("schemathesis.toml"), folder.join("schemathesis.log"));
    fs::write(&configuration, CONFIGURATION).unwrap();
    let document: PathBuf = folder.join("openapi.json");
    let (cases, seed) = effort();
    let url = installation.server.operators_url();
    let mut command = muster_testkit::python::venv(SCHEMATHESIS).command("st");
    command.current_dir(folder).arg("--config-file").arg(&configuration).arg("run").arg(&document);
    command.args(["--url", url.as_str().trim_end_matches('/'), "--checks", CHECKS, "--no-color"]);
    command.args(["--header", &format!("Authorization: Bearer {}", installation.admin.token)]);
    command.args(["--max-examples", &cases.to_string(), "--seed", &seed.to_string()]);
    command.args([
        "--phases",
        "examples,coverage,fuzzing",
        "--request-timeout",
        "20",
        "--max-failures",
        "20",
    ]);
    command.args(selection);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).chars().take(60_000).collect::<String>();
    fs::write(&report, &said).unwrap();
    // A body that is too large is repeated in the report whole: the lines are cut.
    let short: Vec<String> = said.lines().map(|line| line.chars().take(400).collect()).collect();
    assert!(output.status.success(), "seed {seed}:\n{}", short.join("\n"));
}

both! {
    async fn schemathesis_finds_nothing_the_document_does_not_say(backend: Backend) {
        let installation = Installation::start(backend).await;
        let machine = installation.machine("lathe");
        let token = installation.token_with(json!({ "tags": ["floor"] })).await;
        machine.admitted(&token.token).await;
        let document = muster_server::router::openapi_json();
        fs::write(installation.server.folder().join("openapi.json"), document).unwrap();
        let mut most = vec!["--exclude-path-regex", ENDS_ITSELF];
        for stream in STREAMS {
            most.extend(["--exclude-path", stream]);
        }
        tokio::task::block_in_place(|| {
            schemathesis(&installation, &most);
            schemathesis(&installation, &["--include-path-regex", ENDS_ITSELF]);
        });
        let said = installation.server.said();
        assert!(!said.contains("panicked"), "{said}");
    }
}
