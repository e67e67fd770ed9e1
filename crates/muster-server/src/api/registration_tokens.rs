//! `/v1/hosts/{host_id}/registration-token`: door 2, one host that an operator made.

use std::time::Duration;

use axum::extract::State;
use muster_http::{Created, Problem, StrictPath};
use muster_ids::TeamId;
use muster_store::rows::HostRow;
use muster_wire::bounds::Whole;
use muster_wire::host::HostState;
use muster_wire::ticket::{CreateRegistrationToken, MintedTicket, TicketKind};

use super::hosts::HostPath;
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::enrol::mint::{Minting, ONE_TIME_LIFE, mint, minted, revoke_unused};
use crate::enrol::{keys, retire};
use crate::failure::Failure;
use crate::idempotency::Once;
use crate::unit::{Author, Unit};

/// `POST /v1/hosts/{host_id}/registration-token`
pub async fn create(
    State(app): State<App>,
    actor: Actor<permits::ManageHosts>,
    StrictPath(path): StrictPath<HostPath>,
    body: Once<CreateRegistrationToken>,
) -> Result<Created<MintedTicket>, Problem> {
    let now = app.clock.now();
    let (request, asked) = body.into_parts();
    let inner = app.clone();
    let ticket = asked
        .change_as(&app, actor, now, move |unit, actor| {
            let host = retire::locked(unit, actor.team_id, path.host_id)?;
            keys::may_reach_secrets(unit, actor, path.host_id)?;
            reissue(unit, &inner, actor.team_id, &actor.author(), &host, &request)
        })
        .await?;
    Ok(Created::new(ticket))
}

fn reissue(
    unit: &mut Unit<'_, '_>,
    app: &App,
    team_id: TeamId,
    author: &Author,
    host: &HostRow,
    request: &CreateRegistrationToken,
) -> Result<MintedTicket, Failure> {
    may_be_issued(host, request)?;
    let mut required_before = false;
    for older in unit.tx.tickets_of_host(team_id, host.id)? {
        required_before |= unit.tx.ticket_by_id(&older)?.is_some_and(|row| row.ticket.require_key);
        revoke_unused(unit, team_id, &older, author)?;
    }
    let ticket = mint(unit, app, author, for_host(host, request, required_before))?;
    minted(unit, app, team_id, ticket)
}

/// Judges whether a host may get such a ticket from where it stands.
pub(super) fn may_be_issued(host: &HostRow, request: &CreateRegistrationToken) -> Result<(), Failure> {
    match (host.state, request.rejoin) {
        (HostState::Invited, false) | (HostState::Active, true) => Ok(()),
        (HostState::Invited, true) => {
            Err(Failure::conflict("host_not_active", "only an active host can rejoin"))
        }
        (HostState::Active, false) => {
            Err(Failure::conflict("host_not_invited", "the host is registered; ask for a rejoin token"))
        }
        (HostState::Suspended | HostState::Retired, _) => Err(retire::NOT_POSSIBLE),
    }
}

/// Describes the ticket a host registers or rejoins with; what is not said stays as it was.
pub(super) fn for_host(host: &HostRow, request: &CreateRegistrationToken, required_before: bool) -> Minting {
    Minting {
        kind: TicketKind::RegistrationToken,
        team_id: host.team_id,
        site_id: host.site_id,
        host_id: Some(host.id),
        rejoin: request.rejoin,
        require_key: request.require_key.unwrap_or(required_before),
        host_name: None,
        tags: Vec::new(),
        ephemeral_hours: request.ephemeral_hours.map(Whole::get).or(host.ephemeral_hours),
        lives_for: Some(
            request.expires_in_secs.map_or(ONE_TIME_LIFE, |secs| Duration::from_secs(secs.get())),
        ),
        max_uses: None,
    }
}
