//! `/v1/audit/verify`: whether the chain holds, a bounded part at a time.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictQuery};
use muster_wire::audit::{AuditAnchor, AuditVerification};
use muster_wire::bounds::Whole;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::app::App;
use crate::auth::{Actor, permits};
use crate::trail::verify::{Asked, ROWS, verify as verify_rows};

/// The query of a verification.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct VerifyQuery {
    /// Begin after this position: `through` of the part before.
    pub after: Option<Whole<0, 999_999_999_999_999>>,
    /// At most so many rows.
    pub limit: Option<Whole<1, 1000>>,
    /// Also says whether a head that was kept elsewhere is still part of the chain.
    pub anchor: Option<AuditAnchor>,
}

/// `GET /v1/audit/verify`
pub async fn verify(
    State(app): State<App>,
    _: Actor<permits::ManageAudit>,
    StrictQuery(query): StrictQuery<VerifyQuery>,
) -> Result<Reply<AuditVerification>, Problem> {
    let number = |whole: u64| i64::try_from(whole).unwrap_or(i64::MAX);
    let asked = Asked {
        after: query.after.map_or(0, |after| number(after.get())),
        limit: query.limit.map_or(ROWS, |limit| number(limit.get())),
        anchor: query.anchor,
        // Before the snapshot: what is sealed meanwhile is no cut.
        remembered: app.trail.head(),
    };
    let keyring = app.keyring.clone();
    Ok(Reply::new(app.look(move |tx| verify_rows(tx, &keyring, asked)).await?))
}
