//! `/v1/site-keys`: door 3, any machine of a site.

use std::time::Duration;

use axum::extract::State;
use muster_domain::ticket::{NotRotatable, Rotation};
use muster_http::{Created, Problem, StrictPath};
use muster_ids::{SiteId, TeamId, TicketId};
use muster_store::rows::TicketRow;
use muster_store::{Lock, LockKey, StoreError};
use muster_wire::bounds::Whole;
use muster_wire::happening::Happening;
use muster_wire::ticket::{CreateSiteKey, MintedTicket, RotateSiteKey, TicketKind};
use serde_json::json;

use super::enrolment_tokens::site_or_default;
use super::tickets::TicketPath;
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::effects::Ended;
use crate::enrol::mint::{Minting, mint, minted};
use crate::failure::Failure;
use crate::idempotency::Once;
use crate::unit::{Author, Fact, Unit};

/// How long a rotated key still admits when nobody says otherwise.
const OVERLAP: Duration = Duration::from_secs(7 * 24 * 3600);
const ROTATED: Failure =
    Failure::conflict("already_rotated", "another key took the place of this one; rotate that one");
const REVOKED: Failure =
    Failure::conflict("ticket_revoked", "a revoked key has no successor; mint a new one");

/// `POST /v1/site-keys`
pub async fn create(
    State(app): State<App>,
    actor: Actor<permits::ManageSiteKeys>,
    body: Once<CreateSiteKey>,
) -> Result<Created<MintedTicket>, Problem> {
    let now = app.clock.now();
    let (request, asked) = body.into_parts();
    let inner = app.clone();
    let ticket = asked
        .change_as(&app, actor, now, move |unit, actor| {
            let site_id = site_or_default(unit, actor.team_id, Some(request.site_id))?;
            let ticket = mint(unit, &inner, &actor.author(), minting(actor.team_id, site_id, &request))?;
            minted(unit, &inner, actor.team_id, ticket)
        })
        .await?;
    Ok(Created::new(ticket))
}

/// Describes the ticket that is asked for.
pub(super) fn minting(team_id: TeamId, site_id: SiteId, request: &CreateSiteKey) -> Minting {
    Minting {
        kind: TicketKind::SiteKey,
        team_id,
        site_id,
        host_id: None,
        rejoin: false,
        require_key: request.require_key,
        host_name: None,
        tags: Vec::new(),
        ephemeral_hours: request.ephemeral_hours.map(Whole::get),
        lives_for: request.expires_in_secs.map(|secs| Duration::from_secs(secs.get())),
        max_uses: request.max_uses.map(Whole::get),
    }
}

/// `POST /v1/site-keys/{ticket_id}/rotate`
pub async fn rotate(
    State(app): State<App>,
    actor: Actor<permits::ManageSiteKeys>,
    StrictPath(path): StrictPath<TicketPath>,
    body: Once<RotateSiteKey>,
) -> Result<Created<MintedTicket>, Problem> {
    let now = app.clock.now();
    let (request, asked) = body.into_parts();
    let inner = app.clone();
    let ticket = asked
        .change_as(&app, actor, now, move |unit, actor| {
            let next = take_place(unit, &inner, actor.team_id, &path.ticket_id, &request, &actor.author())?;
            minted(unit, &inner, actor.team_id, next)
        })
        .await?;
    Ok(Created::new(ticket))
}

/// Mints the key that takes the place of another one, which still admits until the overlap is over.
fn take_place(
    unit: &mut Unit<'_, '_>,
    app: &App,
    team_id: TeamId,
    former_id: &TicketId,
    request: &RotateSiteKey,
    author: &Author,
) -> Result<(TicketId, muster_ids::Bearer), Failure> {
    unit.tx.lock(&[Lock::exclusive(LockKey::Ticket(*former_id))])?;
    let former = unit.tx.ticket_shown(team_id, former_id)?.map(|shown| shown.row);
    let former = former.filter(|row| row.ticket.kind == TicketKind::SiteKey).ok_or(Failure::NotFound)?;
    former.ticket.may_rotate().map_err(|why| match why {
        NotRotatable::Revoked => REVOKED,
        NotRotatable::Rotated => ROTATED,
    })?;
    let next = mint(unit, app, author, successor(&former, request))?;
    let overlap = request.overlap_secs.map_or(OVERLAP, |secs| Duration::from_secs(secs.get()));
    let rotation = Rotation { to: next.0, at: unit.now, ends_at: unit.now.plus(overlap) };
    if !unit.tx.ticket_rotate(team_id, former_id, &rotation)? {
        return Err(StoreError::Conflict.into());
    }
    unit.end(team_id, Ended::Ticket(*former_id), "rotated")?;
    let details = json!({
        "to": rotation.to,
        "both_admit_until": rotation.ends_at,
        "site_id": former.ticket.site_id,
    });
    unit.happened(Fact::new(Happening::TicketRotated, team_id, author, former_id).details(details));
    Ok(next)
}

/// Describes the next key: what is not said is as it was.
fn successor(former: &TicketRow, request: &RotateSiteKey) -> Minting {
    let ticket = &former.ticket;
    let lived_for = ticket.expires_at.map(|expires_at| expires_at.since(former.created_at));
    Minting {
        kind: TicketKind::SiteKey,
        team_id: ticket.team_id,
        site_id: ticket.site_id,
        host_id: None,
        rejoin: false,
        require_key: ticket.require_key,
        host_name: None,
        tags: Vec::new(),
        ephemeral_hours: former.ephemeral_hours,
        lives_for: request.expires_in_secs.map(|secs| Duration::from_secs(secs.get())).or(lived_for),
        max_uses: request.max_uses.map(Whole::get).or(ticket.max_uses),
    }
}
