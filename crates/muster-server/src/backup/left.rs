//! What a restore leaves behind while it is not finished: nobody serves, or backs up, half a database.
//!
//! Two marks, for there are two places. A file in the data folder is there from the first to the last moment. A fact in the
//! database is there while rows are loaded. The last transaction takes the fact away and remembers which restore it was:
//! a file of the same restore that is still there was only not removed any more.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use muster_store::{Store, StoreError, Tx};

use super::CopyError;
use super::file;
use crate::installation::CHECK_VALUE;

/// The file in the data folder while a restore is not finished; it names the restore.
pub(crate) const UNFINISHED: &str = "restore-unfinished";
/// The fact in the database while a restore is not finished.
pub(super) const UNFINISHED_FACT: &str = "restore_unfinished";
/// The fact that names the last restore.
pub(super) const RESTORED_FACT: &str = "restored";

/// The file of a data folder.
pub(super) fn mark_of(data_dir: &Path) -> PathBuf {
    data_dir.join(UNFINISHED)
}

/// Whether rows are missing.
pub(super) fn is_unfinished(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    Ok(tx.installation(UNFINISHED_FACT)?.is_some())
}

/// Refuses a database or a data folder into which a restore was not finished.
pub(crate) async fn refuse_unfinished(store: &Store, data_dir: &Path) -> anyhow::Result<()> {
    let facts = store
        .read(|tx| Ok::<_, StoreError>((is_unfinished(tx)?, tx.installation(RESTORED_FACT)?)))
        .await
        .context("cannot read the database")?;
    let mark = match std::fs::read(mark_of(data_dir)) {
        Ok(mark) => Some(mark),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", mark_of(data_dir).display()));
        }
    };
    match facts {
        (true, _) => bail!("a restore into this database was not finished: run `muster restore` again"),
        (false, restored) if mark.is_some() && mark != restored => {
            bail!("a restore into {} was not finished: run `muster restore` again", data_dir.display())
        }
        (false, _) if mark.is_some() => file::remove(&mark_of(data_dir))
            .context("cannot remove the mark of the restore that was finished"),
        (false, _) => Ok(()),
    }
}

/// Returns what a database remembers of its master key.
pub(super) async fn master_key_check(store: &Store) -> anyhow::Result<Vec<u8>> {
    let check = store.read(|tx| {
        if tx.schema_versions()?.is_none() {
            return Err(CopyError::content("there is no Muster database here"));
        }
        let check = tx.installation(CHECK_VALUE)?;
        check.ok_or_else(|| CopyError::content("no server ever ran with this database"))
    });
    Ok(check.await?)
}
