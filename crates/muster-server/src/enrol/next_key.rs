//! The key pair that takes the place of a host's active one: asked for, stored, put in place (DESIGN §2, §5).
//!
//! The former key opened the channel on which the next one was offered; the next one opens the channel on which it
//! comes into use. Until then it is good for nothing else.

use muster_domain::host_key_rotation::{self, Known, NotAsked, NotTaken, Offered, Taken};
use muster_ids::{HostId, KeyName, KeyThumbprint, TeamId};
use muster_store::rows::{HostKeyRow, KeyState};
use muster_store::{Lock, LockKey, StoreError};
use muster_wire::channel::NextKeyClaims;
use muster_wire::happening::Happening;
use serde_json::json;

use super::keys::{self, Ending};
use crate::auth::Agent;
use crate::failure::Failure;
use crate::unit::{Author, Fact, Unit};

const NOT_ACTIVE: Failure =
    Failure::conflict("not_possible", "only an active host can be asked for its next key");
const HAS_AGENT_KEYS: Failure = Failure::conflict(
    "host_has_agent_keys",
    "the host proves itself with agent keys: mint another one, put it on the machine, then revoke the former",
);
const HAS_NO_KEY: Failure =
    Failure::conflict("host_has_no_key", "the host has no key; mint a registration token to rejoin");

/// A rotation that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The key to be replaced.
    pub key: KeyName,
    /// Since when.
    pub at: muster_ids::Timestamp,
}

/// Asks a host for its next key; asked again, it stays as it was asked first.
pub fn ask(
    unit: &mut Unit<'_, '_>,
    (team_id, host_id): (TeamId, HostId),
    author: &Author,
    because: &'static str,
) -> Result<Asked, Failure> {
    unit.tx.lock(&[Lock::shared(LockKey::Host(host_id))])?;
    let state = unit.tx.host_state(team_id, host_id)?.ok_or(Failure::NotFound)?;
    let active = unit.tx.host_keys_active(host_id)?;
    let names: Vec<KeyName> = active.iter().map(|key| key.name).collect();
    host_key_rotation::ask(state, &names).map_err(|refused| match refused {
        NotAsked::NotActive => NOT_ACTIVE,
        NotAsked::AgentKeys => HAS_AGENT_KEYS,
        NotAsked::NoKey => HAS_NO_KEY,
    })?;
    let key = *names.first().ok_or(HAS_NO_KEY)?;
    unit.effects.rotation_asked.push(host_id);
    if unit.tx.host_rotation_ask(host_id, unit.now)? {
        let fact = Fact::new(Happening::KeyRotationAsked, team_id, author, key).of_host(host_id);
        unit.happened(fact.details(json!({ "reason": because })));
    }
    let at = unit.tx.host_rotation_asked(host_id)?.unwrap_or(unit.now);
    Ok(Asked { key, at })
}

/// A next key whose own signature holds.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Its thumbprint.
    pub key: KeyThumbprint,
    /// The SEC 1 point.
    pub material: Vec<u8>,
    /// What it signed.
    pub claims: NextKeyClaims,
    /// The challenge of the channel it was offered on.
    pub challenge: String,
}

/// Stores the next key of the host that offers it on its channel. A refusal says what was wrong with it.
pub fn store(unit: &mut Unit<'_, '_>, agent: &Agent, offer: &Offer) -> Result<Result<(), NotTaken>, Failure> {
    let name = KeyName::Pair(offer.key);
    let host_id = agent.host_id;
    unit.tx.lock(&[
        Lock::shared(LockKey::Host(host_id)),
        Lock::shared(LockKey::Key(agent.key)),
        Lock::exclusive(LockKey::Key(name)),
    ])?;
    agent.still_may_locked(unit)?;
    let known = match unit.tx.host_key(&name)? {
        None => Known::Unknown,
        Some(row) if row.state == KeyState::Next => Known::NextOf(row.host_id),
        Some(row) => Known::Of(row.host_id),
    };
    let live = unit.tx.host_keys_live(host_id)?;
    let unused_since = live.iter().find(|key| key.state == KeyState::Next).map(|key| key.created_at);
    let offered =
        Offered { host_id, key: agent.key, challenge: &offer.challenge, unused_since, now: unit.now };
    match host_key_rotation::take(&offered, &offer.claims, offer.key, known) {
        Ok(Taken::Again) => return Ok(Ok(())),
        Ok(Taken::Store) => {}
        Err(refused) => return Ok(Err(refused)),
    }
    if let Some(unused) = live.iter().find(|key| key.state == KeyState::Next) {
        keys::end(unit, unused, Ending::ReplacedBy(name), &agent.author())?;
    }
    let key = HostKeyRow {
        name,
        team_id: agent.team_id,
        host_id,
        material: offer.material.clone(),
        state: KeyState::Next,
        ticket_id: None,
        created_by: None,
        created_at: unit.now,
        ended_at: None,
        ended_by: None,
        first_used_at: None,
        last_used_at: None,
    };
    if !unit.tx.host_key_insert(&key)? {
        return Err(StoreError::Conflict.into());
    }
    let fact = Fact::new(Happening::KeyNextStored, agent.team_id, &agent.author(), name).of_host(host_id);
    unit.happened(fact.details(json!({ "former": agent.key })));
    Ok(Ok(()))
}

/// Checks that the key of a channel whose hello was verified may act; a next key comes into use here, and the former
/// one ends.
pub fn settle(unit: &mut Unit<'_, '_>, agent: &Agent) -> Result<(), Failure> {
    if !agent.is_next {
        return agent.still_may(unit);
    }
    let before = unit.tx.host_keys_active(agent.host_id)?;
    let [former] = &before[..] else { return agent.still_may(unit) };
    unit.tx.lock(&[
        Lock::shared(LockKey::Host(agent.host_id)),
        Lock::exclusive(LockKey::Key(agent.key)),
        Lock::exclusive(LockKey::Key(former.name)),
    ])?;
    if unit.tx.host_keys_active(agent.host_id)? != before {
        return Err(StoreError::Conflict.into());
    }
    let row = unit.tx.agent_by_key(&agent.key)?;
    if !row.is_some_and(|row| row.key_is_next && row.may_connect()) {
        return agent.still_may_locked(unit);
    }
    keys::end(unit, former, Ending::ReplacedBy(agent.key), &agent.author())?;
    unit.tx.secrets_inherited(&former.name, &agent.key)?;
    if !unit.tx.host_key_promote(&agent.key, &former.name)? {
        return Err(StoreError::Conflict.into());
    }
    agent.still_may_locked(unit)
}
