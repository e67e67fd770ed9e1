//! Generations of a host's state: opaque to the machine, counted and MACed by the server (DESIGN §5).

use data_encoding::BASE64URL_NOPAD;
use muster_domain::generation::Generation;
use muster_ids::{HostId, KeyName};

use crate::framed::Framed;
use crate::keyring::Keyring;
use crate::mac::Tag;

const NUMBERS_LEN: usize = 12;

fn to_bytes(generation: Generation) -> [u8; NUMBERS_LEN] {
    let mut bytes = [0; NUMBERS_LEN];
    bytes[..4].copy_from_slice(&generation.epoch.to_be_bytes());
    bytes[4..].copy_from_slice(&generation.counter.to_be_bytes());
    bytes
}

fn from_bytes(bytes: [u8; NUMBERS_LEN]) -> Generation {
    let [e0, e1, e2, e3, counter @ ..] = bytes;
    Generation { epoch: u32::from_be_bytes([e0, e1, e2, e3]), counter: u64::from_be_bytes(counter) }
}

impl Keyring {
    /// Returns the text a machine keeps: 59 base64url characters, bound to host and key.
    pub fn seal_generation(&self, host_id: HostId, key: &KeyName, generation: Generation) -> String {
        let numbers = to_bytes(generation);
        let tag = self.generation_tag(host_id, key, &numbers).into_bytes();
        BASE64URL_NOPAD.encode(&[&numbers[..], &tag].concat())
    }

    /// Reads the text back; `None` when this server never gave it to this host under this key.
    pub fn open_generation(&self, host_id: HostId, key: &KeyName, text: &str) -> Option<Generation> {
        if text.len() != BASE64URL_NOPAD.encode_len(NUMBERS_LEN + Tag::LEN) {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (numbers, tag) = bytes.split_first_chunk::<NUMBERS_LEN>()?;
        self.generation_tag(host_id, key, numbers).matches(tag).then(|| from_bytes(*numbers))
    }

    fn generation_tag(&self, host_id: HostId, key: &KeyName, numbers: &[u8; NUMBERS_LEN]) -> Tag {
        let framed = Framed::new("generation")
            .field(host_id.uuid().as_bytes())
            .field(key.to_string().as_bytes())
            .field(numbers);
        self.generations.tag(framed.bytes())
    }
}
