//! A host moves to another site of its team. It stays who it is: id, keys, tags, secrets, its channel.
//!
//! The site decides what a claim on the host means, so claims that contest it are closed: their machines ask again and
//! are judged anew. A ticket that was made for the host follows it: door 2 admits the named host, wherever it stands.

use muster_domain::host_life::{self, NotMoved};
use muster_ids::{ClaimId, HostId, SiteId, TeamId};
use muster_store::StoreError;
use muster_store::rows::HostRow;
use muster_wire::claim::ClaimReason;
use muster_wire::happening::Happening;
use serde_json::json;

use super::{claim, mint, retire};
use crate::effects::Ended;
use crate::failure::Failure;
use crate::unit::{Author, Fact, Unit};

const ALREADY_THERE: Failure = Failure::conflict("already_there", "the host stands at this site");

/// Moves a host as a person says.
pub fn move_host(
    unit: &mut Unit<'_, '_>,
    team_id: TeamId,
    host_id: HostId,
    to: SiteId,
    author: &Author,
) -> Result<(), Failure> {
    let host = retire::locked(unit, team_id, host_id)?;
    unit.tx.site(team_id, to)?.ok_or(Failure::NotFound)?;
    relocate(unit, &host, to, author, None)
}

/// Moves a host whose lock is held, in the decision on the claim `decided` or by itself.
pub(super) fn relocate(
    unit: &mut Unit<'_, '_>,
    host: &HostRow,
    to: SiteId,
    author: &Author,
    decided: Option<ClaimId>,
) -> Result<(), Failure> {
    host_life::relocate(host.state, host.site_id, to).map_err(|refused| match refused {
        NotMoved::Retired => retire::NOT_POSSIBLE,
        NotMoved::AlreadyThere => ALREADY_THERE,
    })?;
    if !unit.tx.host_relocate(host.team_id, host.id, host.site_id, to)? {
        return Err(StoreError::Conflict.into());
    }
    // Whoever decides by the site must not go on with the former one.
    unit.end(host.team_id, Ended::Host(host.id), "moved")?;
    unit.tx.copies_follow(host.team_id, host.id, to)?;
    let mut claims = unit.tx.claims_on_host(host.team_id, host.id)?;
    // A copy of the host stays one wherever the host stands.
    claims.retain(|claim| claim.reason != ClaimReason::Clone);
    for ticket_id in unit.tx.tickets_of_host(host.team_id, host.id)? {
        claims.extend(unit.tx.claims_with_ticket(host.team_id, &ticket_id, mint::CLAIMS)?);
    }
    claims.retain(|claim| Some(claim.id) != decided);
    claim::let_go(unit, &claims, author)?;
    let details = json!({ "from": host.site_id, "to": to, "claim_id": decided });
    let fact = Fact::new(Happening::HostMoved, host.team_id, author, host.id).of_host(host.id);
    unit.happened(fact.changed(["site_id"]).details(details));
    Ok(())
}
