use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use muster_ids::{MachineUid, UidSource};
use muster_wire::claim::CopyCause;
use tempfile::TempDir;

use super::{Comparison, Place, beside, compare, make, read};

fn place(source: UidSource, hardware: u8, install: Option<&str>) -> Place {
    Place { hardware: MachineUid::from_sha256(source, &[hardware; 32]), install: install.map(str::to_owned) }
}

#[track_caller]
fn check(then: &Place, now: &Place, expected: &Comparison) {
    assert_eq!(compare(then, now), *expected, "{then:?} {now:?}");
}

#[test]
fn a_state_is_a_copy_where_hardware_or_installation_differ() {
    use Comparison::{Elsewhere, Learned, Same};
    use CopyCause::{InstallIdDiffers, MachineUidDiffers};
    use UidSource::{Disk, Machine, Random, Smbios};
    let here = place(Smbios, 1, Some("a"));
    check(&here, &here, &Same);
    check(&here, &place(Smbios, 2, Some("a")), &Elsewhere(MachineUidDiffers));
    check(&here, &place(Smbios, 2, Some("b")), &Elsewhere(MachineUidDiffers));
    check(&here, &place(Smbios, 2, None), &Elsewhere(MachineUidDiffers));
    check(&here, &place(Smbios, 1, Some("b")), &Elsewhere(InstallIdDiffers));
    // A reinstalled package takes the id along: no copy.
    check(&here, &place(Smbios, 1, None), &Same);
    check(&place(Smbios, 1, None), &place(Smbios, 1, Some("a")), &Learned(here.clone()));
    // A kernel that shows less, or an agent with fewer rights.
    check(&here, &place(Machine, 9, Some("a")), &Same);
    check(&place(Machine, 9, Some("a")), &here, &Learned(here.clone()));
    check(&here, &place(Machine, 9, None), &Elsewhere(MachineUidDiffers));
    check(&here, &place(Machine, 9, Some("b")), &Elsewhere(InstallIdDiffers));
    check(&place(Disk, 1, None), &place(Random, 1, Some("a")), &Elsewhere(MachineUidDiffers));
    check(&place(Machine, 1, Some("a")), &place(Machine, 2, Some("a")), &Elsewhere(MachineUidDiffers));
}

#[test]
fn an_install_id_lies_beside_the_state_and_is_made_once() {
    assert_eq!(beside(Path::new("/var/lib/muster-agent")), Path::new("/var/lib/muster-agent-install/id"));
    let parent = TempDir::new().unwrap();
    let path = parent.path().join("a/b/id");
    assert_eq!(read(&path), None);
    let made = make(&path).unwrap();
    assert!(made.is_some());
    assert_eq!(make(&path).unwrap(), made, "the first one counts");
    assert_eq!(read(&path), made);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left behind");
    assert!(!made.unwrap().is_empty());
}

#[test]
fn c16_what_is_no_id_is_replaced_and_no_two_are_alike() {
    let parent = TempDir::new().unwrap();
    let path = parent.path().join("id");
    fs::write(&path, b"").unwrap();
    let first = make(&path).unwrap().unwrap();
    fs::write(&path, b"short").unwrap();
    assert_eq!(read(&path), None);
    assert_ne!(make(&path).unwrap().unwrap(), first);
    assert!(make(Path::new("/proc/self/fdinfo/x/id")).is_err());
}
