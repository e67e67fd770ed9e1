//! Somebody with the link of an invitation.

use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;
use muster_domain::membership::invitation_status;
use muster_http::Problem;
use muster_ids::{BearerKind, InvitationId, Timestamp};
use muster_store::rows::InvitationRow;
use muster_wire::invitation::InvitationStatus;

use super::actor::bearer;
use super::failed::failed;
use super::visitor::Visitor;
use crate::app::App;
use crate::failed_attempts::AttemptKind;
use crate::idempotency::key;
use crate::problems::invitation_rejected;

/// Proof that a request holds the secret of an invitation that is open, or the answer to whose acceptance is asked for
/// again.
#[derive(Debug)]
pub struct Invited {
    /// The invitation.
    pub invitation: InvitationRow,
    /// Whose browser it is.
    pub visitor: Visitor,
}

impl Invited {
    /// Names an invitation among those whose replies are kept.
    pub fn principal(id: &InvitationId) -> String {
        format!("invitation {id}")
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Invited
where
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        let visitor = Visitor::from_request_parts(parts, state).await?;
        let key = key(&parts.headers)?;
        let bearer = bearer(&parts.headers);
        let presented = bearer.as_ref().map(|bearer| bearer.id);
        let refuse = || {
            failed(&app, AttemptKind::Invitation, visitor.source.bucket(), presented, invitation_rejected())
        };
        let Some(bearer) = bearer.filter(|bearer| bearer.kind == BearerKind::Invitation) else {
            return Err(refuse());
        };
        let id = InvitationId::new(bearer.id);
        let place = app.budgets.door.take().await?;
        let (found, was_answered) = app
            .look(move |tx| {
                let found = tx.invitation_shown(&id)?;
                // Looked for in any case: an invitation that is not there costs the same.
                let principal = Self::principal(&id);
                let reply = tx.idempotent_reply(&principal, key.as_deref().unwrap_or_default())?;
                Ok((found, reply.is_some()))
            })
            .await?;
        drop(place);
        let proved = app.keyring.verify(&bearer, found.as_ref().map(|row| row.verifier.as_slice()));
        let now = app.clock.now();
        let holds = |row: &InvitationRow| proved && (is_open(row, now) || was_answered);
        let invitation = found.filter(holds).ok_or_else(refuse)?;
        Ok(Self { invitation, visitor })
    }
}

impl aide::OperationInput for Invited {}

/// Whether an invitation can be accepted.
fn is_open(row: &InvitationRow, now: Timestamp) -> bool {
    invitation_status(row.accepted_at, row.revoked_at, row.expires_at, now) == InvitationStatus::Open
}
