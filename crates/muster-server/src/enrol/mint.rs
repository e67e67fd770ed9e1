//! Tickets come and go: minted with a bearer string that is shown once, voided by a person.

use std::time::Duration;

use muster_domain::ticket::Ticket;
use muster_ids::{Bearer, BearerKind, HostId, SiteId, TeamId, TicketId, Timestamp};
use muster_store::rows::{ShownTicket, TicketRow};
use muster_wire::happening::Happening;
use muster_wire::join_string::JoinString;
use muster_wire::text::Tag;
use muster_wire::ticket::{self as wire, MintedTicket, TicketKind};
use secrecy::ExposeSecret;
use serde_json::json;

use super::claim;
use crate::app::App;
use crate::effects::Ended;
use crate::failure::Failure;
use crate::secrets::{self, Owners};
use crate::unit::{Author, Fact, Unit};

/// Life of a one-time ticket when nobody says otherwise.
pub const ONE_TIME_LIFE: Duration = Duration::from_secs(3600);
/// Claims that one transaction closes: a site has no more.
pub(super) const CLAIMS: i64 = muster_domain::admission::CLAIMS_PER_SITE as i64 * 2;

/// A ticket to be minted.
#[derive(Debug, Clone)]
pub struct Minting {
    /// Which door it opens.
    pub kind: TicketKind,
    /// Its team.
    pub team_id: TeamId,
    /// The site it admits to.
    pub site_id: SiteId,
    /// The host it is made for, at door 2.
    pub host_id: Option<HostId>,
    /// Whether it re-keys an active host.
    pub rejoin: bool,
    /// Whether the machine must hold a key pair.
    pub require_key: bool,
    /// The name its host will have.
    pub host_name: Option<String>,
    /// The tags its host will have.
    pub tags: Vec<Tag>,
    /// Hours without contact after which its hosts are retired.
    pub ephemeral_hours: Option<u64>,
    /// How long it lives; for ever when not said.
    pub lives_for: Option<Duration>,
    /// How many hosts it may make or re-key.
    pub max_uses: Option<u64>,
}

impl Minting {
    /// Describes the ticket as the door would judge it.
    pub fn ticket(&self, id: TicketId, now: Timestamp) -> Ticket {
        Ticket {
            id,
            kind: self.kind,
            team_id: self.team_id,
            site_id: self.site_id,
            host_id: self.host_id,
            rejoin: self.rejoin,
            require_key: self.require_key,
            expires_at: self.lives_for.map(|span| now.plus(span)),
            revoked_at: None,
            rotation: None,
            max_uses: self.max_uses,
            uses: 0,
            spent: None,
            reserved_for: None,
        }
    }
}

/// Returns the kind of the bearer string of a kind of ticket.
pub(super) const fn bearer_kind(kind: TicketKind) -> BearerKind {
    match kind {
        TicketKind::EnrolmentToken => BearerKind::EnrolmentToken,
        TicketKind::RegistrationToken => BearerKind::RegistrationToken,
        TicketKind::SiteKey => BearerKind::SiteKey,
    }
}

/// Mints a ticket and returns it with its bearer string.
pub fn mint(
    unit: &mut Unit<'_, '_>,
    app: &App,
    author: &Author,
    minting: Minting,
) -> Result<(TicketId, Bearer), Failure> {
    let bearer = Bearer::new(bearer_kind(minting.kind), unit.draw.public_id(), unit.draw.bytes());
    let ticket = minting.ticket(TicketId::new(bearer.id), unit.now);
    let row = TicketRow {
        ticket,
        host_name: minting.host_name,
        tags: minting.tags,
        ephemeral_hours: minting.ephemeral_hours,
        verifier: app.keyring.verifier(&bearer).to_vec(),
        created_by: author.actor.clone(),
        created_at: unit.now,
    };
    unit.tx.ticket_insert(&row)?;
    let details = json!({
        "kind": row.ticket.kind,
        "site_id": row.ticket.site_id,
        "host_id": row.ticket.host_id,
        "rejoin": row.ticket.rejoin,
        "expires_at": row.ticket.expires_at,
        "max_uses": row.ticket.max_uses,
        "require_key": row.ticket.require_key,
        "ephemeral_hours": row.ephemeral_hours,
    });
    let fact = Fact::new(Happening::TicketMinted, row.ticket.team_id, author, row.ticket.id);
    unit.happened(fact.details(details));
    Ok((row.ticket.id, bearer))
}

/// Reads a fresh ticket back and shows it with its bearer and join strings, once.
pub fn minted(
    unit: &mut Unit<'_, '_>,
    app: &App,
    team_id: TeamId,
    (id, bearer): (TicketId, Bearer),
) -> Result<MintedTicket, Failure> {
    let shown = unit.tx.ticket_shown(team_id, &id)?.ok_or(Failure::NotFound)?;
    let token = bearer.expose().expose_secret().to_owned();
    let join_string = JoinString {
        urls: app.installation.public_urls(),
        ticket: bearer,
        instruction_key: app.installation.instruction_thumbprint(),
        pins: app.installation.tls.all_pins(),
    };
    let join_string = join_string.expose().expose_secret().to_owned();
    Ok(MintedTicket { ticket: view(shown, unit.now), token, join_string })
}

/// Voids a ticket whose lock is held: claims that wait with it are closed, its secrets destroyed.
///
/// `false`: it was revoked before.
pub fn revoke_unused(
    unit: &mut Unit<'_, '_>,
    team_id: TeamId,
    id: &TicketId,
    author: &Author,
) -> Result<bool, Failure> {
    Ok(revoke_all_unused(unit, team_id, std::slice::from_ref(id), author)? == 1)
}

/// Voids tickets of a team whose locks are held, as [`revoke_unused`] does one. Returns how many were not revoked before.
pub fn revoke_all_unused(
    unit: &mut Unit<'_, '_>,
    team_id: TeamId,
    ids: &[TicketId],
    author: &Author,
) -> Result<usize, Failure> {
    let are_revoked = unit.tx.tickets_revoke(team_id, ids, unit.now)?;
    let revoked = ids.iter().zip(are_revoked).filter(|(_, is_revoked)| *is_revoked);
    let revoked: Vec<TicketId> = revoked.map(|(id, _)| *id).collect();
    let waiting = unit.tx.claims_with_tickets(team_id, &revoked, CLAIMS)?;
    claim::close(unit, &waiting.concat(), author)?;
    secrets::destroy_owned(unit, &Owners::tickets(team_id, &revoked))?;
    let ended: Vec<Ended> = revoked.iter().map(|id| Ended::Ticket(*id)).collect();
    unit.end_all(team_id, &ended, "revoked")?;
    for id in &revoked {
        unit.happened(Fact::new(Happening::TicketRevoked, team_id, author, id));
    }
    Ok(revoked.len())
}

/// Shows a ticket as it stands at `now`.
pub fn view(shown: ShownTicket, now: Timestamp) -> wire::Ticket {
    let ticket = shown.row.ticket;
    wire::Ticket {
        id: ticket.id,
        kind: ticket.kind,
        status: ticket.status(now),
        site_id: ticket.site_id,
        host_id: ticket.host_id,
        host_name: shown.row.host_name,
        rejoin: ticket.rejoin,
        tags: shown.row.tags,
        secrets: shown.secrets,
        require_key: ticket.require_key,
        ephemeral_hours: shown.row.ephemeral_hours,
        uses: shown.uses,
        max_uses: ticket.max_uses,
        created_at: shown.row.created_at,
        expires_at: ticket.expires_at,
        rotation: ticket.rotation.map(|rotation| wire::TicketRotation {
            to: rotation.to,
            at: rotation.at,
            both_admit_until: rotation.ends_at,
        }),
        last_used_at: shown.last_used_at,
        last_host_id: shown.last_host_id,
    }
}
