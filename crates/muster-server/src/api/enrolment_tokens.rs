//! `/v1/enrolment-tokens`: door 1, one new host with everything its token carries.

use std::time::Duration;

use axum::extract::State;
use muster_http::{Created, Problem};
use muster_ids::{SiteId, TeamId};
use muster_store::rows::DEFAULT_SITE;
use muster_store::{Lock, LockKey};
use muster_wire::bounds::Whole;
use muster_wire::permission::Permission;
use muster_wire::ticket::{CreateEnrolmentToken, MintedTicket, TicketKind};

use crate::app::App;
use crate::auth::{Actor, permits};
use crate::enrol::mint::{Minting, ONE_TIME_LIFE, mint, minted};
use crate::failure::Failure;
use crate::idempotency::Once;
use crate::secrets::{self, Owner};
use crate::unit::{Author, Unit};

/// `POST /v1/enrolment-tokens`
pub async fn create(
    State(app): State<App>,
    actor: Actor<permits::MintTokens>,
    body: Once<CreateEnrolmentToken>,
) -> Result<Created<MintedTicket>, Problem> {
    let now = app.clock.now();
    let (request, asked) = body.into_parts();
    let inner = app.clone();
    let ticket = asked
        .change_as(&app, actor, now, move |unit, actor| {
            if !request.secrets.is_empty() {
                actor.must_cover(Permission::ManageSecrets)?;
            }
            make(unit, &inner, actor.team_id, &actor.author(), &request)
        })
        .await?;
    Ok(Created::new(ticket))
}

fn make(
    unit: &mut Unit<'_, '_>,
    app: &App,
    team_id: TeamId,
    author: &Author,
    request: &CreateEnrolmentToken,
) -> Result<MintedTicket, Failure> {
    let site_id = site_or_default(unit, team_id, request.site_id)?;
    let ticket = mint(unit, app, author, minting(team_id, site_id, request))?;
    let owner = Owner::ticket(team_id, &ticket.0);
    for (name, document) in request.secrets.iter() {
        secrets::put(unit, &app.keyring, &owner, name, document, &format!("/secrets/{name}"))?;
    }
    minted(unit, app, team_id, ticket)
}

/// Describes the ticket that is asked for.
pub(super) fn minting(team_id: TeamId, site_id: SiteId, request: &CreateEnrolmentToken) -> Minting {
    Minting {
        kind: TicketKind::EnrolmentToken,
        team_id,
        site_id,
        host_id: None,
        rejoin: false,
        require_key: request.require_key,
        host_name: request.host_name.as_ref().map(ToString::to_string),
        tags: request.tags.iter().cloned().collect(),
        ephemeral_hours: request.ephemeral_hours.map(Whole::get),
        lives_for: Some(
            request.expires_in_secs.map_or(ONE_TIME_LIFE, |secs| Duration::from_secs(secs.get())),
        ),
        max_uses: None,
    }
}

/// Returns the site that was named, or the team's `default` one, locked.
pub(super) fn site_or_default(
    unit: &mut Unit<'_, '_>,
    team_id: TeamId,
    named: Option<SiteId>,
) -> Result<SiteId, Failure> {
    let site = match named {
        Some(site_id) => unit.tx.site(team_id, site_id)?,
        None => unit.tx.site_by_name(team_id, DEFAULT_SITE)?,
    };
    let site = site.ok_or(Failure::NotFound)?;
    unit.tx.lock(&[Lock::shared(LockKey::Site(site.id))])?;
    Ok(site.id)
}
