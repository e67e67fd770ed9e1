//! `POST /team-choice`: the team an admin looks at from now on, in a cookie of this browser.

use axum::extract::FromRequest;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::SET_COOKIE;

use crate::form::Form;
use crate::refusal::Refusal;
use crate::respond::{render_bare, see_other};
use crate::team_choice;
use crate::visit::Visit;

/// `POST /team-choice`
pub(crate) async fn set(visit: Visit, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let form = axum::extract::Request::from_parts(parts.clone(), body);
    let form = match Form::from_request(form, &()).await {
        Ok(form) => form,
        Err(response) => return response.into_response(),
    };
    let wanted = form.raw("team_id");
    let Some(team) = visit.teams.iter().find(|team| team.id.to_string() == wanted) else {
        return render_bare(&Refusal::of(http::StatusCode::NOT_FOUND));
    };
    let mut cookies = HeaderMap::new();
    cookies.extend(team_choice::cookie(&parts, Some(team.id)).map(|cookie| (SET_COOKIE, cookie)));
    see_other("/", &cookies)
}
