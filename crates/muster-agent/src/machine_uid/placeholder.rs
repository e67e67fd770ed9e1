//! Tells a value from what vendors and hypervisors leave in its place.

/// Normal forms of product UUIDs that many machines share.
const SHARED_UUIDS: [&str; 12] = [
    "03000200040005000006000700080009",
    "00020003000400050006000700080009",
    "4c4c454400002010802080c04f202020",
    "44454c4c00002010802080c04f202020",
    "0102030405060708090a0b0c0d0e0f10",
    "000102030405060708090a0b0c0d0e0f",
    "00112233445566778899aabbccddeeff",
    "0123456789abcdef0123456789abcdef",
    "0123456789abcdeffedcba9876543210",
    "11111111222233334444555555555555",
    "01234567891011121314151617181920",
    "ffeeddccbbaa99887766554433221100",
];

/// Beginnings of product UUIDs that are typed in by hand, whatever follows.
const SHARED_UUID_BEGINNINGS: [&str; 2] = ["12345678", "fefefefe"];

/// Normal forms of serials that are no serials.
const SHARED_SERIALS: [&str; 30] = [
    "none",
    "null",
    "nil",
    "unknown",
    "undefined",
    "empty",
    "default",
    "defaultstring",
    "invalid",
    "serial",
    "serialnumber",
    "systemserialnumber",
    "baseboardserialnumber",
    "boardserialnumber",
    "chassisserialnumber",
    "mbserialnumber",
    "notspecified",
    "notapplicable",
    "notavailable",
    "notprovided",
    "notsettable",
    "nodata",
    "oem",
    "oemstring",
    "standard",
    "0123456789",
    "1234567890",
    "123456789",
    "12345678",
    "0123456789abcdef",
];

/// Beginnings of serials that are no serials.
const SHARED_SERIAL_BEGINNINGS: [&str; 3] = ["tobefilled", "filledby", "xxxx"];

/// What hypervisors call every disk they emulate.
const SHARED_DISK_WORDS: [&str; 5] = ["qm0000", "drivescsi", "driveide", "qemu", "persistentdisk"];

const FEWEST_SERIAL_CHARS: usize = 4;

/// Returns the normal form of a product UUID that names one machine.
pub(super) fn uuid_value(raw: &str) -> Option<String> {
    let value = letters_and_digits(raw);
    let well_formed = value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    let shared = SHARED_UUIDS.contains(&value.as_str())
        || SHARED_UUID_BEGINNINGS.iter().any(|beginning| value.starts_with(beginning));
    (well_formed && !shared && distinct_pairs(&value) > 2).then_some(value)
}

/// Returns the normal form of a board or chassis serial that names one machine.
pub(super) fn serial_value(raw: &str) -> Option<String> {
    let value = letters_and_digits(raw);
    let shared = SHARED_SERIALS.contains(&value.as_str())
        || SHARED_SERIAL_BEGINNINGS.iter().any(|beginning| value.starts_with(beginning));
    (value.len() >= FEWEST_SERIAL_CHARS && !shared && !one_character(&value)).then_some(value)
}

/// Returns the normal form of a disk serial that names one disk.
pub(super) fn disk_value(raw: &str) -> Option<String> {
    let value = serial_value(raw)?;
    (!SHARED_DISK_WORDS.iter().any(|word| value.contains(word))).then_some(value)
}

/// Returns the normal form of `/etc/machine-id` (machine-id(5): 32 hexadecimal characters, never all zero).
pub(super) fn machine_id_value(raw: &str) -> Option<String> {
    let value = raw.trim().to_ascii_lowercase();
    let well_formed = value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    (well_formed && !one_character(&value)).then_some(value)
}

fn letters_and_digits(raw: &str) -> String {
    raw.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn one_character(value: &str) -> bool {
    value.bytes().all(|byte| Some(byte) == value.bytes().next())
}

fn distinct_pairs(value: &str) -> usize {
    let mut pairs: Vec<&[u8]> = value.as_bytes().chunks(2).collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs.len()
}
