//! Copies of hosts: found out by the channel or by themselves, made a question, answered by a person (DESIGN §4, §5).
//!
//! What is found out never changes who the host is: key, generation, secrets and site stay. The host may be held or
//! suspended, as `muster_domain::clone` says; the copy becomes a claim.

use std::time::Duration;

use muster_domain::admission::{
    Admission, CLAIM_LIFE, CLAIMS_PER_SITE, HostView, KnownClaim, Machine, Refusal,
};
use muster_domain::clone::{COPIES_PER_HOST, WaitingCopy, admit_copy, consequence};
use muster_domain::generation::{Generation, Judgement, judge};
use muster_ids::{ClaimId, HostId, KeyName, MachineUid, TeamId, Timestamp, UidSource};
use muster_proof::digest::sha256;
use muster_store::rows::{ClaimRow, HostRow};
use muster_store::{Lock, LockKey, StoreError, Tx};
use muster_wire::bounds::Whole;
use muster_wire::claim::{
    ClaimReason, ClaimState, CopyCause, CopyConsequence, CountedState, DecideClaim, Sighting,
};
use muster_wire::enroll::{Facts, Labels};
use muster_wire::happening::Happening;
use muster_wire::host::HostState;
use muster_wire::text::{Hostname, Line};
use serde_json::json;

use super::apply::Entrance;
use super::hold::{self, Freed};
use super::{claim, keys, known, suspend};
use crate::app::App;
use crate::auth::Actor;
use crate::failure::Failure;
use crate::unit::{Author, Fact, Unit};

/// How often it is told that as many claims wait as may.
const FULL_TOLD_EVERY: Duration = Duration::from_secs(3600);

/// A copy as it showed itself.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    /// The host whose key it showed.
    pub host_id: HostId,
    /// The team of that host.
    pub team_id: TeamId,
    /// The key.
    pub former_key: KeyName,
    /// How it was found out.
    pub cause: CopyCause,
    /// The generation it showed; its MAC was verified.
    pub shown: Option<Generation>,
    /// The start of its machine.
    pub boot_id: String,
    /// Where it came from.
    pub source: String,
    /// The key it made itself, with what is stored of that and what its machine says of itself.
    pub own: Option<(Machine, Vec<u8>)>,
}

impl Copy {
    fn author(&self) -> Author {
        let key = self.own.as_ref().map_or(self.former_key, |(machine, _)| machine.key);
        Author { actor: key.to_string(), role: None, source: self.source.clone() }
    }
}

/// Takes the locks of whatever opens or changes a claim of a copy, alone at its site: its claims are counted.
pub(super) fn lock(
    unit: &mut Unit<'_, '_>,
    (team_id, host_id): (TeamId, HostId),
    keys: &[KeyName],
) -> Result<HostRow, Failure> {
    let before = unit.tx.host(team_id, host_id)?.ok_or(Failure::NotFound)?;
    let mut locks =
        vec![Lock::exclusive(LockKey::Site(before.site_id)), Lock::exclusive(LockKey::Host(host_id))];
    locks.extend(keys.iter().map(|key| Lock::exclusive(LockKey::Key(*key))));
    unit.tx.lock(&locks)?;
    let host = unit.tx.host(team_id, host_id)?.ok_or(Failure::NotFound)?;
    if host.site_id == before.site_id { Ok(host) } else { Err(StoreError::Conflict.into()) }
}

/// Whether there is nothing left to write of a copy that made itself no key: its claim is there, or can never be.
pub(crate) fn is_settled(
    tx: &mut Tx<'_>,
    app: &App,
    copy: &Copy,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let claim = tx.claim_of_start(copy.host_id, &copy.boot_id)?;
    if claim.is_some_and(|claim| claim.state == ClaimState::Rejected) {
        return Ok(true);
    }
    let (Some(host), Some(view)) =
        (tx.host(copy.team_id, copy.host_id)?, known::view(tx, app, Some(copy.host_id))?)
    else {
        return Ok(true);
    };
    let Some(site) = tx.site(host.team_id, host.site_id)? else { return Ok(true) };
    let becomes = consequence(is_older(tx, app, copy)?, &view, site.policy.on_clone, now);
    let seen = if claim.is_some() { Seen::Again } else { Seen::First };
    if !stands_so(&view, becomes, seen) {
        return Ok(false);
    }
    Ok(claim.is_some() || is_full_and_told(tx, &host, now)?)
}

/// Records what the channel found out about a copy, once for each start of its machine.
pub(crate) fn found_out(unit: &mut Unit<'_, '_>, app: &App, copy: &Copy) -> Result<(), Failure> {
    let host = lock(unit, (copy.team_id, copy.host_id), &[copy.former_key])?;
    let key = unit.tx.agent_by_key(&copy.former_key)?;
    if !key.is_some_and(|key| key.is_of_active_host()) {
        return Err(Failure::KeyNotActive);
    }
    match unit.tx.claim_of_start(copy.host_id, &copy.boot_id)? {
        None => open(unit, app, &host, copy).map(|_| ()),
        Some(claim) if claim.state == ClaimState::Waiting => sighted_again(unit, app, &host, copy, claim.id),
        Some(_) => Ok(()),
    }
}

/// A copy whose claim waits showed itself again: its host may stand otherwise by now, because nobody has seen its holder
/// since.
fn sighted_again(
    unit: &mut Unit<'_, '_>,
    app: &App,
    host: &HostRow,
    copy: &Copy,
    claim_id: ClaimId,
) -> Result<(), Failure> {
    let consequence = sighted(unit, app, host, copy, Seen::Again)?.consequence;
    let claim = unit.tx.claim(host.team_id, claim_id)?.ok_or(StoreError::Conflict)?;
    // The rest of what was seen is that of the machine whose key the claim is about.
    let sighting = claim.sighting.map(|first| Sighting { consequence, ..first });
    match sighting {
        Some(sighting) if !unit.tx.claim_sighted(claim_id, &sighting)? => Err(StoreError::Conflict.into()),
        _ => Ok(()),
    }
}

/// Does with the host what the policy of its site says, and returns what both sides showed. The locks are held.
pub(super) fn sighted(
    unit: &mut Unit<'_, '_>,
    app: &App,
    host: &HostRow,
    copy: &Copy,
    seen: Seen,
) -> Result<Sighting, Failure> {
    let view = known::view(unit.tx, app, Some(host.id))?.ok_or(Failure::NotFound)?;
    let site = unit.tx.site(host.team_id, host.site_id)?.ok_or(Failure::NotFound)?;
    let is_older = is_older(unit.tx, app, copy)?;
    let becomes = consequence(is_older, &view, site.policy.on_clone, unit.now);
    let sighting = sighting(unit, app, &view, copy, becomes)?;
    if !stands_so(&view, becomes, seen) {
        match becomes {
            CopyConsequence::Held => hold::hold(unit, host)?,
            CopyConsequence::Suspended => {
                let place = (host.team_id, host.id);
                suspend::suspend(unit, place, host.state, &Author::system(), Some("clone"))?;
            }
            CopyConsequence::WorksOn => {}
        }
    }
    Ok(sighting)
}

/// Opens the claim of a copy and does with the host what the policy of its site says. `None`: as many claims wait as
/// may. The locks are held.
pub(super) fn open(
    unit: &mut Unit<'_, '_>,
    app: &App,
    host: &HostRow,
    copy: &Copy,
) -> Result<Option<KnownClaim>, Failure> {
    let sighting = sighted(unit, app, host, copy, Seen::First)?;
    keys::end_unused(unit, host.id, &Author::system())?;
    if full(unit.tx, host)?.is_some() {
        tell_full(unit, host, copy)?;
        return Ok(None);
    }
    let row = row(unit, host, copy, sighting);
    if !unit.tx.claim_insert(&row)? {
        return Err(StoreError::Conflict.into());
    }
    let author = copy.author();
    let suspected = Fact::new(Happening::CloneSuspected, host.team_id, &author, host.id).of_host(host.id);
    let details = json!({ "claim_id": row.id, "sighting": row.sighting });
    unit.happened(suspected.outcome("refused").details(details));
    claim::tell_opened(unit, &row, &author);
    Ok(Some(KnownClaim { id: row.id, ticket_id: None, reason: row.reason, state: row.state }))
}

/// Whether a start of a machine showed itself before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It has no claim.
    First,
    /// Its claim waits.
    Again,
}

/// Whether a host stands where a copy would put it. One start suspends it once: a person who resumes it while the claim
/// waits knows of that.
fn stands_so(host: &HostView, becomes: CopyConsequence, seen: Seen) -> bool {
    match becomes {
        CopyConsequence::WorksOn => true,
        CopyConsequence::Held => host.held,
        CopyConsequence::Suspended => host.state != HostState::Active || seen == Seen::Again,
    }
}

/// Whether a copy showed an older state than its host's machine went on with.
pub(super) fn is_older(tx: &mut Tx<'_>, app: &App, copy: &Copy) -> Result<bool, StoreError> {
    let known = tx.key_generation(&copy.former_key)?;
    Ok(judge(copy.shown, &known, app.installation.epoch) == Judgement::Stale)
}

fn sighting(
    unit: &mut Unit<'_, '_>,
    app: &App,
    host: &HostView,
    copy: &Copy,
    consequence: CopyConsequence,
) -> Result<Sighting, StoreError> {
    let known = unit.tx.key_generation(&copy.former_key)?;
    Ok(Sighting {
        cause: copy.cause,
        consequence,
        shown: copy.shown.map(counted),
        known: counted(known.committed),
        boot_id: copy.boot_id.clone(),
        holder_boot_id: unit.tx.boot_id_of_key(&copy.former_key)?,
        source: copy.source.clone(),
        holder_source: app.hub.source_of(host.id),
        holder_connected: host.connected,
        holder_seen_at: host.seen_at,
        at: unit.now,
    })
}

const fn counted(generation: Generation) -> CountedState {
    CountedState { epoch: generation.epoch, counter: generation.counter }
}

fn row(unit: &mut Unit<'_, '_>, host: &HostRow, copy: &Copy, sighting: Sighting) -> ClaimRow {
    let (machine, key_material) = copy.own.clone().unwrap_or_else(|| (like_its_host(host, copy), Vec::new()));
    ClaimRow {
        id: ClaimId::from_uuid(unit.draw.uuid(unit.now)),
        team_id: host.team_id,
        site_id: host.site_id,
        ticket_id: None,
        host_id: Some(host.id),
        reason: ClaimReason::Clone,
        state: ClaimState::Waiting,
        machine,
        key_material,
        source_address: copy.source.clone(),
        created_at: unit.now,
        expires_at: unit.now.plus(CLAIM_LIFE),
        decided_at: None,
        decided_by: None,
        result_host_id: None,
        former_key: Some(copy.former_key),
        boot_id: Some(copy.boot_id.clone()),
        sighting: Some(sighting),
    }
}

/// A copy that was sent away before it said anything of itself looks like its host.
fn like_its_host(host: &HostRow, copy: &Copy) -> Machine {
    if let Some(arrival) = &host.arrival {
        return Machine {
            key: copy.former_key,
            uid: arrival.machine_uid,
            hostname: arrival.hostname.clone(),
            facts: arrival.facts.clone(),
            labels: arrival.labels.clone(),
        };
    }
    let unknown = "unknown";
    Machine {
        key: copy.former_key,
        uid: MachineUid::from_sha256(UidSource::Random, &sha256(host.id.uuid().as_bytes())),
        hostname: Hostname::parse(unknown).expect("one word is a name"),
        facts: Facts {
            os: Line::parse(unknown).expect("one word is one line"),
            arch: Line::parse(unknown).expect("one word is one line"),
            cpu_cores: Whole::clamped(1),
            memory_mb: Whole::clamped(1),
            disk_gb: Whole::clamped(0),
            address: None,
            versions: [].into_iter().collect(),
        },
        labels: Labels::default(),
    }
}

/// Where as many claims wait as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    /// Of copies, at their host.
    Host,
    /// Of all kinds, at the site.
    Site,
}

fn full(tx: &mut Tx<'_>, host: &HostRow) -> Result<Option<Full>, StoreError> {
    if tx.copies_waiting(host.team_id, host.id, COPIES_PER_HOST)? >= COPIES_PER_HOST {
        return Ok(Some(Full::Host));
    }
    let at_site = tx.claims_at_site(host.site_id, CLAIMS_PER_SITE)?;
    Ok((at_site >= CLAIMS_PER_SITE).then_some(Full::Site))
}

/// Whether there is no room for another copy of a host, and that was told lately.
pub(super) fn is_full_and_told(tx: &mut Tx<'_>, host: &HostRow, now: Timestamp) -> Result<bool, StoreError> {
    let told_at = match full(tx, host)? {
        None => return Ok(false),
        Some(Full::Host) => tx.copies_full_at(host.team_id, host.id)?,
        Some(Full::Site) => tx.site_full_at(host.team_id, host.site_id)?,
    };
    Ok(told_at.is_some_and(|at| at > now.minus(FULL_TOLD_EVERY)))
}

/// One event, however many copies come.
pub(super) fn tell_full(unit: &mut Unit<'_, '_>, host: &HostRow, copy: &Copy) -> Result<(), Failure> {
    let Some(full) = full(unit.tx, host)? else { return Ok(()) };
    let (now, since) = (unit.now, unit.now.minus(FULL_TOLD_EVERY));
    let (is_news, subject) = match full {
        Full::Host => (unit.tx.copies_full_told(host.team_id, host.id, since, now)?, host.id.to_string()),
        Full::Site => {
            (unit.tx.site_full_told(host.team_id, host.site_id, since, now)?, host.site_id.to_string())
        }
    };
    if is_news {
        let details = json!({ "site_id": host.site_id, "key": copy.former_key, "source": copy.source });
        let fact = Fact::new(Happening::ClaimsFull, host.team_id, &copy.author(), subject);
        unit.happened(fact.of_host(host.id).outcome("refused").details(details));
    }
    Ok(())
}

/// Decides the claim of a copy as a person says, if they saw what it rests on.
pub(super) fn decide<P>(
    unit: &mut Unit<'_, '_>,
    app: &App,
    actor: &Actor<P>,
    claim: &ClaimRow,
    decision: &DecideClaim,
) -> Result<(), Failure> {
    let author = &actor.author();
    let host_id = claim.host_id.ok_or_else(|| Failure::internal("a copy of no host"))?;
    let team_id = claim.team_id;
    // A copy may have made itself a key since: that one is locked, or the closure begins again.
    unit.tx.lock(&[
        Lock::shared(LockKey::Site(claim.site_id)),
        Lock::exclusive(LockKey::Uid(team_id, claim.machine.uid)),
        Lock::exclusive(LockKey::Host(host_id)),
        Lock::exclusive(LockKey::Key(claim.machine.key)),
    ])?;
    let shown = claim::seen(unit, team_id, claim.id, decision)?;
    if (shown.row.machine.key, shown.row.machine.uid) != (claim.machine.key, claim.machine.uid) {
        return Err(StoreError::Conflict.into());
    }
    let claim = shown.row;
    let history = known::key_history(unit.tx, app, &claim.machine.key)?;
    let view = known::view(unit.tx, app, Some(host_id))?;
    let copy = WaitingCopy {
        has_own_key: claim.has_own_key(),
        history: &history,
        host: view.as_ref(),
        owner_of_uid: shown.owner_of_uid,
    };
    match admit_copy(&copy, decision.verdict) {
        Ok(None) => claim::end(unit, &claim, ClaimState::Rejected, None, author)?,
        Ok(Some(admission)) => {
            let host = unit.tx.host(team_id, host_id)?.ok_or(Failure::NotFound)?;
            claim::admit(unit, app, actor, &claim, Entrance::Copy(&host), admission, decision)?;
            if matches!(admission, Admission::Replace { .. }) {
                return Ok(());
            }
        }
        Err(Refusal::VerdictNotPossible) if !claim.has_own_key() => return Err(NO_KEY),
        Err(refusal) => return Err(refusal.into()),
    }
    hold::free_if_answered(unit, (team_id, host_id), author, Freed::Decided)?;
    Ok(())
}

const NO_KEY: Failure = Failure::conflict(
    "copy_has_no_key",
    "this machine made itself no key of its own yet, so there is nothing to admit it by: reject it, or wait until its agent asks",
);
