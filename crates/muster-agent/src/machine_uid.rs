//! The machine uid: which hardware this is, as evidence (DESIGN §4).
//!
//! Sources are tried from the strongest to the weakest; values that vendors leave in place of a serial are not values.
//! Only a hash leaves this module: no serial, no UUID, no `/etc/machine-id`. To rule out one more placeholder, add it
//! to `placeholder.rs` and to its test table.

mod disk;
mod placeholder;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use aws_lc_rs::digest;
use muster_ids::{MachineUid, UidSource};

const HASH_DOMAIN: &[u8] = b"muster machine uid\0";
const MAX_VALUE_BYTES: u64 = 4096;

/// What the machine says about itself, raw; never printed and never sent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// SMBIOS product UUID.
    pub product_uuid: Option<String>,
    /// Serial of the main board.
    pub board_serial: Option<String>,
    /// Serial of the chassis.
    pub chassis_serial: Option<String>,
    /// Serial of the disk that holds `/`.
    pub disk_serial: Option<String>,
    /// `/etc/machine-id`.
    pub machine_id: Option<String>,
}

impl Sources {
    /// Reads the sources below `root`, which is `/` except in tests; what cannot be read is absent.
    pub fn read(root: &Path) -> Self {
        let dmi = root.join("sys/class/dmi/id");
        Self {
            product_uuid: read_text(&dmi.join("product_uuid")),
            board_serial: read_text(&dmi.join("board_serial")),
            chassis_serial: read_text(&dmi.join("chassis_serial")),
            disk_serial: disk::root_serial(root),
            machine_id: read_text(&root.join("etc/machine-id")),
        }
    }

    /// Returns the strongest source that holds a real value, with that value in its normal form.
    fn strongest(&self) -> Option<(UidSource, String)> {
        let smbios = self.product_uuid.as_deref().and_then(placeholder::uuid_value);
        let board = || board_value(self.board_serial.as_deref(), self.chassis_serial.as_deref());
        let disk = || self.disk_serial.as_deref().and_then(placeholder::disk_value);
        let machine = || self.machine_id.as_deref().and_then(placeholder::machine_id_value);
        smbios
            .map(|value| (UidSource::Smbios, value))
            .or_else(|| board().map(|value| (UidSource::Board, value)))
            .or_else(|| disk().map(|value| (UidSource::Disk, value)))
            .or_else(|| machine().map(|value| (UidSource::Machine, value)))
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("product_uuid", &self.product_uuid.is_some())
            .field("board_serial", &self.board_serial.is_some())
            .field("chassis_serial", &self.chassis_serial.is_some())
            .field("disk_serial", &self.disk_serial.is_some())
            .field("machine_id", &self.machine_id.is_some())
            .finish()
    }
}

/// Chooses the machine uid: the operator's word first, then the sources in order, `random` (kept in the state) last.
pub fn choose(sources: &Sources, given: Option<&str>, random: &[u8; 32]) -> MachineUid {
    if let Some(given) = given.map(str::trim).filter(|given| !given.is_empty()) {
        return hashed(UidSource::Given, given.as_bytes());
    }
    match sources.strongest() {
        Some((source, value)) => hashed(source, value.as_bytes()),
        None => hashed(UidSource::Random, random),
    }
}

fn board_value(board: Option<&str>, chassis: Option<&str>) -> Option<String> {
    let board = board.and_then(placeholder::serial_value).unwrap_or_default();
    let chassis = chassis.and_then(placeholder::serial_value).unwrap_or_default();
    // Normal forms hold letters and digits only, so the separator keeps (board, -) and (-, chassis) apart.
    (!board.is_empty() || !chassis.is_empty()).then(|| format!("{board}|{chassis}"))
}

fn hashed(source: UidSource, value: &[u8]) -> MachineUid {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(HASH_DOMAIN);
    context.update(source.as_str().as_bytes());
    context.update(b"\0");
    context.update(value);
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(context.finish().as_ref());
    MachineUid::from_sha256(source, &sha256)
}

fn read_bytes(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_VALUE_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn read_text(path: &Path) -> Option<String> {
    let text =
        String::from_utf8_lossy(&read_bytes(path)?).trim_matches(['\0', ' ', '\n', '\t', '\r']).to_owned();
    (!text.is_empty()).then_some(text)
}
