//! Which of the installation's keys this machine knows: certificates and instructions, now and next (DESIGN §3).

#[cfg(test)]
mod tests;

use muster_ids::{KeyName, KeyThumbprint, Timestamp};
use muster_proof::ProofError;
use muster_proof::instruction::{self, Pins};

use crate::state::IdentityState;

/// What a genuine statement of pins means to this machine.
#[derive(Debug)]
pub enum Judged {
    /// It is newer than what is kept: keep this.
    Newer(Box<IdentityState>, Timestamp),
    /// It is the one that is kept: confirm it again.
    Kept(Timestamp),
    /// It is older: a recorded one, or one that was overtaken.
    Older,
}

/// Judges a statement of pins: signed by any key whose instructions count, said to the key of this channel, and newer
/// than the one that is kept. Pure.
///
/// Whatever the newest statement does not name is not accepted any more.
pub fn judge(statement: &str, identity: &IdentityState, key: KeyThumbprint) -> Result<Judged, ProofError> {
    let mut verified = None;
    for key in identity.instruction_keys() {
        match instruction::verify_pins(statement, key) {
            Ok(pins) => {
                verified = Some(Ok(pins));
                break;
            }
            Err(cause) => verified = Some(Err(cause)),
        }
    }
    let pins = verified.expect("there is an instruction key")?;
    if pins.to != KeyName::Pair(key) {
        return Err(ProofError::Invalid("said to another key"));
    }
    let kept = identity.pins_issued_at;
    if kept == Some(pins.issued_at) {
        return Ok(Judged::Kept(pins.issued_at));
    }
    if kept.is_some_and(|kept| pins.issued_at < kept) {
        return Ok(Judged::Older);
    }
    let issued_at = pins.issued_at;
    Ok(Judged::Newer(Box::new(taken(pins, identity.clone())), issued_at))
}

/// When a statement was issued that is just older than one that is kept: who keeps that hears the newest again.
pub const fn just_older(kept: Timestamp) -> Timestamp {
    Timestamp::from_millis(kept.as_millis() - 1)
}

/// Whether a newer statement takes the last pins away: from then on this machine's own trust store decides.
pub fn are_given_up(former: &IdentityState, newer: &IdentityState) -> bool {
    !former.pins.is_empty() && newer.pins.is_empty()
}

/// Says what a newer statement changes.
pub fn in_words(former: &IdentityState, newer: &IdentityState) -> &'static str {
    if are_given_up(former, newer) {
        "the server's certificates are publicly valid ones from now on: none of its keys is pinned any more"
    } else if former.pins == newer.pins {
        "the server said whose instructions count, now and next"
    } else if former.pins.is_empty() {
        "the server's certificates are pinned from now on"
    } else {
        "the server said which certificates it shows, now and next"
    }
}

fn taken(pins: Pins, identity: IdentityState) -> IdentityState {
    // None in use means publicly valid ones: to pin what comes next would shut out what is there now.
    let accepted = if pins.current.is_empty() { Vec::new() } else { [pins.current, pins.next].concat() };
    let mut distinct = Vec::new();
    for pin in accepted {
        if !distinct.contains(&pin) {
            distinct.push(pin);
        }
    }
    IdentityState {
        pins: distinct,
        instruction_key: pins.instruction_key,
        next_instruction_key: pins.next_instruction_key,
        pins_issued_at: Some(pins.issued_at),
        ..identity
    }
}
