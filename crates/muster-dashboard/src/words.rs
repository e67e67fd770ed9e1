//! The words of the pages: every state, reason and refusal as a person reads it. The API's words are for programs.

pub(crate) mod fleet;
pub(crate) mod joining;
pub(crate) mod people;
pub(crate) mod webhooks;

use http::StatusCode;
use muster_wire::claim::{ClaimReason, ClaimState, CopyCause, CopyConsequence, Verdict};
use muster_wire::enroll::Disposition;
use muster_wire::host::{HostState, Presence};
use muster_wire::job::JobState;
use muster_wire::ticket::{TicketKind, TicketStatus};

/// How a state is coloured and shaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Somebody should look.
    Warn,
    /// Broken, or refused.
    Bad,
    /// Under way.
    Busy,
    /// Neither good nor bad.
    Quiet,
}

impl Tone {
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Busy => "busy",
            Self::Quiet => "muted",
        }
    }
}

/// A state with its word and tone.
pub(crate) trait Worded {
    /// The word people read.
    fn word(&self) -> &'static str;
    /// How it is coloured and shaped.
    fn tone(&self) -> Tone;
}

macro_rules! worded {
    ($($type:ident { $($variant:ident => $word:literal, $tone:ident;)+ })+) => {
        $(impl Worded for $type {
            fn word(&self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
            fn tone(&self) -> Tone {
                match self { $(Self::$variant => Tone::$tone,)+ }
            }
        })+
    };
}

worded! {
    Presence {
        NeverSeen => "never seen", Quiet;
        Online => "online", Good;
        Unreachable => "unreachable", Bad;
        Offline => "offline", Quiet;
    }
    HostState {
        Invited => "invited", Busy;
        Active => "active", Good;
        Suspended => "suspended", Warn;
        Retired => "retired", Quiet;
    }
    ClaimState {
        Waiting => "waiting", Warn;
        Replaced => "replaced", Good;
        Moved => "moved", Good;
        New => "new host", Good;
        Rejected => "rejected", Bad;
        Expired => "expired", Quiet;
        Closed => "closed", Quiet;
    }
    JobState {
        Queued => "queued", Quiet;
        Dispatched => "sent", Busy;
        Running => "running", Busy;
        Succeeded => "succeeded", Good;
        Failed => "failed", Bad;
        Cancelled => "cancelled", Quiet;
        Lost => "lost", Warn;
    }
    TicketStatus {
        Open => "open", Good;
        Reserved => "held by a claim", Busy;
        Spent => "used", Quiet;
        UsedUp => "used up", Quiet;
        Expired => "expired", Quiet;
        Rotated => "rotated, still admits", Warn;
        RotatedOut => "rotated out", Quiet;
        Revoked => "revoked", Bad;
    }
}

/// Names the door of a ticket.
pub(crate) const fn ticket_kind(kind: TicketKind) -> &'static str {
    match kind {
        TicketKind::EnrolmentToken => "one-time token",
        TicketKind::RegistrationToken => "invitation",
        TicketKind::SiteKey => "site key",
    }
}

/// Names a door by its number.
pub(crate) const fn door(door: u8) -> &'static str {
    match door {
        1 => "one-time token",
        2 => "invitation",
        3 => "site key",
        _ => "unknown door",
    }
}

/// Says how a machine came to be the host it is.
pub(crate) const fn disposition(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::New => "joined as a new host",
        Disposition::Registered => "registered as it was invited",
        Disposition::Reuse => "came back with the same key",
        Disposition::Rekeyed => "took over after an installation anew, as the site allows",
        Disposition::Rejoined => "rejoined with a token made for it",
        Disposition::Replaced => "took over by a person's decision",
    }
}

/// Names the reason of a claim in a few words.
pub(crate) const fn claim_reason(reason: ClaimReason) -> &'static str {
    match reason {
        ClaimReason::Collision => "Two machines at once",
        ClaimReason::Reimage => "Looks installed anew",
        ClaimReason::UidTaken => "Hardware already known",
        ClaimReason::Retired => "Was retired before",
        ClaimReason::Approval => "New machine",
        ClaimReason::Surge => "Unusually many new machines",
        ClaimReason::SiteConflict => "Known at another site",
        ClaimReason::Clone => "Copy of a host",
    }
}

/// Says why a person must decide.
pub(crate) const fn claim_question(reason: ClaimReason) -> &'static str {
    match reason {
        ClaimReason::Collision => {
            "It names the hardware of a host that is online, or was seen minutes ago. Both cannot be the same machine."
        }
        ClaimReason::Reimage => {
            "It names the hardware of a host that was silent for a while. Probably the same machine, installed anew."
        }
        ClaimReason::UidTaken => {
            "It came with a ticket for a new host, but names the hardware of one that exists."
        }
        ClaimReason::Retired => "It names the hardware of a host that was retired.",
        ClaimReason::Approval => "This site lets nobody in without a person.",
        ClaimReason::Surge => "More new machines came within an hour than this site expects.",
        ClaimReason::SiteConflict => {
            "It names the hardware of a host that stands at another site of your team."
        }
        ClaimReason::Clone => {
            "It holds the state of a host that had joined already: a copy, or an older state that was restored."
        }
    }
}

/// Names a decision.
pub(crate) const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Replace => "Replace the host",
        Verdict::Move => "Replace and move here",
        Verdict::New => "Admit as a new host",
        Verdict::Reject => "Reject",
    }
}

/// Says what a decision does.
pub(crate) const fn verdict_says(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Replace => {
            "This machine becomes the host; the key of the former machine is revoked and its channel cut."
        }
        Verdict::Move => {
            "This machine becomes the host, which moves to this site; the former machine's key is revoked."
        }
        Verdict::New => "This machine becomes a host of its own; nothing changes for any other.",
        Verdict::Reject => "This machine is refused until you clear the rejection.",
    }
}

/// The letter that decides so from the keyboard.
pub(crate) const fn verdict_key(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Replace => "r",
        Verdict::Move => "m",
        Verdict::New => "n",
        Verdict::Reject => "x",
    }
}

/// Says how a copy was found out.
pub(crate) const fn copy_cause(cause: CopyCause) -> &'static str {
    match cause {
        CopyCause::GenerationStale => "It showed an older state than the server knows.",
        CopyCause::Fenced => {
            "It connected while another machine was connected as the host, and that one answered."
        }
        CopyCause::MachineUidDiffers => {
            "It says itself that it runs on other hardware than its state was made on."
        }
        CopyCause::InstallIdDiffers => {
            "It says itself that it is another installation than its state was made in."
        }
    }
}

/// Says what became of the host when a copy was found out.
pub(crate) const fn copy_consequence(consequence: CopyConsequence) -> &'static str {
    match consequence {
        CopyConsequence::WorksOn => "The host works on.",
        CopyConsequence::Held => "The host is held: neither machine gets anything before you answer.",
        CopyConsequence::Suspended => "The host was suspended, as the policy of its site says.",
    }
}

/// Says what was refused or failed, and what to do about it.
pub(crate) fn refusal(status: StatusCode, code: &str, detail: &str, retry_after_secs: Option<u64>) -> String {
    let known = match code {
        "forbidden" => "Your role does not allow this. Ask an owner of the team.",
        "foreign_origin" => "The request came from a page of another site, and nothing was changed.",
        "preview_stale" => "Something changed since you looked. Look at the preview again, then decide.",
        "claim_stale" => "The evidence changed since you looked. Look at the claim again, then decide.",
        "idempotency_key_reused" => "This form was sent before with other values. Open it anew.",
        "invalid_cursor" => "This page of the list is no more. Begin at the first page.",
        "not_found" => "There is nothing here, or it belongs to another team.",
        "too_many_requests" if retry_after_secs.is_none() => {
            "Too many failed attempts. Wait a little, then try again."
        }
        "unavailable" => "The server cannot answer this now. Try again in a moment.",
        code => people::refusal(code),
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    if let (StatusCode::TOO_MANY_REQUESTS, Some(seconds)) = (status, retry_after_secs) {
        return format!("Too many failed attempts. Try again in {}.", people::wait(seconds));
    }
    if !detail.is_empty() {
        return sentence(detail, retry_after_secs);
    }
    match status {
        StatusCode::NOT_FOUND => "There is nothing here, or it belongs to another team.".to_owned(),
        StatusCode::PAYLOAD_TOO_LARGE => "That was too much for one form. Send less.".to_owned(),
        StatusCode::REQUEST_TIMEOUT => "The form took too long to arrive. Send it again.".to_owned(),
        _ => "The server failed to answer. Try again; if it lasts, look at the server's log.".to_owned(),
    }
}

/// Makes a sentence of a text of the API.
fn sentence(detail: &str, retry_after_secs: Option<u64>) -> String {
    let wait = retry_after_secs.map(|seconds| format!(" Try again in {seconds} s.")).unwrap_or_default();
    format!("{}.{wait}", capital(detail.trim_end_matches('.')))
}

/// Makes the first letter a large one.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    first + letters.as_str()
}

/// Says why a field does not hold.
pub(crate) fn field_error(code: &str) -> String {
    let known = match code {
        "missing" | "required" => "This is needed.",
        "too_long" => "This is too long.",
        "too_short" => "This is too short.",
        "empty" => "This must not be empty.",
        "too_many" => "These are too many.",
        "out_of_range" => "This number is not in the allowed range.",
        "taken" => "This name is taken.",
        "wrong_type" => "This is not of the right kind.",
        "malformed" => "This has not the right form.",
        "control_character" | "control_characters" => "This holds characters that are not allowed.",
        "unknown_field" => "The server does not know this field.",
        "not_found" => "This does not exist.",
        "address_not_allowed" => {
            "This server may not reach that address. Whoever runs it can allow it: muster serve --allow-outbound."
        }
        "not_encrypted" => "Without encryption only addresses are allowed that the server's owner listed.",
        "not_without_the_other" => "User and password come together, or neither.",
        "surrounding_space" => "This begins or ends with a space.",
        code => people::field_error(code),
    };
    if known.is_empty() { sentence(&code.replace('_', " "), None) } else { known.to_owned() }
}

/// Says why a new password does not hold.
pub(crate) fn password_error(code: &str) -> String {
    match code {
        "too_short" => {
            "Take at least 15 characters: a few words that nobody else would put together.".to_owned()
        }
        "too_long" => "Take at most 128 characters.".to_owned(),
        code => field_error(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_nobody_wrote_words_for_is_told_as_the_api_tells_it() {
        let told = refusal(StatusCode::CONFLICT, "host_retired", "the host is retired", Some(30));
        assert_eq!(told, "The host is retired. Try again in 30 s.");
        assert!(refusal(StatusCode::INTERNAL_SERVER_ERROR, "", "", None).contains("log"));
        assert_eq!(field_error("odd_code"), "Odd code.");
    }
}
