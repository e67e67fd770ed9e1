//! Finds the serial of the disk that holds `/`, through partitions, device mapper, LVM and RAID.

use std::fs;
use std::path::{Path, PathBuf};

use super::{read_bytes, read_text};

const DEEPEST_STACK: usize = 8;
const VPD_HEADER_BYTES: usize = 4;

/// Returns the serial of the disk below the root file system; of several disks, the one that sorts first.
pub(super) fn root_serial(root: &Path) -> Option<String> {
    let mut serials = Vec::new();
    collect(&root_device(root)?, DEEPEST_STACK, &mut serials);
    serials.into_iter().min()
}

/// Returns the sysfs folder of the block device mounted at `/`.
fn root_device(root: &Path) -> Option<PathBuf> {
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    // The last mount at `/` lies on top of the others (proc_pid_mountinfo(5), fields 3, 5 and the source).
    let line = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some("/"))?;
    let number = line.split(' ').nth(2)?;
    let by_number = root.join("sys/dev/block").join(number);
    if let Ok(device) = by_number.canonicalize() {
        return Some(device);
    }
    // Btrfs mounts carry an anonymous number; their source still names the device.
    let source = line.split_once(" - ")?.1.split(' ').nth(1)?.strip_prefix("/dev/")?;
    let node = root.join("dev").join(source).canonicalize().ok()?;
    root.join("sys/class/block").join(node.file_name()?).canonicalize().ok()
}

fn collect(device: &Path, depth: usize, serials: &mut Vec<String>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    if device.join("partition").exists() {
        if let Some(disk) = device.parent() {
            collect(disk, depth, serials);
        }
        return;
    }
    let below: Vec<PathBuf> = fs::read_dir(device.join("slaves"))
        .map(|entries| entries.flatten().filter_map(|entry| entry.path().canonicalize().ok()).collect())
        .unwrap_or_default();
    if below.is_empty() {
        serials.extend(own_serial(device));
    }
    for device in below {
        collect(&device, depth, serials);
    }
}

fn own_serial(disk: &Path) -> Option<String> {
    read_text(&disk.join("serial"))
        .or_else(|| read_text(&disk.join("device/serial")))
        .or_else(|| vital_product_data(&disk.join("device/vpd_pg80")))
        .or_else(|| read_text(&disk.join("device/wwid")))
        .or_else(|| read_text(&disk.join("wwid")))
}

/// Reads the unit serial number page of a SCSI disk (SPC-3, page 80h).
fn vital_product_data(page: &Path) -> Option<String> {
    let bytes = read_bytes(page)?;
    let text = String::from_utf8_lossy(bytes.get(VPD_HEADER_BYTES..)?).trim_matches(['\0', ' ']).to_owned();
    (!text.is_empty()).then_some(text)
}
