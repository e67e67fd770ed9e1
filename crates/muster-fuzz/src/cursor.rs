//! What the server hands out and takes back: cursors of pages, generations of hosts. Both carry its MAC.

use std::sync::LazyLock;

use muster_domain::generation::Generation;
use muster_ids::{HostId, KeyName, KeyThumbprint, TeamId};
use muster_keyring::{Keyring, MAX_CURSOR_CHARS, MasterKey};
use uuid::Uuid;

use crate::taken::{Taken, with_one_character_changed};

static KEYRING: LazyLock<Keyring> = LazyLock::new(|| Keyring::derive(&MasterKey::from_bytes([9; 32])));

fn team(n: u128) -> TeamId {
    TeamId::from_uuid(Uuid::from_u128(n))
}

/// A cursor opens for its team and its list alone, in the one form the server wrote.
pub fn cursor(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(payload) = KEYRING.open_cursor(team(1), "hosts", text)
    {
        assert_eq!(KEYRING.seal_cursor(team(1), "hosts", &payload), text, "two texts for one cursor");
    }
    let mut taken = Taken::from(data);
    let (at, with) = (usize::from(taken.byte()), taken.byte());
    let payload = taken.rest();
    let sealed = KEYRING.seal_cursor(team(1), "hosts", payload);
    if sealed.len() > MAX_CURSOR_CHARS {
        assert!(KEYRING.open_cursor(team(1), "hosts", &sealed).is_none());
        return;
    }
    assert_eq!(KEYRING.open_cursor(team(1), "hosts", &sealed).as_deref(), Some(payload));
    assert!(KEYRING.open_cursor(team(2), "hosts", &sealed).is_none(), "another team's cursor opened");
    assert!(KEYRING.open_cursor(team(1), "jobs", &sealed).is_none(), "another list's cursor opened");
    if let Some(changed) = with_one_character_changed(&sealed, at, with) {
        assert!(KEYRING.open_cursor(team(1), "hosts", &changed).is_none(), "a changed cursor opened");
    }
}

/// A generation opens for its host and its key alone, in the one form the server wrote.
pub fn generation(data: &[u8]) {
    let host = |n| HostId::from_uuid(Uuid::from_u128(n));
    let key = |n| KeyName::Pair(KeyThumbprint::from_digest([n; 32]));
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(generation) = KEYRING.open_generation(host(1), &key(1), text)
    {
        assert_eq!(KEYRING.seal_generation(host(1), &key(1), generation), text);
    }
    let mut taken = Taken::from(data);
    let (at, with) = (usize::from(taken.byte()), taken.byte());
    let generation =
        Generation { epoch: u32::from_be_bytes(taken.array()), counter: u64::from_be_bytes(taken.array()) };
    let sealed = KEYRING.seal_generation(host(1), &key(1), generation);
    assert_eq!(KEYRING.open_generation(host(1), &key(1), &sealed), Some(generation));
    assert!(KEYRING.open_generation(host(2), &key(1), &sealed).is_none(), "another host's generation opened");
    assert!(KEYRING.open_generation(host(1), &key(2), &sealed).is_none(), "another key's generation opened");
    if let Some(changed) = with_one_character_changed(&sealed, at, with) {
        assert!(KEYRING.open_generation(host(1), &key(1), &changed).is_none(), "a changed generation opened");
    }
}
