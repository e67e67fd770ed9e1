//! `/hosts/views`: filters of the list under a name of one's own.

use form_urlencoded::byte_serialize;
use http::HeaderMap;
use muster_wire::saved_view::SavedView;
use serde_json::json;

use super::{FILTERS, seen};
use crate::form::Form;
use crate::query::Query;
use crate::respond::{is_own_path, see_other};
use crate::visit::{Answered, Visit};

/// `POST /hosts/views`
pub(crate) async fn set(visit: Visit, form: Form) -> Answered {
    let query = Query::parse(form.raw("query"));
    let asked = of_api(&query, visit.now);
    let path = format!("/v1/me/views/{}", segment(form.raw("name").trim()));
    match visit.api.put::<SavedView>(&path, &json!({ "query": asked })).await {
        Ok(_) => Ok(back(&query, "view")),
        Err(refusal) if refusal.is_of_form() => {
            let field = refusal.of_field("/query").or_else(|| refusal.of_field("/name"));
            super::show(&visit, &query, Some(field.unwrap_or_else(|| refusal.says()))).await
        }
        Err(refusal) => Err(visit.refused(refusal)),
    }
}

/// `POST /hosts/views/remove`
pub(crate) async fn remove(visit: Visit, form: Form) -> Answered {
    let query = Query::parse(form.raw("query"));
    let path = format!("/v1/me/views/{}/remove", segment(form.raw("name")));
    match visit.api.post::<SavedView>(&path, &()).await {
        Ok(_) => Ok(back(&query, "view_removed")),
        // Another tab removed it before.
        Err(refusal) if refusal.status == http::StatusCode::NOT_FOUND => Ok(back(&query, "view_removed")),
        Err(refusal) => Err(visit.refused(refusal)),
    }
}

/// Returns the filters alone, as the API takes them: a view is a query of its list.
pub(crate) fn of_api(query: &Query, now: muster_ids::Timestamp) -> String {
    let filters = seen::resolved(query, now).only(FILTERS).without("cursor").without("limit").on("");
    filters.trim_start_matches('?').to_owned()
}

fn back(query: &Query, done: &str) -> axum::response::Response {
    let path = query.with("done", done).on("/hosts");
    let path = if is_own_path(&path) { path } else { "/hosts".to_owned() };
    see_other(&path, &HeaderMap::new())
}

/// Spells a name as a part of a path.
fn segment(name: &str) -> String {
    byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::NOW;

    #[test]
    fn a_view_is_the_filters_and_no_page_of_the_list() {
        let query = Query::parse("q=a b&columns=site&cursor=x&limit=9&done=view&state=active");
        assert_eq!(of_api(&query, NOW), "q=a+b&state=active");
    }

    #[test]
    fn a_name_is_one_part_of_a_path() {
        assert_eq!(segment("a/b c+d?"), "a%2Fb%20c%2Bd%3F");
    }
}
