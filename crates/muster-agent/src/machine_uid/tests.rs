use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use muster_ids::UidSource;
use tempfile::TempDir;

use super::{Sources, choose};

const RANDOM: [u8; 32] = [7; 32];
const UUID: &str = "9e3a2c41-6d0b-4b52-8f57-1f2a3b4c5d6e";

fn sources() -> Sources {
    Sources {
        product_uuid: Some(UUID.into()),
        board_serial: Some("MB-77-1234".into()),
        chassis_serial: Some("CH-9".into()),
        disk_serial: Some("S4EWNX0M901234".into()),
        machine_id: Some("3d1219c7c4c5404aaa1f6d2a48adfda4".into()),
    }
}

fn check(name: &str, sources: &Sources, given: Option<&str>, expected: UidSource) {
    assert_eq!(choose(sources, given, &RANDOM).source(), expected, "{name}");
}

#[test]
fn sources_are_tried_in_order() {
    let mut left = sources();
    check("operator's word", &left, Some("rack-7"), UidSource::Given);
    check("blank word is none", &left, Some("  "), UidSource::Smbios);
    check("all present", &left, None, UidSource::Smbios);
    left.product_uuid = None;
    check("no uuid", &left, None, UidSource::Board);
    left.board_serial = None;
    left.chassis_serial = Some("CH-9-0001".into());
    check("chassis alone", &left, None, UidSource::Board);
    left.chassis_serial = None;
    check("no serials", &left, None, UidSource::Disk);
    left.disk_serial = None;
    check("no disk", &left, None, UidSource::Machine);
    left.machine_id = None;
    check("nothing", &left, None, UidSource::Random);
}

#[test]
fn placeholder_uuids_are_no_uuids() {
    for placeholder in [
        "00000000-0000-0000-0000-000000000000",
        "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        "ffffffffffffffffffffffffffffffff",
        "{FFFFFFFF FFFF FFFF FFFF FFFFFFFFFFFF}",
        "00000000-0000-0000-0000-000000000001",
        "03000200-0400-0500-0006-000700080009",
        "00020003-0004-0005-0006-000700080009",
        "12345678-1234-5678-90AB-CDDEEFAABBCC",
        "12345678-1234-1234-1234-123456789012",
        "FEFEFEFE-FEFE-FEFE-FEFE-FEFEFEFEFEFE",
        "4C4C4544-0000-2010-8020-80C04F202020",
        "4c4c4544 0000 2010 8020 80c04f202020",
        "44454C4C-0000-2010-8020-80C04F202020",
        "01020304-0506-0708-090A-0B0C0D0E0F10",
        "00010203-0405-0607-0809-0A0B0C0D0E0F",
        "00112233-4455-6677-8899-AABBCCDDEEFF",
        "01234567-89AB-CDEF-0123-456789ABCDEF",
        "01234567-89ab-cdef-fedc-ba9876543210",
        "11111111-2222-3333-4444-555555555555",
        "01234567-8910-1112-1314-151617181920",
        "FFEEDDCC-BBAA-9988-7766-554433221100",
        "A5A5A5A5-A5A5-A5A5-A5A5-A5A5A5A5A5A5",
        "Not Settable",
        "Not Present",
        "To be filled by O.E.M.",
        "Default string",
        "",
        "9e3a2c41",
    ] {
        let sources = Sources { product_uuid: Some(placeholder.into()), ..sources() };
        check(placeholder, &sources, None, UidSource::Board);
    }
}

#[test]
fn placeholder_serials_are_no_serials() {
    for placeholder in [
        "None",
        "none",
        "Default string",
        "DEFAULT-STRING",
        "0",
        "00000000",
        "System Serial Number",
        "To be filled by O.E.M.",
        "To Be Filled By O.E.M",
        "N/A",
        "n.a.",
        "Not Specified",
        "Not Applicable",
        "Base Board Serial Number",
        "Chassis Serial Number",
        "Unknown",
        "xxxxxxxxxx",
        "XXXX-1",
        "123456789",
        "OEM",
        "...",
        "Not Available",
        "Empty",
        "NULL",
        "Serial",
        "1234567890",
        "1111111",
    ] {
        let sources = Sources {
            product_uuid: None,
            board_serial: Some(placeholder.into()),
            chassis_serial: Some(placeholder.into()),
            ..sources()
        };
        check(placeholder, &sources, None, UidSource::Disk);
    }
}

#[test]
fn emulated_disks_and_blank_machine_ids_name_nothing() {
    for placeholder in
        ["QM00001", "drive-scsi0-0-0-0", "0QEMU QEMU HARDDISK", "persistent-disk-0", "000000000000"]
    {
        let sources = Sources {
            disk_serial: Some(placeholder.into()),
            machine_id: sources().machine_id,
            ..Default::default()
        };
        check(placeholder, &sources, None, UidSource::Machine);
    }
    for placeholder in [
        "uninitialized",
        "",
        "00000000000000000000000000000000",
        "3d1219c7",
        "zz1219c7c4c5404aaa1f6d2a48adfda4",
    ] {
        let sources = Sources { machine_id: Some(placeholder.into()), ..Default::default() };
        check(placeholder, &sources, None, UidSource::Random);
    }
}

#[test]
fn one_machine_spelled_in_two_ways_has_one_uid() {
    let spelled = Sources { product_uuid: Some("9E3A2C41 6D0B 4B52 8F57 1F2A3B4C5D6E".into()), ..sources() };
    assert_eq!(choose(&sources(), None, &RANDOM), choose(&spelled, None, &RANDOM));
}

#[test]
fn the_hash_is_separated_by_source_and_hides_the_value() {
    let hidden = "3d1219c7c4c5404aaa1f6d2a48adfda4";
    let as_uuid = choose(&Sources { product_uuid: Some(hidden.into()), ..Default::default() }, None, &RANDOM);
    let as_machine_id =
        choose(&Sources { machine_id: Some(hidden.into()), ..Default::default() }, None, &RANDOM);
    let as_given = choose(&Sources::default(), Some(hidden), &RANDOM);
    let digests: Vec<String> = [as_uuid, as_machine_id, as_given]
        .iter()
        .map(|uid| uid.to_string().split_once(':').unwrap().1.to_owned())
        .collect();
    assert_ne!(digests[0], digests[1]);
    assert_ne!(digests[1], digests[2]);
    assert!(digests.iter().all(|digest| !hidden.contains(digest)));
    assert!(!format!("{:?}", sources()).contains(UUID));
}

#[test]
fn the_digest_is_that_of_the_documented_form() {
    // sha256("muster machine uid\0given\0rack-7"), first 16 bytes
    assert_eq!(choose(&Sources::default(), Some(" rack-7 "), &RANDOM).to_string(), GIVEN_RACK_7);
}
const GIVEN_RACK_7: &str = "given:b309cd88d3f8266af4d3266bc55c6d1e";

fn write(root: &Path, path: &str, content: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn link(root: &Path, path: &str, target: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, path).unwrap();
}

fn mounted(root: &Path, device: &str, source: &str) {
    let line = format!(
        "20 1 0:5 / /proc rw - proc proc rw\n29 1 {device} / / rw,relatime shared:1 - ext4 {source} rw\n"
    );
    write(root, "proc/self/mountinfo", line.as_bytes());
}

#[test]
fn a_partition_leads_to_the_serial_of_its_disk() {
    let root = TempDir::new().unwrap();
    mounted(root.path(), "8:1", "/dev/sda1");
    write(root.path(), "sys/devices/pci/block/sda/sda1/partition", b"1\n");
    write(root.path(), "sys/devices/pci/block/sda/device/vpd_pg80", b"\0\x80\0\x0aS4EWNX0M90");
    link(root.path(), "sys/dev/block/8:1", "../../devices/pci/block/sda/sda1");
    assert_eq!(Sources::read(root.path()).disk_serial.as_deref(), Some("S4EWNX0M90"));
}

#[test]
fn lvm_on_encryption_on_a_partition_leads_to_the_disk() {
    let root = TempDir::new().unwrap();
    mounted(root.path(), "253:1", "/dev/mapper/vg-root");
    let block = "sys/devices/virtual/block";
    link(root.path(), "sys/dev/block/253:1", "../../devices/virtual/block/dm-1");
    link(root.path(), &format!("{block}/dm-1/slaves/dm-0"), "../../dm-0");
    link(root.path(), &format!("{block}/dm-0/slaves/nvme0n1p3"), "../../../../pci/nvme0n1/nvme0n1p3");
    write(root.path(), "sys/devices/pci/nvme0n1/nvme0n1p3/partition", b"3\n");
    write(root.path(), "sys/devices/pci/nvme0n1/device/serial", b"S64ANS0T0123  \n");
    assert_eq!(Sources::read(root.path()).disk_serial.as_deref(), Some("S64ANS0T0123"));
}

#[test]
fn of_two_mirrored_disks_the_first_serial_counts_and_a_loop_ends() {
    let root = TempDir::new().unwrap();
    mounted(root.path(), "9:0", "/dev/md0");
    link(root.path(), "sys/dev/block/9:0", "../../devices/md0");
    link(root.path(), "sys/devices/md0/slaves/vdb", "../../vdb");
    link(root.path(), "sys/devices/md0/slaves/vda", "../../vda");
    link(root.path(), "sys/devices/md0/slaves/md0", "../../md0");
    write(root.path(), "sys/devices/vdb/serial", b"AAAA1");
    write(root.path(), "sys/devices/vda/serial", b"BBBB2");
    assert_eq!(Sources::read(root.path()).disk_serial.as_deref(), Some("AAAA1"));
}

#[test]
fn a_btrfs_root_is_found_by_its_source() {
    let root = TempDir::new().unwrap();
    mounted(root.path(), "0:27", "/dev/mapper/crypt");
    write(root.path(), "dev/vda2", b"");
    link(root.path(), "dev/mapper/crypt", "../vda2");
    link(root.path(), "sys/class/block/vda2", "../../devices/vda/vda2");
    write(root.path(), "sys/devices/vda/vda2/partition", b"2");
    write(root.path(), "sys/devices/vda/serial", b"VOL-1234");
    assert_eq!(Sources::read(root.path()).disk_serial.as_deref(), Some("VOL-1234"));
}

#[test]
fn an_empty_tree_has_no_sources() {
    let root = TempDir::new().unwrap();
    assert_eq!(Sources::read(root.path()), Sources::default());
    mounted(root.path(), "0:30", "overlay");
    assert_eq!(Sources::read(root.path()), Sources::default());
}

#[test]
fn smbios_and_machine_id_are_read_from_their_files() {
    let root = TempDir::new().unwrap();
    write(root.path(), "sys/class/dmi/id/product_uuid", format!("{UUID}\n").as_bytes());
    write(root.path(), "sys/class/dmi/id/board_serial", b" B1234 \n");
    write(root.path(), "sys/class/dmi/id/chassis_serial", b"\n");
    write(root.path(), "etc/machine-id", b"3d1219c7c4c5404aaa1f6d2a48adfda4\n");
    let sources = Sources::read(root.path());
    assert_eq!(sources.product_uuid.as_deref(), Some(UUID));
    assert_eq!(sources.board_serial.as_deref(), Some("B1234"));
    assert_eq!(sources.chassis_serial, None);
    assert_eq!(sources.machine_id.as_deref(), Some("3d1219c7c4c5404aaa1f6d2a48adfda4"));
}
