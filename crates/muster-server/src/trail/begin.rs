//! Where the chain ends before anything was sealed, and after version 1.
//!
//! Whoever empties the trail of a stopped server leaves nothing that could pass for a beginning: that one is kept when
//! the installation is made, and only while there is nobody.
//!
//! Version 1 kept the end of the chain without a tag, and its rows waited for their place without a proof. Both are taken
//! over when the server starts, as long as the last link is one that version 1 made: over a row without role and fields,
//! with the server's key. Whoever takes the trail of a stopped server back to such a row has an older state of it, which
//! only an anchor tells; a trail that never saw version 1 has no such row.

use std::sync::Arc;

use muster_keyring::Keyring;
use muster_store::rows::{AuditRow, ChainHead};
use muster_store::{Priority, Store, StoreError, Tx};

use super::{keep_head, sealer_lock};

/// Rows that one transaction proves.
const BATCH: i64 = 200;

/// Keeps where the chain ends, if nothing tagged is kept and it is clear where that is; before anything is sealed.
pub(crate) async fn begin(store: &Store, keyring: &Arc<Keyring>) -> Result<(), StoreError> {
    loop {
        let keyring = Arc::clone(keyring);
        let step = store.write(Priority::Urgent, move |tx: &mut Tx<'_>| begin_some(tx, &keyring));
        if step.await? {
            return Ok(());
        }
    }
}

/// `false`: there is more to do. The end is tagged last, so that a start that broke off goes on.
fn begin_some(tx: &mut Tx<'_>, keyring: &Keyring) -> Result<bool, StoreError> {
    tx.lock(&[sealer_lock()])?;
    let last = tx.audit_last()?;
    match tx.audit_head()? {
        None if last == ChainHead::START && !tx.people_exist()? => {}
        Some(kept) if kept == untagged(&last) && is_of_version_1(tx, keyring, &last)? => {
            let waiting = tx.audit_unproved(BATCH)?;
            for row in waiting.iter().filter(|row| is_written_by_version_1(row)) {
                tx.audit_prove(row.id, &keyring.audit_written(&row.chained_text()))?;
            }
            if waiting.iter().any(is_written_by_version_1) {
                return Ok(false);
            }
        }
        _ => return Ok(true),
    }
    keep_head(tx, keyring, &last)?;
    Ok(true)
}

fn untagged(link: &ChainHead) -> Vec<u8> {
    [&link.position.to_be_bytes()[..], &link.mac].concat()
}

fn is_of_version_1(tx: &mut Tx<'_>, keyring: &Keyring, last: &ChainHead) -> Result<bool, StoreError> {
    let before = match last.position - 1 {
        0 => Some(ChainHead::START.mac),
        position => tx.audit_link(position)?.flatten(),
    };
    let row = tx.audit_after(last.position - 1, 1)?.pop().and_then(|found| found.row);
    let (Some(before), Some(row)) = (before, row) else { return Ok(false) };
    let mac = keyring.audit_mac(&before, last.position, &row.chained_text());
    Ok(is_written_by_version_1(&row) && mac == last.mac)
}

fn is_written_by_version_1(row: &AuditRow) -> bool {
    row.role.is_none() && row.changed.is_none() && row.host_id.is_none()
}
