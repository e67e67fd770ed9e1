//! The OpenAPI document says what the extractors and replies do.

use aide::axum::ApiRouter;
use aide::axum::routing::post;
use aide::openapi::OpenApi;
use axum::Router;
use muster_http::{ClientAddress, Created, Problem, RawJson, StrictJson, StrictPath, StrictQuery};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A thing.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Thing {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct ById {
    #[allow(dead_code)]
    id: u32,
}

async fn create(
    _: ClientAddress,
    StrictPath(_): StrictPath<ById>,
    StrictQuery(_): StrictQuery<ById>,
    StrictJson(thing): StrictJson<Thing>,
) -> Result<Created<Thing>, Problem> {
    Ok(Created::new(thing))
}

async fn hash(raw: RawJson<Thing, 16>) -> Result<Created<Thing>, Problem> {
    raw.parse().map(Created::new)
}

#[test]
fn bodies_parameters_statuses_and_the_default_problem_are_documented() {
    let mut api = OpenApi::default();
    let router: Router =
        ApiRouter::new().api_route("/a/{id}", post(create)).api_route("/b", post(hash)).finish_api(&mut api);
    drop(router);
    let document = serde_json::to_value(&api).expect("document");
    for path in ["/paths/~1a~1{id}/post", "/paths/~1b/post"] {
        let operation = document.pointer(path).expect(path);
        let at =
            |pointer: &str| operation.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {operation}"));
        assert_eq!(at("/requestBody/content/application~1json/schema/$ref"), "#/components/schemas/Thing");
        assert_eq!(at("/requestBody/required"), true);
        assert_eq!(at("/responses/201/content/application~1json/schema/$ref"), "#/components/schemas/Thing");
        let problem = at("/responses/default/content/application~1problem+json/schema/$ref");
        assert_eq!(problem, "#/components/schemas/ProblemBody");
        let codes: Vec<_> = at("/responses").as_object().expect("responses").keys().collect();
        assert_eq!(codes, ["201", "default"]);
    }
}
