//! Keys of hosts: minted for machines that cannot hold a key pair, ended by whoever may.
//!
//! A key ends once, with one fact, its place in the log of revocations, and its sockets cut before the reply.

use muster_domain::agent_key::{self, HeldKeys, NotMinted};
use muster_ids::{AgentKeyId, HostId, KeyName, TeamId};
use muster_keyring::OwnerKind;
use muster_store::rows::{HostKeyRow, HostRow, KeyState};
use muster_store::{Lock, LockKey, StoreError};
use muster_wire::enroll::Disposition;
use muster_wire::happening::Happening;
use muster_wire::host::HostState;
use muster_wire::host_key::{HostKey, HostKeyKind, HostKeyState, MintedAgentKey};
use muster_wire::parting::RevokedReason;
use muster_wire::permission::Permission;
use secrecy::ExposeSecret;
use serde_json::json;

use super::mint::revoke_unused;
use super::retire;
use crate::app::App;
use crate::auth::Actor;
use crate::effects::{Cut, CutReason, Ended};
use crate::failure::Failure;
use crate::unit::{Author, Fact, Unit};

const HAS_KEY_PAIR: Failure = Failure::conflict(
    "host_has_key_pair",
    "the host proves itself with a key pair; mint a registration token to rejoin instead",
);
const TOO_MANY_KEYS: Failure =
    Failure::conflict("too_many_keys", "the host has two agent keys; revoke one of them first");

/// Why a key ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its host is retired.
    Retired,
    /// It is revoked alone; the host stays.
    Revoked,
    /// This key takes its place.
    ReplacedBy(KeyName),
}

impl Ending {
    const fn state(self) -> KeyState {
        match self {
            Self::Retired | Self::Revoked => KeyState::Revoked,
            Self::ReplacedBy(_) => KeyState::Replaced,
        }
    }

    /// The word of the signed statement.
    const fn reason(self) -> RevokedReason {
        match self {
            Self::Retired => RevokedReason::Retired,
            Self::Revoked => RevokedReason::Revoked,
            Self::ReplacedBy(_) => RevokedReason::Replaced,
        }
    }
}

/// Ends an active or next key: remembered for ever, logged for every node, its sockets cut after the commit. With an
/// active key pair goes the next one, unless that takes its place.
pub fn end(
    unit: &mut Unit<'_, '_>,
    key: &HostKeyRow,
    ending: Ending,
    author: &Author,
) -> Result<(), Failure> {
    end_all(unit, std::slice::from_ref(key), ending, author)
}

/// Ends keys of hosts of one team, as [`end`] does one.
pub fn end_all(
    unit: &mut Unit<'_, '_>,
    keys: &[HostKeyRow],
    ending: Ending,
    author: &Author,
) -> Result<(), Failure> {
    let Some(team_id) = keys.first().map(|key| key.team_id) else { return Ok(()) };
    let names: Vec<KeyName> = keys.iter().map(|key| key.name).collect();
    if unit.tx.host_keys_end(&names, ending.state(), &author.actor, unit.now)?.contains(&false) {
        return Err(StoreError::Conflict.into());
    }
    unit.tx.generations_forget(&names)?;
    let ended: Vec<Ended> = names.iter().map(|name| Ended::Key(*name)).collect();
    unit.end_all(team_id, &ended, ending.reason().as_str())?;
    for key in keys {
        tell_ended(unit, key, ending, author);
    }
    let pairs = keys.iter().filter(|key| key.state == KeyState::Active && key.name.is_pair());
    end_next(unit, &pairs.map(|key| key.host_id).collect::<Vec<_>>(), ending, author)
}

fn tell_ended(unit: &mut Unit<'_, '_>, key: &HostKeyRow, ending: Ending, author: &Author) {
    let reason = ending.reason();
    unit.effects.cuts.push(Cut {
        host_id: key.host_id,
        key: key.name,
        reason: CutReason::Revoked { reason },
        decided_at: unit.now,
    });
    let (what, details) = match ending {
        Ending::ReplacedBy(newer) => {
            (Happening::KeyRotated, json!({ "reason": reason.as_str(), "replaced_by": newer }))
        }
        Ending::Retired | Ending::Revoked => (Happening::KeyRevoked, json!({ "reason": reason.as_str() })),
    };
    let fact = Fact::new(what, key.team_id, author, key.name).of_host(key.host_id);
    unit.happened(fact.details(details));
}

/// What is to follow the keys of these hosts, which ended some other way, follows nobody any more.
fn end_next(
    unit: &mut Unit<'_, '_>,
    hosts: &[HostId],
    ending: Ending,
    author: &Author,
) -> Result<(), Failure> {
    if hosts.is_empty() {
        return Ok(());
    }
    unit.tx.hosts_rotation_done(hosts)?;
    let mut next = unit.tx.hosts_keys_live(hosts)?.concat();
    next.retain(|key| key.state == KeyState::Next && ending != Ending::ReplacedBy(key.name));
    end_all(unit, &next, ending, author)
}

/// Ends the next key of a host whose lock is held exclusively: whoever suspects a host suspects what it made last, which
/// no state of it vouches for.
pub(super) fn end_unused(unit: &mut Unit<'_, '_>, host_id: HostId, author: &Author) -> Result<(), Failure> {
    let live = unit.tx.host_keys_live(host_id)?;
    match live.iter().find(|key| key.state == KeyState::Next) {
        Some(next) => end(unit, next, Ending::Revoked, author),
        None => Ok(()),
    }
}

/// Revokes one key of a host and leaves the host as it is, without a key perhaps. A key that ended stays as it ended.
pub fn revoke(
    unit: &mut Unit<'_, '_>,
    team_id: TeamId,
    host_id: HostId,
    name: KeyName,
    author: &Author,
) -> Result<HostKey, Failure> {
    unit.tx.lock(&[Lock::exclusive(LockKey::Host(host_id)), Lock::exclusive(LockKey::Key(name))])?;
    let key = of_host(unit, team_id, host_id, &name)?;
    if matches!(key.state, KeyState::Active | KeyState::Next) {
        end(unit, &key, Ending::Revoked, author)?;
    } else {
        // The reply to what ended it may have been lost, and its sockets with it: who asks again cuts them for sure.
        unit.effects.cuts.push(Cut {
            host_id,
            key: name,
            reason: CutReason::Revoked { reason: Ending::Revoked.reason() },
            decided_at: unit.now,
        });
    }
    Ok(view(of_host(unit, team_id, host_id, &name)?))
}

/// Returns a key of exactly this host; one of another host is as absent as one that is not there.
fn of_host(
    unit: &mut Unit<'_, '_>,
    team_id: TeamId,
    host_id: HostId,
    name: &KeyName,
) -> Result<HostKeyRow, Failure> {
    let key = unit.tx.host_key(name)?;
    key.filter(|key| key.team_id == team_id && key.host_id == host_id).ok_or(Failure::NotFound)
}

/// Refuses who may not manage secrets a key of a host that holds some: whoever has it receives them.
///
/// The caller holds the lock of the host.
pub fn may_reach_secrets<P>(
    unit: &mut Unit<'_, '_>,
    actor: &Actor<P>,
    host_id: HostId,
) -> Result<(), Failure> {
    let owned = unit.tx.secrets_owned(actor.team_id, OwnerKind::Host.as_str(), &host_id.to_string())?;
    if owned.is_empty() { Ok(()) } else { actor.must_cover(Permission::ManageSecrets) }
}

/// Mints an agent key for a host that has no key pair; an invited one is admitted with it.
pub fn mint(
    unit: &mut Unit<'_, '_>,
    app: &App,
    team_id: TeamId,
    host_id: HostId,
    author: &Author,
) -> Result<MintedAgentKey, Failure> {
    let host = retire::locked(unit, team_id, host_id)?;
    let held = held(unit, &host)?;
    agent_key::mint(host.state, &held).map_err(|refused| match refused {
        NotMinted::NotPossible => retire::NOT_POSSIBLE,
        NotMinted::HasKeyPair => HAS_KEY_PAIR,
        NotMinted::TooMany => TOO_MANY_KEYS,
    })?;
    let bearer = app.keyring.agent_key(&unit.draw.bytes());
    let key = HostKeyRow {
        name: KeyName::Agent(AgentKeyId::new(bearer.id)),
        team_id,
        host_id,
        material: app.keyring.verifier(&bearer).to_vec(),
        state: KeyState::Active,
        ticket_id: None,
        created_by: Some(author.actor.clone()),
        created_at: unit.now,
        ended_at: None,
        ended_by: None,
        first_used_at: None,
        last_used_at: None,
    };
    if host.state == HostState::Invited {
        admit(unit, &host, key.name, author)?;
    }
    if !unit.tx.host_key_insert(&key)? {
        return Err(StoreError::Conflict.into());
    }
    let fact = Fact::new(Happening::KeyMinted, team_id, author, key.name).of_host(host_id);
    unit.happened(fact.details(json!({ "active_keys": held.active + 1 })));
    Ok(MintedAgentKey { key: view(key), token: bearer.expose().expose_secret().to_owned() })
}

fn held(unit: &mut Unit<'_, '_>, host: &HostRow) -> Result<HeldKeys, Failure> {
    let active = unit.tx.host_keys_active(host.id)?;
    let newest = match active.first() {
        Some(key) => Some(key.name),
        None => unit.tx.host_keys_shown(host.team_id, host.id, None, 1)?.first().map(|key| key.name),
    };
    Ok(HeldKeys { active: active.len(), newest })
}

/// The person's key is the admission: what would have registered the host is void.
fn admit(unit: &mut Unit<'_, '_>, host: &HostRow, key: KeyName, author: &Author) -> Result<(), Failure> {
    for ticket_id in unit.tx.tickets_of_host(host.team_id, host.id)? {
        revoke_unused(unit, host.team_id, &ticket_id, author)?;
    }
    if !unit.tx.host_admit(host.team_id, host.id, unit.now)? {
        return Err(StoreError::Conflict.into());
    }
    let details = json!({ "disposition": Disposition::Registered, "key": key, "site_id": host.site_id });
    let fact = Fact::new(Happening::HostEnrolled, host.team_id, author, host.id).of_host(host.id);
    unit.happened(fact.changed(["state"]).details(details));
    Ok(())
}

/// Shows a key without what it proves itself with.
pub fn view(key: HostKeyRow) -> HostKey {
    HostKey {
        name: key.name,
        kind: if key.name.is_pair() { HostKeyKind::KeyPair } else { HostKeyKind::AgentKey },
        state: match key.state {
            KeyState::Active => HostKeyState::Active,
            KeyState::Next => HostKeyState::Next,
            KeyState::Replaced => HostKeyState::Replaced,
            KeyState::Revoked => HostKeyState::Revoked,
        },
        created_by: key.created_by,
        ticket_id: key.ticket_id,
        created_at: key.created_at,
        first_used_at: key.first_used_at,
        last_used_at: key.last_used_at,
        ended_at: key.ended_at,
        ended_by: key.ended_by,
    }
}
