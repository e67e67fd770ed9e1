//! Verifying the trail while the server is stopped: with its data folder and master key, without its API.

use std::fs::File;
use std::sync::Arc;

use anyhow::{Context, bail};
use muster_edge::{Clock, Entropy};
use muster_keyring::Keyring;
use muster_store::{Store, StoreError};
use muster_wire::audit::{AuditAnchor, AuditVerification};

use super::verify::{Asked, ROWS, verify};
use crate::backup::Place;
use crate::installation::is_master_key_of;
use crate::serve::{lock_data_dir, open_alone};

/// The trail of a stopped server.
#[derive(Debug)]
pub struct StoppedTrail {
    store: Store,
    keyring: Arc<Keyring>,
    _lock: File,
}

impl StoppedTrail {
    /// Opens database and keys; the server must be stopped.
    pub async fn open(place: Place) -> anyhow::Result<Self> {
        if !place.data_dir.is_dir() {
            bail!("there is no data folder {}: name the server's", place.data_dir.display());
        }
        let lock =
            lock_data_dir(&place.data_dir).context("stop the server first, or verify through its API")?;
        let (store, keyring) = open_alone(&place, &Clock::system(), &Entropy).await?;
        if !is_master_key_of(&store, &keyring).await? {
            bail!("the master key does not belong to this database: put back the key it was made with");
        }
        // As the server would: the trail of version 1 ends without a tag.
        super::begin(&store, &keyring).await?;
        Ok(Self { store, keyring, _lock: lock })
    }

    /// Verifies the next part after a position.
    pub async fn verify(
        &self,
        after: u64,
        anchor: Option<AuditAnchor>,
    ) -> Result<AuditVerification, StoreError> {
        let keyring = Arc::clone(&self.keyring);
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let asked = Asked { after, limit: ROWS, anchor, remembered: None };
        self.store.read(move |tx| verify(tx, &keyring, asked)).await
    }

    /// Lets go of the database.
    pub async fn close(self) {
        self.store.close().await;
    }
}
