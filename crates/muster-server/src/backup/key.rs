//! The master key on its way out of the data folder, to be kept apart from backups.

use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use muster_edge::{Clock, Entropy};
use muster_keyring::{Keyring, MasterKey};

use super::Place;
use super::create::open;
use super::file;

/// Writes a copy of the master key to a file that must not be there, after it was compared with the database.
pub async fn export(place: &Place, to: &Path) -> anyhow::Result<()> {
    let key = load(place)?;
    let store = open(place, &Clock::system()).await?;
    let known = super::left::master_key_check(&store).await;
    store.close().await;
    if !Keyring::derive(&key).matches_check_value(&known?) {
        bail!("the master key does not belong to this database: nothing was exported");
    }
    match file::write(to, key.expose(), false, &Entropy) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} is there already: a master key is never written over another file", to.display())
        }
        written => written.with_context(|| format!("cannot write {}", to.display())),
    }
}

/// Loads the key a server works with.
pub(super) fn load(place: &Place) -> anyhow::Result<MasterKey> {
    Ok(match &place.master_key_file {
        Some(file) => MasterKey::load_credential(file)?,
        None => MasterKey::load(&place.key_file())?,
    })
}
