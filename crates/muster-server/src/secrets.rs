//! Secrets: sealed for their place, merged, moved from a ticket to its host, destroyed with their owner.
//!
//! No function here returns a value to a person. A row that does not open at its place — changed, swapped, from
//! another team — fails the whole transaction and raises `secret.unreadable`; nothing ever goes on without it.

use muster_domain::secret::{self as rules, SecretRefusal};
use muster_ids::{HostId, SecretId, TeamId, TicketId};
use muster_keyring::{Keyring, OwnerKind, SealContext, TeamKey};
use muster_store::StoreError;
use muster_store::rows::SecretRow;
use muster_wire::secret::Document;
use muster_wire::settings::SettingName;
use muster_wire::text::SecretName;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::host_config;
use crate::unit::Unit;

/// Most secrets of one owner: all of a host's fit one frame of its channel.
pub const MAX_SECRETS: usize = 64;
/// Most sealed bytes of one owner.
const MAX_SEALED: usize = 768 * 1024;
const PURPOSE: &str = "secret";
/// Rows of the ledger that go when a value changes; what is left goes with the next change.
const LEDGER_BATCH: i64 = 200;

/// Whose secrets they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    team_id: TeamId,
    kind: OwnerKind,
    id: String,
}

impl Owner {
    /// A ticket that carries secrets to its host.
    pub fn ticket(team_id: TeamId, id: &TicketId) -> Self {
        Self { team_id, kind: OwnerKind::Ticket, id: id.to_string() }
    }

    /// A host.
    pub fn host(team_id: TeamId, id: HostId) -> Self {
        Self { team_id, kind: OwnerKind::Host, id: id.to_string() }
    }
}

/// Checks a document that would be sealed; `at` as in [`put`].
pub fn check(name: &SecretName, document: &Document, at: &str) -> Result<(), Failure> {
    rules::check(name.as_str(), document).map_err(|refusal| refused(refusal, at))
}

/// Merges `patch` into the owner's secret of that name (RFC 7396), or makes it. `at` is where the document stands in
/// the request's body, as a JSON Pointer.
pub fn put(
    unit: &mut Unit<'_, '_>,
    keyring: &Keyring,
    owner: &Owner,
    name: &SecretName,
    patch: &Document,
    at: &str,
) -> Result<SecretRow, Failure> {
    let team_key = team_key(unit, keyring, owner.team_id)?;
    let owned = unit.tx.secrets_owned(owner.team_id, owner.kind.as_str(), &owner.id)?;
    let current = owned.iter().find(|row| row.name == name.as_str());
    let before = match current {
        Some(row) => open(&team_key, row)?,
        None if owned.len() >= MAX_SECRETS => return Err(Failure::invalid(at.to_owned(), "too_many")),
        None => Document::default(),
    };
    let document = rules::merge(&before, patch);
    check(name, &document, at)?;
    let mut row = SecretRow {
        id: current.map_or_else(|| SecretId::from_uuid(unit.draw.uuid(unit.now)), |row| row.id),
        team_id: owner.team_id,
        owner_kind: owner.kind.as_str().to_owned(),
        owner_id: owner.id.clone(),
        name: name.to_string(),
        version: current.map_or(0, |row| row.version) + 1,
        fields: document.field_names(),
        blob: Vec::new(),
        updated_at: unit.now,
    };
    let plain = Zeroizing::new(serde_json::to_vec(&document).map_err(Failure::internal)?);
    row.blob = seal(unit, &team_key, &row, &plain)?;
    let others: usize = owned.iter().filter(|other| other.id != row.id).map(|other| other.blob.len()).sum();
    if others + row.blob.len() > MAX_SEALED {
        return Err(Failure::invalid(at.to_owned(), "too_long".to_owned()));
    }
    store(unit, &row, current.map(|row| row.version))?;
    Ok(row)
}

/// Moves the secrets of a ticket to its host: opened at the one place, sealed anew for the other. Returns how many.
///
/// A secret the host already has under a name gets the ticket's value as its next version.
pub fn bind_to_host(
    unit: &mut Unit<'_, '_>,
    keyring: &Keyring,
    team_id: TeamId,
    ticket_id: &TicketId,
    host_id: HostId,
) -> Result<usize, Failure> {
    let rows = unit.tx.secrets_owned(team_id, OwnerKind::Ticket.as_str(), ticket_id.as_str())?;
    if rows.is_empty() {
        return Ok(0);
    }
    let team_key = team_key(unit, keyring, team_id)?;
    let host = Owner::host(team_id, host_id);
    for row in &rows {
        let plain = open_bytes(&team_key, row)?;
        let current = unit.tx.secret(team_id, host.kind.as_str(), &host.id, &row.name)?;
        let mut moved = SecretRow {
            owner_kind: host.kind.as_str().to_owned(),
            owner_id: host.id.clone(),
            updated_at: unit.now,
            ..row.clone()
        };
        let from = match current {
            Some(current) => {
                unit.tx.secret_delete(team_id, row.id)?;
                (moved.id, moved.version) = (current.id, current.version + 1);
                current.version
            }
            None => row.version,
        };
        moved.blob = seal(unit, &team_key, &moved, &plain)?;
        store(unit, &moved, Some(from))?;
    }
    host_config::changed(unit, host_id)?;
    Ok(rows.len())
}

/// Destroys every secret of an owner, with its ledger. Returns how many.
pub fn destroy_owned(
    unit: &mut Unit<'_, '_>,
    team_id: TeamId,
    kind: OwnerKind,
    owner_id: &str,
) -> Result<usize, Failure> {
    let rows = unit.tx.secrets_owned(team_id, kind.as_str(), owner_id)?;
    for row in &rows {
        unit.tx.secret_delete(team_id, row.id)?;
    }
    if kind == OwnerKind::Host && !rows.is_empty() {
        host_config::changed(unit, owner_id.parse().map_err(Failure::internal)?)?;
    }
    Ok(rows.len())
}

/// Unwraps a team's data key.
pub(crate) fn open_team_key(keyring: &Keyring, team_id: TeamId, wrapped: &[u8]) -> Result<TeamKey, Failure> {
    keyring
        .open_team_key(team_id, wrapped)
        .map_err(|_| Failure::SecretUnreadable { team_id, what: format!("data key of {team_id}") })
}

/// Opens a secret at its place.
pub(crate) fn open(team_key: &TeamKey, row: &SecretRow) -> Result<Document, Failure> {
    let plain = open_bytes(team_key, row)?;
    serde_json::from_slice(&plain).map_err(|_| unreadable(row))
}

fn open_bytes(team_key: &TeamKey, row: &SecretRow) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let context = context(row).ok_or_else(|| unreadable(row))?;
    team_key.open(&context, &row.blob).map_err(|_| unreadable(row))
}

fn seal(
    unit: &mut Unit<'_, '_>,
    team_key: &TeamKey,
    row: &SecretRow,
    plain: &[u8],
) -> Result<Vec<u8>, Failure> {
    let context = context(row).ok_or_else(|| unreadable(row))?;
    Ok(team_key.seal(&context, unit.draw.bytes(), plain))
}

fn context(row: &SecretRow) -> Option<SealContext<'_>> {
    const KINDS: [OwnerKind; 4] = [OwnerKind::Ticket, OwnerKind::Host, OwnerKind::Repository, OwnerKind::Job];
    Some(SealContext {
        purpose: PURPOSE,
        team_id: row.team_id,
        owner_kind: KINDS.into_iter().find(|kind| kind.as_str() == row.owner_kind)?,
        owner_id: &row.owner_id,
        name: &row.name,
        version: row.version,
    })
}

fn team_key(unit: &mut Unit<'_, '_>, keyring: &Keyring, team_id: TeamId) -> Result<TeamKey, Failure> {
    let team = unit.tx.team(team_id)?.ok_or(Failure::NotFound)?;
    open_team_key(keyring, team_id, &team.wrapped_key)
}

/// Two people may set one secret at once: the second one runs again over what the first one left.
fn store(unit: &mut Unit<'_, '_>, row: &SecretRow, from: Option<i64>) -> Result<(), Failure> {
    let stored = match from {
        Some(from) => unit.tx.secret_replace(row, from)?,
        None => unit.tx.secret_insert(row)?,
    };
    if !stored {
        return Err(StoreError::Conflict.into());
    }
    let kept = crate::settings::value(unit.tx, SettingName::SecretLedgerVersions)?;
    let through = row.version.saturating_sub_unsigned(kept);
    if through > 0 {
        unit.tx.secret_ledger_drop(row.id, through, LEDGER_BATCH)?;
    }
    Ok(())
}

fn refused(refusal: SecretRefusal, at: &str) -> Failure {
    let (pointer, code) = match refusal {
        SecretRefusal::Field(fault) => (format!("{at}{}", fault.pointer()), fault.code),
        SecretRefusal::UrlMalformed => (format!("{at}/url"), "malformed".to_owned()),
        SecretRefusal::SchemeNotAllowed => (format!("{at}/url"), "scheme_not_allowed".to_owned()),
        SecretRefusal::CredentialsInUrl => (format!("{at}/url"), "credentials_in_url".to_owned()),
        SecretRefusal::TooLong => (at.to_owned(), "too_long".to_owned()),
        SecretRefusal::Empty => (at.to_owned(), "empty".to_owned()),
    };
    Failure::invalid(pointer, code)
}

fn unreadable(row: &SecretRow) -> Failure {
    Failure::SecretUnreadable { team_id: row.team_id, what: row.id.to_string() }
}
