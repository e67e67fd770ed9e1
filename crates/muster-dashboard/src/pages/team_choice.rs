//! `POST /team-choice`: the team an admin looks at from now on, in a cookie of this browser.

use axum::extract::{FromRequest, Request};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use muster_ids::TeamId;

use crate::form::Form;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::team_choice;
use crate::visit::{Answered, Visit};

/// `POST /team-choice`
pub(crate) async fn set(visit: Visit, request: Request) -> Answered {
    let (parts, body) = request.into_parts();
    let form = match Form::from_request(Request::from_parts(parts.clone(), body), &()).await {
        Ok(form) => form,
        Err(response) => return Ok(response),
    };
    let not_found = || Refusal::of(StatusCode::NOT_FOUND);
    let team_id: TeamId = form.raw("team_id").parse().map_err(|_| not_found())?;
    if !visit.may_look_at(team_id).await? {
        return Err(not_found().into());
    }
    let mut cookies = HeaderMap::new();
    cookies.extend(team_choice::cookie(&parts, Some(team_id)).map(|cookie| (SET_COOKIE, cookie)));
    Ok(see_other("/", &cookies))
}
