//! Cursors of pages: readable by whoever holds them, but only as the server wrote them, for one team and one
//! list.

use data_encoding::BASE64URL_NOPAD;
use muster_ids::TeamId;

use crate::framed::Framed;
use crate::keyring::Keyring;
use crate::mac::Tag;

/// The longest cursor that is looked at, in characters.
pub const MAX_CURSOR_CHARS: usize = 2048;

impl Keyring {
    /// Returns a cursor over `payload` for one list (`purpose`) of one team. The payload is not hidden.
    pub fn seal_cursor(&self, team_id: TeamId, purpose: &str, payload: &[u8]) -> String {
        let tag = self.cursor_tag(team_id, purpose, payload).into_bytes();
        BASE64URL_NOPAD.encode(&[&tag[..], payload].concat())
    }

    /// Returns the payload; `None` for another team's, another list's or a made-up cursor.
    pub fn open_cursor(&self, team_id: TeamId, purpose: &str, cursor: &str) -> Option<Vec<u8>> {
        if cursor.len() > MAX_CURSOR_CHARS {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?;
        let (tag, payload) = bytes.split_at_checked(Tag::LEN)?;
        self.cursor_tag(team_id, purpose, payload).matches(tag).then(|| payload.to_vec())
    }

    fn cursor_tag(&self, team_id: TeamId, purpose: &str, payload: &[u8]) -> Tag {
        let framed =
            Framed::new("cursor").field(team_id.uuid().as_bytes()).field(purpose.as_bytes()).field(payload);
        self.cursors.tag(framed.bytes())
    }
}
