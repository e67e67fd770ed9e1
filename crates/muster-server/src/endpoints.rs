//! Endpoints: what is sealed of them, and what is shown.

use std::time::Duration;

use muster_domain::quiet;
use muster_ids::{EndpointId, TeamId, Timestamp};
use muster_keyring::{Keyring, OwnerKind, SealContext};
use muster_store::rows::{EndpointRow, TeamRow};
use muster_store::{Lock, LockKey, StoreError};
use muster_wire::bounds::Few;
use muster_wire::endpoint::{
    CreateEndpoint, Endpoint, EndpointKind, EndpointTarget, GroupFor, MadeEndpoint, Overlap,
    RotatedSigningSecret, SetEndpoint,
};
use muster_wire::happening::Happening;
use muster_wire::notification::{MailSecurity, QuietHours};
use muster_wire::permission::Permission;
use serde_json::json;
use zeroize::Zeroizing;

use crate::auth::{Actor, permits};
use crate::failure::Failure;
use crate::notify::webhook::SigningSecret;
use crate::notify::{OpenEndpoint, SealedEndpoint};
use crate::outbound::Gate;
use crate::secrets::open_team_key;
use crate::unit::{Fact, Unit};

/// Most endpoints of one team.
pub const MAX_ENDPOINTS: i64 = 64;
const PURPOSE: &str = "endpoint";
/// How long messages are signed with a rotated secret too, when nobody says.
const OVERLAP: Duration = Duration::from_secs(24 * 3600);
const NAME_TAKEN: Failure = Failure::conflict("name_taken", "the team has an endpoint of this name");

fn context<'a>(team_id: TeamId, id: &'a str, version: i64) -> SealContext<'a> {
    let owner_kind = OwnerKind::Endpoint;
    SealContext { purpose: PURPOSE, team_id, owner_kind, owner_id: id, name: "target", version }
}

/// Seals what an endpoint is, for its place and this version of it.
pub fn seal(
    unit: &mut Unit<'_, '_>,
    keyring: &Keyring,
    (team_id, id, version): (TeamId, EndpointId, i64),
    endpoint: &SealedEndpoint,
) -> Result<Vec<u8>, Failure> {
    let team = unit.tx.team(team_id)?.ok_or(Failure::NotFound)?;
    let key = open_team_key(keyring, team_id, &team.wrapped_key)?;
    let plain = Zeroizing::new(serde_json::to_vec(endpoint).map_err(Failure::internal)?);
    Ok(key.seal(&context(team_id, &id.to_string(), version), unit.draw.bytes(), &plain))
}

/// Opens an endpoint to send to it.
pub fn open(keyring: &Keyring, team: &TeamRow, row: &EndpointRow) -> Result<OpenEndpoint, Failure> {
    let unreadable = || Failure::SecretUnreadable { team_id: row.team_id, what: row.id.to_string() };
    let key = open_team_key(keyring, team.id, &team.wrapped_key)?;
    let id = row.id.to_string();
    let plain = key.open(&context(row.team_id, &id, row.version), &row.sealed).map_err(|_| unreadable())?;
    Ok(OpenEndpoint {
        id: Some(row.id),
        team_id: row.team_id,
        team_name: team.name.clone(),
        name: row.name.clone(),
        sealed: serde_json::from_slice(&plain).map_err(|_| unreadable())?,
    })
}

/// Checks what can be checked of a target without asking anybody; `at` is where it stands in the body.
pub fn check_target(gate: &Gate, target: &EndpointTarget, at: &str) -> Result<(), Failure> {
    let kind = target.kind();
    let refused =
        |field: &str, code: &str| Err(Failure::invalid(format!("{at}/{kind}/{field}"), code.to_owned()));
    let (field, url, is_encrypted) = match target {
        EndpointTarget::Email(config) if config.user.is_some() != config.password.is_some() => {
            return refused("password", "not_without_the_other");
        }
        EndpointTarget::Email(config) => {
            let host = config.server.in_url();
            (
                "server",
                format!("https://{host}:{}/", config.port.get()),
                config.security != MailSecurity::Plain,
            )
        }
        _ => match target.url() {
            Some(url) => ("url", url.expose().to_string(), url.is_https()),
            None => return Ok(()),
        },
    };
    if let Err(error) = gate.check_url(&url) {
        return refused(field, error.code());
    }
    // What names people chose lead to is looked at when a message is sent.
    let is_listed = |ip| gate.allowed.covers(ip);
    if !is_encrypted && muster_outbound::address_of(&url).is_some_and(|ip| !is_listed(ip)) {
        return refused(field, "not_encrypted");
    }
    Ok(())
}

/// Checks what says when an endpoint hears of events: a program hears of each, at once.
pub fn check_pace(
    kind: EndpointKind,
    group_for: Option<GroupFor>,
    quiet_hours: Option<&QuietHours>,
) -> Result<(), Failure> {
    if kind.is_for_programs() && group_for.is_some_and(|secs| secs.get() > 0) {
        return Err(Failure::invalid("/group_for_secs", "not_for_webhooks"));
    }
    let Some(hours) = quiet_hours else { return Ok(()) };
    if kind.is_for_programs() {
        return Err(Failure::invalid("/quiet_hours", "not_for_webhooks"));
    }
    quiet::check(hours).map_err(|(field, code)| Failure::invalid(format!("/quiet_hours/{field}"), code))
}

/// Makes an endpoint that hears of what happens from now on: what its maker may hear of themselves.
pub fn make(
    unit: &mut Unit<'_, '_>,
    keyring: &Keyring,
    actor: &Actor<permits::ManageEndpoints>,
    request: &CreateEndpoint,
) -> Result<MadeEndpoint, Failure> {
    actor.must_cover(Permission::ReadEvents)?;
    unit.tx.lock(&[Lock::exclusive(LockKey::Named("endpoints"))])?;
    if unit.tx.endpoints_count(actor.team_id)? >= MAX_ENDPOINTS {
        return Err(Failure::conflict("too_many_endpoints", "the team has as many endpoints as may be"));
    }
    let kind = request.target.kind();
    let id = EndpointId::from_uuid(unit.draw.uuid(unit.now));
    let signing = match kind {
        EndpointKind::Webhook => vec![SigningSecret::draw(&mut unit.draw)],
        _ => Vec::new(),
    };
    let sealed = SealedEndpoint { target: request.target.clone(), signing };
    let row = EndpointRow {
        id,
        team_id: actor.team_id,
        kind,
        name: request.name.to_string(),
        shown_target: request.target.shown(),
        sealed: seal(unit, keyring, (actor.team_id, id, 1), &sealed)?,
        version: 1,
        events: words(&request.events)?,
        quiet_hours: request.quiet_hours.clone(),
        group_for_secs: secs(request.group_for_secs),
        position: unit.tx.outbox_last()?,
        created_by: actor.user_id.to_string(),
        created_at: unit.now,
        updated_at: unit.now,
        paused_at: None,
        resumed_at: None,
        failing_since: None,
        failures: 0,
        next_try_at: Timestamp::from_millis(0),
        next_look_at: Timestamp::from_millis(0),
    };
    if !unit.tx.endpoint_insert(&row)? {
        return Err(NAME_TAKEN);
    }
    let fact = Fact::new(Happening::EndpointCreated, actor.team_id, &actor.author(), id);
    unit.happened(fact.details(json!({ "name": row.name, "kind": kind, "target": row.shown_target })));
    let signing_secret = sealed.signing.first().map(|secret| secret.expose().to_owned());
    Ok(MadeEndpoint { endpoint: view(row), signing_secret })
}

/// Locks an endpoint of the actor's team and returns it.
pub fn locked(
    unit: &mut Unit<'_, '_>,
    actor: &Actor<permits::ManageEndpoints>,
    id: EndpointId,
) -> Result<EndpointRow, Failure> {
    unit.tx.lock(&[Lock::exclusive(LockKey::Endpoint(id))])?;
    unit.tx.endpoint(actor.team_id, id)?.ok_or(Failure::NotFound)
}

/// Changes an endpoint, which is locked. Its kind stays; its signing secrets move with it.
pub fn set(
    unit: &mut Unit<'_, '_>,
    keyring: &Keyring,
    actor: &Actor<permits::ManageEndpoints>,
    before: &EndpointRow,
    request: &SetEndpoint,
) -> Result<Endpoint, Failure> {
    actor.must_cover(Permission::ReadEvents)?;
    let id = before.id;
    check_pace(before.kind, request.group_for_secs, request.quiet_hours.as_ref())?;
    if request.target.as_ref().is_some_and(|target| target.kind() != before.kind) {
        return Err(Failure::invalid("/target", "another_kind"));
    }
    if unit.tx.endpoint_name_is_taken(actor.team_id, request.name.as_str(), id)? {
        return Err(NAME_TAKEN);
    }
    let mut row = EndpointRow {
        name: request.name.to_string(),
        events: words(&request.events)?,
        quiet_hours: request.quiet_hours.clone(),
        group_for_secs: secs(request.group_for_secs),
        updated_at: unit.now,
        ..before.clone()
    };
    if let Some(target) = &request.target {
        let mut sealed = opened(unit, keyring, before)?;
        sealed.target = target.clone();
        row.shown_target = target.shown();
        reseal(unit, keyring, &mut row, &sealed)?;
    }
    store(unit, &row, before.version)?;
    let fact = Fact::new(Happening::EndpointChanged, actor.team_id, &actor.author(), id);
    let details = json!({ "name": row.name, "kind": row.kind, "target": row.shown_target });
    unit.happened(fact.changed(changed(before, &row, request.target.is_some())).details(details));
    Ok(view(row))
}

/// Makes another signing secret of an endpoint, which is locked; the one before is used beside it for a while.
pub fn rotate(
    unit: &mut Unit<'_, '_>,
    keyring: &Keyring,
    before: EndpointRow,
    overlap: Option<Overlap>,
) -> Result<RotatedSigningSecret, Failure> {
    let mut sealed = opened(unit, keyring, &before)?;
    let former_until = unit.now.plus(overlap.map_or(OVERLAP, |secs| Duration::from_secs(secs.get())));
    // Only one former secret: a second rotation ends the first one.
    sealed.signing.truncate(1);
    for former in &mut sealed.signing {
        former.until = Some(former_until);
    }
    let secret = SigningSecret::draw(&mut unit.draw);
    let signing_secret = secret.expose().to_owned();
    sealed.signing.insert(0, secret);
    let from = before.version;
    let mut row = EndpointRow { updated_at: unit.now, ..before };
    reseal(unit, keyring, &mut row, &sealed)?;
    store(unit, &row, from)?;
    Ok(RotatedSigningSecret { signing_secret, former_until })
}

fn opened(unit: &mut Unit<'_, '_>, keyring: &Keyring, row: &EndpointRow) -> Result<SealedEndpoint, Failure> {
    let team = unit.tx.team(row.team_id)?.ok_or(Failure::NotFound)?;
    Ok(open(keyring, &team, row)?.sealed)
}

fn reseal(
    unit: &mut Unit<'_, '_>,
    keyring: &Keyring,
    row: &mut EndpointRow,
    sealed: &SealedEndpoint,
) -> Result<(), Failure> {
    row.version += 1;
    row.sealed = seal(unit, keyring, (row.team_id, row.id, row.version), sealed)?;
    Ok(())
}

fn store(unit: &mut Unit<'_, '_>, row: &EndpointRow, from: i64) -> Result<(), Failure> {
    if unit.tx.endpoint_replace(row, from)? { Ok(()) } else { Err(StoreError::Conflict.into()) }
}

fn changed(before: &EndpointRow, after: &EndpointRow, is_moved: bool) -> Vec<&'static str> {
    [
        ("name", before.name != after.name),
        ("target", is_moved),
        ("events", before.events != after.events),
        ("group_for_secs", before.group_for_secs != after.group_for_secs),
        ("quiet_hours", before.quiet_hours != after.quiet_hours),
    ]
    .into_iter()
    .filter_map(|(field, is_changed)| is_changed.then_some(field))
    .collect()
}

/// Returns the words of the kinds an endpoint hears of, each of which events tell of.
fn words<const MAX: usize>(kinds: &Few<Happening, MAX>) -> Result<Vec<String>, Failure> {
    let told = |kind: &Happening| {
        let untold = || Failure::invalid("/events", "never_told");
        kind.is_told().then(|| kind.as_str().to_owned()).ok_or_else(untold)
    };
    kinds.iter().map(told).collect()
}

fn secs(group_for: Option<GroupFor>) -> u32 {
    group_for.and_then(|secs| u32::try_from(secs.get()).ok()).unwrap_or_default()
}

/// Shows an endpoint.
pub fn view(row: EndpointRow) -> Endpoint {
    Endpoint {
        id: row.id,
        kind: row.kind,
        name: row.name,
        shown_target: row.shown_target,
        events: row.events,
        group_for_secs: row.group_for_secs.into(),
        quiet_hours: row.quiet_hours,
        created_by: row.created_by,
        created_at: row.created_at,
        updated_at: row.updated_at,
        paused_at: row.paused_at,
        failing_since: row.failing_since,
    }
}
