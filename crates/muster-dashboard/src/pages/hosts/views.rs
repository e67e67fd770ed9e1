//! `/hosts/views`: filters of the list under a name of one's own.

use http::HeaderMap;
use muster_wire::saved_view::SavedView;
use serde_json::json;

use super::{FILTERS, seen};
use crate::api::segment;
use crate::form::Form;
use crate::query::Query;
use crate::respond::see_other;
use crate::visit::{Answered, Visit};

/// `POST /hosts/views`
pub(crate) async fn set(visit: Visit, form: Form) -> Answered {
    let query = Query::parse(form.raw("query"));
    let asked = of_api(&query);
    let Some(name) = form.text("name") else {
        return super::show(&visit, &query, Some("Give the view a name.".to_owned())).await;
    };
    let path = format!("/v1/me/views/{}", segment(&name));
    match visit.api.put::<SavedView>(&path, &json!({ "query": asked })).await {
        Ok(_) => Ok(back(&query, "view")),
        Err(refusal) if refusal.is_of_form() => {
            let field = refusal.of_field("/query").or_else(|| refusal.of_field("/name"));
            super::show(&visit, &query, Some(field.unwrap_or_else(|| refusal.says()))).await
        }
        Err(refusal) => Err(refusal.into()),
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
        Err(refusal) => Err(refusal.into()),
    }
}

/// Returns the filters alone, as the API takes them: a view is a query of its list.
pub(crate) fn of_api(query: &Query) -> String {
    let filters = seen::resolved(query).only(FILTERS).without("cursor").without("limit").on("");
    filters.trim_start_matches('?').to_owned()
}

fn back(query: &Query, done: &str) -> axum::response::Response {
    see_other(&query.with("done", done).on("/hosts"), &HeaderMap::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_the_filters_and_no_page_of_the_list() {
        let query = Query::parse("q=a b&columns=site&cursor=x&limit=9&done=view&state=active");
        assert_eq!(of_api(&query), "q=a+b&state=active");
    }
}
