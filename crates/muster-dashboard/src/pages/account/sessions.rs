//! `POST /account/sessions/…`: signing out elsewhere.

use axum::extract::Path;
use http::{HeaderMap, StatusCode};
use muster_ids::WebSessionId;
use muster_wire::sign_in::Done;
use serde_json::json;

use crate::form::Form;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::visit::{Answered, Visit};

/// `POST /account/sessions/{web_session_id}/end`
///
/// One that ended in the meantime is as it shall be.
pub(crate) async fn end(visit: Visit, Path(session_id): Path<String>, _: Form) -> Answered {
    let id: Result<WebSessionId, _> = session_id.parse();
    let id = id.map_err(|_| visit.refused(Refusal::of(StatusCode::NOT_FOUND)))?;
    let ended = visit.api.post::<Done>(&format!("/v1/me/sessions/{id}/end"), &json!({})).await;
    match ended {
        Ok(_) => Ok(see_other("/account?done=session", &HeaderMap::new())),
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => {
            Ok(see_other("/account", &HeaderMap::new()))
        }
        Err(refusal) => Err(visit.refused(refusal)),
    }
}

/// `POST /account/sessions/end-others`
pub(crate) async fn end_others(visit: Visit, _: Form) -> Answered {
    let ended = visit.api.post::<Done>("/v1/me/sessions/end-others", &json!({})).await;
    ended.map_err(|refusal| visit.refused(refusal))?;
    Ok(see_other("/account?done=sessions", &HeaderMap::new()))
}
