//! Whether the trail is as it was sealed: each link computed anew from the text as it is stored.
//!
//! A break is told with its position and the kind it looks like. What is certain is that there is one; its kind is the
//! likeliest, for a row whose neighbours were changed too may look like another.

use std::collections::BTreeSet;

use muster_keyring::Keyring;
use muster_store::rows::{AuditRow, ChainHead, ChainedAuditRow};
use muster_store::{StoreError, Tx};
use muster_wire::audit::{AnchorState, AuditAnchor, AuditBreak, AuditVerification, BreakKind};

use super::{Kept, head, tail};

/// Rows of a part when nobody says how many.
pub const ROWS: i64 = 1000;
/// Breaks that one request tells of.
const TOLD: usize = 100;
/// Broken rows of a chunk whose right place is looked for.
const LOOKED_FOR: usize = 50;
/// Links around a row that may have come before it.
const AROUND: usize = 8;

/// Which rows are verified, and against what.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Begin after this position.
    pub after: i64,
    /// At most so many rows.
    pub limit: i64,
    /// A head somebody kept elsewhere.
    pub anchor: Option<AuditAnchor>,
    /// The head this process remembers.
    pub remembered: Option<ChainHead>,
}

/// Verifies one chunk of the chain, in one snapshot.
pub fn verify(tx: &mut Tx<'_>, keyring: &Keyring, asked: Asked) -> Result<AuditVerification, StoreError> {
    let (head, tail) = (head(tx, keyring)?, tail(tx, keyring)?);
    let mut breaks = Vec::new();
    let begin = match tail {
        Kept::Nothing => ChainHead::START,
        Kept::Link(link) => link,
        Kept::Forged => {
            breaks.push(AuditBreak::at(0, BreakKind::Tail));
            ChainHead::START
        }
    };
    let before = match asked.after {
        after if after <= begin.position => {
            Before { position: begin.position, macs: vec![begin.mac], is_gone: false }
        }
        after => {
            let macs = tx.audit_link(after)?.flatten().into_iter().collect();
            Before { position: after, macs, is_gone: false }
        }
    };
    let first = before.position;
    let rows = tx.audit_after(first, asked.limit)?;
    let is_end = (rows.len() as u64) < u64::try_from(asked.limit).unwrap_or(0);
    let sealed_through = match head {
        Kept::Link(link) => Some(link.position),
        Kept::Nothing | Kept::Forged => None,
    };
    breaks.extend(Chain { keyring, rows: &rows, sealed_through, looked_for: 0 }.follow(before));
    let last = rows.last().map_or(first, |row| row.position);
    if is_end {
        breaks.extend(end(tx, head, asked.remembered, &rows, last)?);
    }
    breaks.truncate(TOLD);
    let link = match head {
        Kept::Link(link) => link,
        Kept::Nothing | Kept::Forged => tx.audit_last()?,
    };
    Ok(AuditVerification {
        begin: begin.position.unsigned_abs(),
        through: last.unsigned_abs(),
        checked: rows.len() as u64,
        is_end,
        breaks,
        unsealed: tx.audit_unsealed_count()?,
        head: anchor_of(&link),
        anchor: match asked.anchor {
            Some(anchor) => Some(hold(tx, anchor, &begin)?),
            None => None,
        },
    })
}

/// Returns a head as it is kept elsewhere.
pub fn anchor_of(link: &ChainHead) -> AuditAnchor {
    AuditAnchor::new(link.position.unsigned_abs(), &link.mac)
}

/// Whether an anchor is still part of the chain; that the chain holds is for the rest to say.
fn hold(tx: &mut Tx<'_>, anchor: AuditAnchor, begin: &ChainHead) -> Result<AnchorState, StoreError> {
    let position = i64::try_from(anchor.position()).unwrap_or(i64::MAX);
    let mac = match position {
        0 => {
            return Ok(if anchor.is_of(&ChainHead::START.mac) {
                AnchorState::Holds
            } else {
                AnchorState::Broken
            });
        }
        position if position < begin.position => return Ok(AnchorState::Dropped),
        position if position == begin.position => Some(begin.mac),
        position => tx.audit_link(position)?.flatten(),
    };
    Ok(if mac.is_some_and(|mac| anchor.is_of(&mac)) { AnchorState::Holds } else { AnchorState::Broken })
}

/// Compares the end of the rows with the head that was kept, and with the one that is remembered.
fn end(
    tx: &mut Tx<'_>,
    head: Kept,
    remembered: Option<ChainHead>,
    rows: &[ChainedAuditRow],
    last: i64,
) -> Result<Option<AuditBreak>, StoreError> {
    let cut =
        |until: i64| AuditBreak::between(last.unsigned_abs() + 1, until.unsigned_abs(), BreakKind::Truncated);
    let link = match head {
        // Where there are people, what the first of them did is there, or still waits.
        Kept::Link(ChainHead::START)
            if remembered.is_none_or(|remembered| remembered == ChainHead::START)
                && rows.is_empty()
                && (!tx.people_exist()? || !tx.audit_unsealed(1)?.is_empty()) =>
        {
            return Ok(None);
        }
        Kept::Link(ChainHead::START) | Kept::Nothing | Kept::Forged => {
            return Ok(Some(AuditBreak::at(last.unsigned_abs(), BreakKind::Head)));
        }
        Kept::Link(link) => link,
    };
    if last < link.position {
        return Ok(Some(cut(link.position)));
    }
    if let Some(remembered) = remembered.filter(|remembered| last < remembered.position) {
        return Ok(Some(cut(remembered.position)));
    }
    let mac = rows.last().and_then(|row| row.mac);
    let is_other = last == link.position && mac.is_some_and(|mac| mac != link.mac);
    Ok(is_other.then(|| AuditBreak::at(last.unsigned_abs(), BreakKind::Head)))
}

/// What comes before a row: a position, and the links that may stand there.
struct Before {
    position: i64,
    macs: Vec<[u8; 32]>,
    /// Whether the link that stood there is gone.
    is_gone: bool,
}

struct Chain<'a> {
    keyring: &'a Keyring,
    rows: &'a [ChainedAuditRow],
    /// Nothing was sealed after this.
    sealed_through: Option<i64>,
    looked_for: usize,
}

impl Chain<'_> {
    fn follow(mut self, mut before: Before) -> Vec<AuditBreak> {
        let mut breaks = Vec::new();
        let mut was_moved = false;
        for (index, row) in self.rows.iter().enumerate() {
            let position = row.position.unsigned_abs();
            if row.position > before.position.saturating_add(1) {
                let missing = before.position.unsigned_abs() + 1;
                breaks.push(AuditBreak::between(missing, position - 1, BreakKind::Missing));
                before.is_gone = true;
            }
            let text = row.row.as_ref().map(AuditRow::chained_text);
            let kind = self.judge(index, &before, text.as_deref(), was_moved);
            was_moved = kind == Some(BreakKind::Moved);
            breaks.extend(kind.map(|kind| AuditBreak::at(position, kind)));
            let mut macs: Vec<[u8; 32]> = row.mac.into_iter().collect();
            if let (Some(_), Some(text)) = (kind, &text) {
                // Where the link itself was changed, the next row follows the one it was; where the row was slipped in,
                // the next one follows what came before.
                macs.extend(before.macs.iter().map(|mac| self.keyring.audit_mac(mac, row.position, text)));
                macs.extend(&before.macs);
                macs.truncate(AROUND);
            }
            before = Before { position: row.position, macs, is_gone: false };
        }
        breaks
    }

    /// Returns the kind of break at a row; `None`: it stands where it was sealed.
    fn judge(
        &mut self,
        index: usize,
        before: &Before,
        text: Option<&[u8]>,
        was_moved: bool,
    ) -> Option<BreakKind> {
        let row = &self.rows[index];
        let is_beyond = self.sealed_through.is_some_and(|through| row.position > through);
        let (Some(text), Some(mac)) = (text, row.mac) else { return Some(BreakKind::Changed) };
        let keyring = self.keyring;
        if is_beyond
            || before
                .macs
                .iter()
                .any(|previous| keyring.audit_mac_of_stranger(previous, row.position, text) == mac)
        {
            return Some(BreakKind::Inserted);
        }
        if before.macs.iter().any(|previous| keyring.audit_mac(previous, row.position, text) == mac) {
            return None;
        }
        self.looked_for += 1;
        let place = if self.looked_for <= LOOKED_FOR { self.place_of(index, text) } else { None };
        match place {
            Some(position) if position == row.position && was_moved => None,
            Some(_) => Some(BreakKind::Moved),
            None if self.next_follows(index, &before.macs) => Some(BreakKind::Inserted),
            // What it follows is gone: that was told, and nothing else can be said.
            None if before.is_gone || before.macs.is_empty() => None,
            None => Some(BreakKind::Changed),
        }
    }

    /// Whether the row after this one was sealed as if this one were not there.
    fn next_follows(&self, index: usize, macs: &[[u8; 32]]) -> bool {
        let Some(next) = self.rows.get(index + 1) else { return false };
        let (Some(row), Some(mac)) = (&next.row, next.mac) else { return false };
        let text = row.chained_text();
        macs.iter().any(|previous| self.keyring.audit_mac(previous, next.position, &text) == mac)
    }

    /// Looks for the place a row was sealed at: among all places of this chunk with the link that stands before them,
    /// and around the row with every link that stands there.
    fn place_of(&self, index: usize, text: &[u8]) -> Option<i64> {
        let own = self.rows[index].mac;
        let is_sealed_at = |previous: &[u8; 32], position: i64, there: Option<[u8; 32]>| {
            let mac = self.keyring.audit_mac(previous, position, text);
            Some(mac) == own || Some(mac) == there
        };
        for pair in self.rows.windows(2) {
            if let Some(previous) = pair[0].mac
                && is_sealed_at(&previous, pair[1].position, pair[1].mac)
            {
                return Some(pair[1].position);
            }
        }
        let near = &self.rows[index.saturating_sub(AROUND)..(index + AROUND + 1).min(self.rows.len())];
        let positions: BTreeSet<i64> =
            near.iter().flat_map(|row| [row.position - 1, row.position, row.position + 1]).collect();
        let at = |position: i64| near.iter().find(|row| row.position == position).and_then(|row| row.mac);
        for previous in near.iter().filter_map(|row| row.mac) {
            if let Some(position) =
                positions.iter().find(|position| is_sealed_at(&previous, **position, at(**position)))
            {
                return Some(*position);
            }
        }
        None
    }
}
