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

use crate::failure::{Failure, Named};
use crate::host_config;
use crate::unit::Unit;

/// Most secrets of one owner: all of a host's fit one frame of its channel.
pub const MAX_SECRETS: usize = 64;
/// Most sealed bytes of one owner.
const MAX_SEALED: u64 = 768 * 1024;
const PURPOSE: &str = "secret";
/// Rows of the ledger that go when values change, about; what is left goes with the next change.
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
    let owners = Owners { team_id: owner.team_id, kind: owner.kind, ids: vec![owner.id.clone()] };
    let set = put_all(unit, keyring, &owners, &Patch { name, document: patch, at })?;
    set.into_iter().next().ok_or_else(|| Failure::internal("a secret was set and is not there"))
}

/// Several of one kind and team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owners {
    team_id: TeamId,
    kind: OwnerKind,
    ids: Vec<String>,
}

impl Owners {
    /// Hosts.
    pub fn hosts(team_id: TeamId, ids: &[HostId]) -> Self {
        Self { team_id, kind: OwnerKind::Host, ids: ids.iter().map(HostId::to_string).collect() }
    }

    /// Tickets.
    pub fn tickets(team_id: TeamId, ids: &[TicketId]) -> Self {
        Self { team_id, kind: OwnerKind::Ticket, ids: ids.iter().map(TicketId::to_string).collect() }
    }

    /// Says of a refusal which host it is about, if the owner is one.
    fn refusal_of(&self, owner_id: &str, refusal: Failure) -> Failure {
        match owner_id.parse() {
            Ok(host_id) if self.kind == OwnerKind::Host => refusal.of(Named::Host(host_id)),
            _ => refusal,
        }
    }
}

/// What is merged, and where it stands in the request's body.
#[derive(Debug, Clone, Copy)]
pub struct Patch<'a> {
    /// The name of the secret.
    pub name: &'a SecretName,
    /// The document.
    pub document: &'a Document,
    /// A JSON Pointer.
    pub at: &'a str,
}

/// Does for each owner what [`put`] does for one, and returns the secrets in the order of the owners: all of them, or
/// none. So many statements are few round trips.
pub fn put_all(
    unit: &mut Unit<'_, '_>,
    keyring: &Keyring,
    owners: &Owners,
    patch: &Patch<'_>,
) -> Result<Vec<SecretRow>, Failure> {
    let Owners { team_id, kind, ids } = owners;
    let (kind, name) = (kind.as_str(), patch.name.as_str());
    let team_key = team_key(unit, keyring, *team_id)?;
    let current = unit.tx.secrets_of_name(*team_id, kind, ids, name)?;
    let beside = unit.tx.secrets_beside(*team_id, kind, ids, name)?;
    // What is refused where no owner has such a secret is refused of the document, whoever gets it.
    let is_merged = current.iter().any(Option::is_some);
    let mut set = Vec::with_capacity(ids.len());
    for ((owner_id, current), (others, bytes)) in ids.iter().zip(&current).zip(beside) {
        let of_owner = |code| owners.refusal_of(owner_id, Failure::invalid(patch.at.to_owned(), code));
        if current.is_none() && others >= MAX_SECRETS as u64 {
            return Err(of_owner("too_many"));
        }
        let row = next(unit, &team_key, (owners, owner_id), current.as_ref(), patch);
        let row =
            row.map_err(|refusal| if is_merged { owners.refusal_of(owner_id, refusal) } else { refusal })?;
        if bytes + row.blob.len() as u64 > MAX_SEALED {
            return Err(of_owner("too_long"));
        }
        set.push(row);
    }
    let from = current.iter().map(|current| current.as_ref().map(|row| row.version));
    store_all(unit, &set.iter().zip(from).collect::<Vec<_>>())?;
    Ok(set)
}

/// Returns the next version of an owner's secret, sealed for its place.
fn next(
    unit: &mut Unit<'_, '_>,
    team_key: &TeamKey,
    (owners, owner_id): (&Owners, &str),
    current: Option<&SecretRow>,
    patch: &Patch<'_>,
) -> Result<SecretRow, Failure> {
    let before = current.map(|row| open(team_key, row)).transpose()?.unwrap_or_default();
    let document = rules::merge(&before, patch.document);
    check(patch.name, &document, patch.at)?;
    let mut row = SecretRow {
        id: current.map_or_else(|| SecretId::from_uuid(unit.draw.uuid(unit.now)), |row| row.id),
        team_id: owners.team_id,
        owner_kind: owners.kind.as_str().to_owned(),
        owner_id: owner_id.to_owned(),
        name: patch.name.to_string(),
        version: current.map_or(0, |row| row.version) + 1,
        fields: document.field_names(),
        blob: Vec::new(),
        updated_at: unit.now,
    };
    let plain = Zeroizing::new(serde_json::to_vec(&document).map_err(Failure::internal)?);
    row.blob = seal(unit, team_key, &row, &plain)?;
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

/// Destroys every secret of these owners, with its ledger. Returns how many.
pub fn destroy_owned(unit: &mut Unit<'_, '_>, owners: &Owners) -> Result<u64, Failure> {
    let Owners { team_id, kind, ids } = owners;
    let destroyed = unit.tx.secrets_delete_owned(*team_id, kind.as_str(), ids)?;
    if *kind == OwnerKind::Host {
        let had_some = ids.iter().zip(&destroyed).filter(|(_, many)| **many > 0);
        let hosts: Result<Vec<HostId>, _> = had_some.map(|(id, _)| id.parse()).collect();
        host_config::all_changed(unit, &hosts.map_err(Failure::internal)?)?;
    }
    Ok(destroyed.iter().sum())
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

fn store(unit: &mut Unit<'_, '_>, row: &SecretRow, from: Option<i64>) -> Result<(), Failure> {
    store_all(unit, &[(row, from)])
}

/// Stores each over the version it was read at. Two people may set one secret at once: the second one runs again over
/// what the first one left.
fn store_all(unit: &mut Unit<'_, '_>, rows: &[(&SecretRow, Option<i64>)]) -> Result<(), Failure> {
    let made: Vec<&SecretRow> = rows.iter().filter(|(_, from)| from.is_none()).map(|(row, _)| *row).collect();
    let changed: Vec<(&SecretRow, i64)> =
        rows.iter().filter_map(|(row, from)| Some((*row, (*from)?))).collect();
    let are_made = unit.tx.secrets_insert(&made)? == made.len() as u64;
    if !are_made || unit.tx.secrets_replace(&changed)?.contains(&false) {
        return Err(StoreError::Conflict.into());
    }
    let kept = crate::settings::value(unit.tx, SettingName::SecretLedgerVersions)?;
    let through = rows.iter().map(|(row, _)| (row.id, row.version.saturating_sub_unsigned(kept)));
    let through: Vec<(SecretId, i64)> = through.filter(|(_, through)| *through > 0).collect();
    unit.tx.secret_ledgers_drop(&through, (LEDGER_BATCH / through.len().max(1) as i64).max(1))?;
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
