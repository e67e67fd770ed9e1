//! `/v1/site-keys`: door 3, any machine of a site.

use std::time::Duration;

use axum::extract::State;
use muster_http::{Created, Problem};
use muster_wire::ticket::{CreateSiteKey, MintedTicket, TicketKind};

use super::enrolment_tokens::site_or_default;
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::enrol::mint::{Minting, mint, minted};
use crate::idempotency::Once;

/// `POST /v1/site-keys`
pub async fn create(
    State(app): State<App>,
    actor: Actor<permits::ManageTickets>,
    body: Once<CreateSiteKey>,
) -> Result<Created<MintedTicket>, Problem> {
    let now = app.clock.now();
    let (request, asked) = body.into_parts();
    let (inner, user_id) = (app.clone(), actor.user_id);
    let ticket = asked
        .change(&app, user_id, now, move |unit| {
            let minting = Minting {
                kind: TicketKind::SiteKey,
                team_id: actor.team_id,
                site_id: site_or_default(unit, actor.team_id, Some(request.site_id))?,
                host_id: None,
                rejoin: false,
                require_key: false,
                host_name: None,
                tags: Vec::new(),
                lives_for: request.expires_in_secs.map(|secs| Duration::from_secs(secs.get())),
                max_uses: request.max_uses.map(muster_wire::bounds::Whole::get),
            };
            let ticket = mint(unit, &inner, &actor.author(), minting)?;
            minted(unit, &inner, actor.team_id, ticket)
        })
        .await?;
    Ok(Created::new(ticket))
}
