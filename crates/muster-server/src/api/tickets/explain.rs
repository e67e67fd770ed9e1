//! `/v1/tickets/…/explain`: what a ticket admits, before and after it is minted.

use axum::extract::State;
use muster_domain::admission::HostView;
use muster_domain::explain::explain;
use muster_domain::ticket::Ticket;
use muster_http::{Problem, Reply, StrictJson, StrictPath};
use muster_ids::{HostId, PublicId, SiteId, TeamId, TicketId};
use muster_store::rows::{DEFAULT_SITE, HostRow, SiteRow};
use muster_store::{StoreError, Tx};
use muster_wire::explanation::{ExplainTicket, Explanation, Gives};

use super::TicketPath;
use crate::api::{enrolment_tokens, registration_tokens, site_keys};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::enrol::mint::Minting;
use crate::failure::Failure;
use crate::secrets;

/// `GET /v1/tickets/{ticket_id}/explain`
pub async fn get(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictPath(path): StrictPath<TicketPath>,
) -> Result<Reply<Explanation>, Problem> {
    let found = app
        .look(move |tx| {
            let Some(shown) = tx.ticket_shown(actor.team_id, &path.ticket_id)? else { return Ok(None) };
            let site = tx.site(actor.team_id, shown.row.ticket.site_id)?;
            let named = named(tx, &shown.row.ticket)?;
            Ok(Some((shown, site, named)))
        })
        .await?;
    let (shown, site, named) = found.ok_or(Failure::NotFound)?;
    let site = site.ok_or(Failure::NotFound)?;
    let gives = Gives {
        host_id: shown.row.ticket.host_id,
        rejoin: shown.row.ticket.rejoin,
        host_name: shown.row.host_name,
        tags: shown.row.tags,
        secrets: shown.secrets,
        ephemeral_hours: shown.row.ephemeral_hours,
    };
    let now = app.clock.now();
    Ok(Reply::new(explain(&shown.row.ticket, gives, named.as_ref(), &site.policy, now)))
}

/// `POST /v1/tickets/explain`
pub async fn create(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictJson(request): StrictJson<ExplainTicket>,
) -> Result<Reply<Explanation>, Problem> {
    let now = app.clock.now();
    let team_id = actor.team_id;
    let asked = request.clone();
    let (site, host) = app.look(move |tx| place(tx, team_id, &asked)).await?;
    let site = site.ok_or(Failure::NotFound)?;
    let (minting, secrets) = planned(team_id, &site, host.as_ref(), &request)?;
    let ticket = minting.ticket(TicketId::new(PublicId::from_entropy([0; 16])), now);
    let wanted = ticket.clone();
    let named = app.look(move |tx| named(tx, &wanted)).await?;
    let gives = Gives {
        host_id: minting.host_id,
        rejoin: minting.rejoin,
        host_name: minting.host_name,
        tags: minting.tags,
        secrets,
        ephemeral_hours: minting.ephemeral_hours,
    };
    Ok(Reply::new(explain(&ticket, gives, named.as_ref(), &site.policy, now)))
}

fn named(tx: &mut Tx<'_>, ticket: &Ticket) -> Result<Option<HostView>, StoreError> {
    match ticket.host_id {
        Some(host_id) => tx.host_view(host_id),
        None => Ok(None),
    }
}

/// Finds the site and the host that are asked about, in the team alone.
fn place(
    tx: &mut Tx<'_>,
    team_id: TeamId,
    asked: &ExplainTicket,
) -> Result<(Option<SiteRow>, Option<HostRow>), StoreError> {
    let site = |tx: &mut Tx<'_>, named: Option<SiteId>| match named {
        Some(site_id) => tx.site(team_id, site_id),
        None => tx.site_by_name(team_id, DEFAULT_SITE),
    };
    match asked {
        ExplainTicket::EnrolmentToken(token) => Ok((site(tx, token.site_id)?, None)),
        ExplainTicket::SiteKey(key) => Ok((site(tx, Some(key.site_id))?, None)),
        ExplainTicket::RegistrationToken(asked) => {
            let host: Option<HostRow> = tx.host(team_id, HostId::from_uuid(asked.host_id.uuid()))?;
            match host {
                Some(host) => Ok((tx.site(team_id, host.site_id)?, Some(host))),
                None => Ok((None, None)),
            }
        }
    }
}

/// Describes what would be minted, refused as minting it would be.
fn planned(
    team_id: TeamId,
    site: &SiteRow,
    host: Option<&HostRow>,
    asked: &ExplainTicket,
) -> Result<(Minting, Vec<String>), Failure> {
    match asked {
        ExplainTicket::EnrolmentToken(token) => {
            for (name, document) in token.secrets.iter() {
                secrets::check(name, document, &format!("/enrolment_token/secrets/{name}"))?;
            }
            let names = token.secrets.iter().map(|(name, _)| name.to_string()).collect();
            Ok((enrolment_tokens::minting(team_id, site.id, token), names))
        }
        ExplainTicket::SiteKey(key) => Ok((site_keys::minting(team_id, site.id, key), Vec::new())),
        ExplainTicket::RegistrationToken(asked) => {
            let host = host.ok_or(Failure::NotFound)?;
            registration_tokens::may_be_issued(host, &asked.token)?;
            Ok((registration_tokens::for_host(host, &asked.token, false), Vec::new()))
        }
    }
}
