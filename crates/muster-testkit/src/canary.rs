//! Secrets that sing: values that are searched for afterwards, in every form a program may write them.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

/// A secret value with a name for the report.
#[derive(Debug, Clone)]
pub struct Canary {
    /// What it is.
    pub name: String,
    forms: Vec<Vec<u8>>,
}

impl Canary {
    /// Makes a canary of a text.
    pub fn new(name: &str, text: &str) -> Self {
        let mut canary = Self::of_bytes(name, text.as_bytes());
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        canary.forms.push(escaped.into_bytes());
        canary
    }

    /// Makes a canary of bytes that are no text: a key.
    pub fn of_bytes(name: &str, bytes: &[u8]) -> Self {
        assert!(bytes.len() >= 8, "a shorter canary is found by chance");
        let mut forms =
            vec![bytes.to_vec(), HEXLOWER.encode(bytes).into_bytes(), HEXUPPER.encode(bytes).into_bytes()];
        for encoding in [BASE64_NOPAD, BASE64URL_NOPAD] {
            forms.extend((0..3).map(|before| inner_base64(&encoding, bytes, before)));
        }
        Self { name: name.to_owned(), forms }
    }

    /// Whether it sings in `haystack`.
    pub fn is_in(&self, haystack: &[u8]) -> bool {
        self.forms.iter().any(|form| contains(haystack, form))
    }
}

/// The characters of base64 that depend on these bytes alone, when so many bytes stand before them.
fn inner_base64(encoding: &data_encoding::Encoding, bytes: &[u8], before: usize) -> Vec<u8> {
    let mut padded = vec![0; before];
    padded.extend_from_slice(bytes);
    let text = encoding.encode(&padded);
    let first = [0, 2, 3][before];
    let last = padded.len() * 8 / 6;
    text.as_bytes()[first..last].to_vec()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else { return false };
    let mut rest = haystack;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = &rest[at..];
        if rest.starts_with(needle) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

/// Returns `name in place` for every canary that sings in `haystack`.
pub fn sightings(canaries: &[Canary], place: &str, haystack: &[u8]) -> Vec<String> {
    let found = canaries.iter().filter(|canary| canary.is_in(haystack));
    found.map(|canary| format!("{} in {place}", canary.name)).collect()
}

/// Searches every file below `folder`, except those that `is_exempt` names.
pub fn sightings_below(canaries: &[Canary], folder: &Path, is_exempt: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for file in files_below(folder) {
        let shown = file.display().to_string();
        found.extend(sightings(canaries, &format!("the name of {shown}"), shown.as_bytes()));
        if is_exempt(&file) {
            continue;
        }
        // A file that is gone meanwhile holds nothing.
        let content = fs::read(&file).unwrap_or_default();
        found.extend(sightings(canaries, &shown, &content));
    }
    found
}

/// Returns every regular file below `folder`.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return files };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            files.extend(files_below(&entry.path()));
        } else if !kind.is_fifo() && !kind.is_socket() && !kind.is_symlink() {
            files.push(entry.path());
        }
    }
    files
}

/// Returns the permission bits of a file.
pub fn mode(file: &Path) -> Option<u32> {
    fs::metadata(file).ok().map(|metadata| metadata.permissions().mode() & 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_found_in_every_form() {
        let canary = Canary::new("password", "canary-5f3a9b!");
        for before in ["", "x", "xy", "xyz"] {
            let text = format!("{before}canary-5f3a9b!tail");
            assert!(canary.is_in(text.as_bytes()));
            assert!(canary.is_in(BASE64_NOPAD.encode(text.as_bytes()).as_bytes()), "base64 after {before}");
            assert!(canary.is_in(BASE64URL_NOPAD.encode(text.as_bytes()).as_bytes()));
            assert!(canary.is_in(HEXLOWER.encode(text.as_bytes()).as_bytes()));
        }
        assert!(!canary.is_in(b"canary-5f3a9b"));
        assert!(!canary.is_in(BASE64_NOPAD.encode(b"canary-5f3a9c!").as_bytes()));
    }
}
