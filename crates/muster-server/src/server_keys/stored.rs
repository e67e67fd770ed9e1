//! The server's own keys in the database: sealed, each bound to its place.

use std::sync::Arc;

use muster_domain::server_keys::{Overlap, Said, ServerKeys, say};
use muster_ids::{KeyThumbprint, Timestamp};
use muster_keyring::Keyring;
use muster_proof::HostKey;
use muster_store::{Priority, Store, StoreError, Tx};
use serde::{Deserialize, Serialize};

use super::InstructionKeys;
use crate::failure::Failure;
use crate::tls::Tls;

pub(super) const CURRENT: &str = "instruction_key";
pub(super) const NEXT: &str = "instruction_key_next";
pub(super) const FORMER: &str = "instruction_key_former";
const OVERLAP: &str = "instruction_key_overlap";
const SAID: &str = "pins";

#[derive(Serialize, Deserialize)]
struct OverlapRecord {
    announced_at: Timestamp,
    switched_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct SaidRecord {
    /// A restored server says everything anew: what it said after its backup was made is newer than what it knows.
    epoch: u32,
    issued_at: Timestamp,
    current: Vec<String>,
    next: Vec<String>,
    instruction: KeyThumbprint,
    next_instruction: Option<KeyThumbprint>,
    next_since: Timestamp,
    next_instruction_since: Timestamp,
}

/// What the transaction that opens the installation begins with: the first key, unless there is one.
pub(crate) fn begin(tx: &mut Tx<'_>, sealed_first: &[u8]) -> Result<(), StoreError> {
    tx.installation_insert(CURRENT, sealed_first).map(drop)
}

/// Makes the key a new installation begins with, sealed.
pub(crate) fn first(keyring: &Keyring, nonce: [u8; 12]) -> Vec<u8> {
    keyring.seal_installation(CURRENT, nonce, &HostKey::generate().to_pkcs8())
}

/// Reads the keys; what was never said of them is said now.
pub(crate) async fn open(
    store: &Store,
    keyring: &Arc<Keyring>,
    tls: &Arc<Tls>,
    epoch: u32,
    now: Timestamp,
) -> Result<InstructionKeys, Failure> {
    let inner = Arc::clone(keyring);
    if let Some(keys) = store.read(move |tx| load(tx, &inner, epoch)).await? {
        return Ok(keys);
    }
    let (inner, tls) = (Arc::clone(keyring), Arc::clone(tls));
    let first = move |tx: &mut Tx<'_>| {
        let (_, said) = say_anew(tx, &inner, &tls, epoch, now)?;
        keys(tx, &inner, said)
    };
    store.write(Priority::Urgent, first).await
}

/// Reads the keys and what was said of them last.
pub(super) fn load(
    tx: &mut Tx<'_>,
    keyring: &Keyring,
    epoch: u32,
) -> Result<Option<InstructionKeys>, Failure> {
    let Some(said) = said(tx, epoch)? else { return Ok(None) };
    keys(tx, keyring, said).map(Some)
}

fn keys(tx: &mut Tx<'_>, keyring: &Keyring, said: Said) -> Result<InstructionKeys, Failure> {
    let gone = || StoreError::corrupt("a fact of the installation is gone");
    let current = key(tx, keyring, CURRENT)?.ok_or_else(gone)?;
    let next = key(tx, keyring, NEXT)?;
    let former = match (key(tx, keyring, FORMER)?, tx.installation(OVERLAP)?) {
        (Some(former), Some(json)) => {
            let OverlapRecord { announced_at, switched_at } = parse(&json)?;
            Some((former, Overlap { announced_at, switched_at }))
        }
        _ => None,
    };
    Ok(InstructionKeys { current, next, former, said })
}

/// Says what is true now, if that is not what was said last. Returns what was said before, and what is said now.
pub(super) fn say_anew(
    tx: &mut Tx<'_>,
    keyring: &Keyring,
    tls: &Tls,
    epoch: u32,
    now: Timestamp,
) -> Result<(Option<Said>, Said), Failure> {
    let gone = || StoreError::corrupt("a fact of the installation is gone");
    let thumbprint = |key: Option<HostKey>| key.map(|key| key.thumbprint());
    let instruction = thumbprint(key(tx, keyring, CURRENT)?).ok_or_else(gone)?;
    let next_instruction = thumbprint(key(tx, keyring, NEXT)?);
    let as_is = ServerKeys { current: tls.pins(), next: tls.next_pins(), instruction, next_instruction };
    let before = said(tx, epoch)?;
    match (say(before.as_ref(), &as_is, now), before) {
        (Some(anew), before) => {
            store_said(tx, epoch, &anew)?;
            Ok((before, anew))
        }
        (None, Some(before)) => Ok((Some(before.clone()), before)),
        (None, None) => Err(Failure::internal("nothing was ever said of the keys")),
    }
}

/// Returns the pins hosts were told of last, shown and to be shown, whichever epoch said so. None: nothing is pinned.
pub(super) fn told_pins(tx: &mut Tx<'_>) -> Result<Vec<String>, Failure> {
    let Some(json) = tx.installation(SAID)? else { return Ok(Vec::new()) };
    let SaidRecord { current, next, .. } = parse(&json)?;
    Ok(if current.is_empty() { current } else { [current, next].concat() })
}

pub(super) fn said(tx: &mut Tx<'_>, epoch: u32) -> Result<Option<Said>, Failure> {
    let Some(json) = tx.installation(SAID)? else { return Ok(None) };
    let record: SaidRecord = parse(&json)?;
    if record.epoch != epoch {
        return Ok(None);
    }
    let keys = ServerKeys {
        current: record.current,
        next: record.next,
        instruction: record.instruction,
        next_instruction: record.next_instruction,
    };
    Ok(Some(Said {
        issued_at: record.issued_at,
        keys,
        next_since: record.next_since,
        next_instruction_since: record.next_instruction_since,
    }))
}

fn store_said(tx: &mut Tx<'_>, epoch: u32, said: &Said) -> Result<(), Failure> {
    let Said { issued_at, keys, next_since, next_instruction_since } = said.clone();
    let record = SaidRecord {
        epoch,
        issued_at,
        current: keys.current,
        next: keys.next,
        instruction: keys.instruction,
        next_instruction: keys.next_instruction,
        next_since,
        next_instruction_since,
    };
    Ok(tx.installation_set(SAID, &serde_json::to_vec(&record).map_err(Failure::internal)?)?)
}

pub(super) fn store_overlap(tx: &mut Tx<'_>, overlap: Overlap) -> Result<(), Failure> {
    let Overlap { announced_at, switched_at } = overlap;
    let record = OverlapRecord { announced_at, switched_at };
    Ok(tx.installation_set(OVERLAP, &serde_json::to_vec(&record).map_err(Failure::internal)?)?)
}

pub(super) fn forget_former(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.installation_remove(FORMER)?;
    tx.installation_remove(OVERLAP)
}

/// Opens a key at its place.
pub(super) fn key(tx: &mut Tx<'_>, keyring: &Keyring, place: &str) -> Result<Option<HostKey>, Failure> {
    let Some(sealed) = tx.installation(place)? else { return Ok(None) };
    let pkcs8 = keyring.open_installation(place, &sealed).map_err(Failure::internal)?;
    Ok(Some(HostKey::from_pkcs8(&pkcs8).map_err(Failure::internal)?))
}

fn parse<T: for<'de> Deserialize<'de>>(json: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(json).map_err(Failure::internal)
}
