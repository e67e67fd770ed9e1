//! `/tickets/refusals`: the refusal a machine quotes, found by its request id.

use askama::Template;
use muster_wire::page::Page;
use muster_wire::refusal::RefusedRequest;

use crate::query::Query;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

#[derive(Template)]
#[template(path = "tickets_refusals.html")]
pub(crate) struct RefusalsPage {
    shell: Shell,
    request_id: String,
    found: Vec<RefusedRequest>,
    /// Why the search itself was refused.
    refusal: Option<String>,
}

/// `GET /tickets/refusals`
pub(crate) async fn get(visit: Visit) -> Answered {
    let request_id = visit.query.text("request_id").trim().to_owned();
    let mut page =
        RefusalsPage { shell: visit.shell("Why refused"), request_id, found: Vec::new(), refusal: None };
    if !page.request_id.is_empty() {
        let path = Query::default().with("request_id", &page.request_id).on("/v1/refusals");
        match visit.api.get::<Page<RefusedRequest>>(&path).await {
            Ok(found) => page.found = found.items,
            Err(refusal) if refusal.is_of_form() => page.refusal = Some(refusal.says()),
            Err(refusal) => return Err(refusal.into()),
        }
    }
    visit.page(&page)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples;

    fn page(found: Vec<RefusedRequest>) -> RefusalsPage {
        let shell = Shell::sample("Why refused", "/tickets/refusals");
        RefusalsPage { shell, request_id: samples::HOSTILE.to_owned(), found, refusal: None }
    }

    #[test]
    fn a_refusal_that_was_found() {
        let found = samples::of(json!([{
            "request_id": "req_01890a5dac96774bbcceb302099a8007", "ticket_id": super::super::tests::KEY,
            "cause": "expired", "at": samples::ago(200), "source": "198.51.100.7",
        }]));
        samples::check("tickets_refusals", &page(found));
    }

    #[test]
    fn one_that_is_not_known_says_why_that_may_be() {
        assert!(page(Vec::new()).render().unwrap().contains("only the latest"));
    }
}
