//! Where a state folder was made, and whether this machine is that place (DESIGN §4, Fork).
//!
//! Two things name the place: the hardware, and the installation of the operating system. The installation's id lies
//! outside of the state folder, so that whoever copies the folder leaves it behind. Only hashes are kept. A machine that
//! finds itself elsewhere must not use the key it found: see `fork.rs`.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use muster_edge::Entropy;
use muster_ids::{MachineUid, UidSource};
use muster_wire::claim::CopyCause;
use serde::{Deserialize, Serialize};

const FILE: &str = "id";
const ID_BYTES: usize = 32;
const HASH_DOMAIN: &[u8] = b"muster install id\0";

/// Where a state was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The uid of the hardware, as the agent found it out itself.
    pub hardware: MachineUid,
    /// Hash of the install id; absent where none could be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<String>,
}

/// Whether this machine is where its state was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// It is.
    Same,
    /// It is, and more is known of it now: keep this.
    Learned(Place),
    /// It is not: the state is a copy.
    Elsewhere(CopyCause),
}

/// Compares a machine with where its state was made. Pure.
///
/// Another value from the same source is another machine, and so is another install id. A uid from another source says
/// little by itself (a kernel that shows less, an agent with fewer rights): it counts unless the install id is the same.
/// An install id that is missing says nothing: a reinstalled package is no copy.
pub fn compare(made_on: &Place, here: &Place) -> Comparison {
    let (then, now) = (&made_on.hardware, &here.hardware);
    let is_other_source = then.source() != now.source();
    if !is_other_source && then != now {
        return Comparison::Elsewhere(CopyCause::MachineUidDiffers);
    }
    let is_same_install = match (&made_on.install, &here.install) {
        (Some(then), Some(now)) if then != now => {
            return Comparison::Elsewhere(CopyCause::InstallIdDiffers);
        }
        (Some(_), Some(_)) => true,
        _ => false,
    };
    if is_other_source && !is_same_install {
        return Comparison::Elsewhere(CopyCause::MachineUidDiffers);
    }
    let is_stronger = is_other_source && strength(now.source()) > strength(then.source());
    let hardware = if is_stronger { *now } else { *then };
    let learned = Place { hardware, install: here.install.clone().or_else(|| made_on.install.clone()) };
    if learned == *made_on { Comparison::Same } else { Comparison::Learned(learned) }
}

fn strength(source: UidSource) -> u8 {
    match source {
        UidSource::Given => 5,
        UidSource::Smbios => 4,
        UidSource::Board => 3,
        UidSource::Disk => 2,
        UidSource::Machine => 1,
        UidSource::Random => 0,
    }
}

/// Returns where the install id lies when nobody chose: beside the state folder, not in it.
pub fn beside(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_os_string();
    name.push("-install");
    folder.with_file_name(name).join(FILE)
}

/// Reads the install id; `None`: there is none that could be one.
pub fn read(path: &Path) -> Option<String> {
    let id = fs::read(path).ok().filter(|id| id.len() == ID_BYTES)?;
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(HASH_DOMAIN);
    context.update(&id);
    Some(HEXLOWER.encode(&context.finish().as_ref()[..16]))
}

/// Makes an install id; one that another process made meanwhile counts.
pub fn make(path: &Path) -> io::Result<Option<String>> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let [n] = Entropy.bytes::<1>();
    let temporary = path.with_extension(format!("{}-{n}.new", std::process::id()));
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = file.write_all(&Entropy.bytes::<ID_BYTES>()).and_then(|()| file.sync_all());
    let placed = written.and_then(|()| match fs::hard_link(&temporary, path) {
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists && read(path).is_some() => Ok(()),
        // What is there and is no id, is nobody's; and some file systems know no links.
        Err(_) => fs::rename(&temporary, path),
        Ok(()) => Ok(()),
    });
    // A rename took it away; otherwise it is litter.
    let _ = fs::remove_file(&temporary);
    placed?;
    File::open(folder)?.sync_all()?;
    Ok(read(path))
}
