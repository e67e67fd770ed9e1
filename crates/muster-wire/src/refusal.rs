//! Why machines were not admitted: the words operators read, once.

use muster_ids::{TicketId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::claim::ClaimReason;

macro_rules! causes {
    ($($(#[doc = $says:literal])+ $name:ident = $word:literal;)+) => {
        /// Why a machine was not admitted; stored for operators, never told to the machine.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum RefusalCause {
            $($(#[doc = $says])+ #[serde(rename = $word)] $name,)+
        }

        impl RefusalCause {
            /// Every one, in the order in which the door judges.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word: `expired`, `second_key`, …
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// What it means, in one sentence.
            pub const fn says(self) -> &'static str {
                match self { $(Self::$name => concat!($($says,)+).trim_ascii(),)+ }
            }
        }
    };
}

causes! {
    /// The ticket exists, the secret that was shown with it is wrong.
    WrongSecret = "wrong_secret";
    /// The ticket exists, and was shown as a ticket of another kind.
    WrongKind = "wrong_kind";
    /// The machine did not prove that it holds its key.
    InvalidProof = "invalid_proof";
    /// A person revoked the ticket, or a newer one voided it.
    Revoked = "revoked";
    /// Another machine spent the one-time ticket: a second key showed it.
    SpentByAnotherKey = "spent_by_another_key";
    /// A waiting claim holds the one-time ticket for another machine.
    ReservedForAnotherKey = "reserved_for_another_key";
    /// The site key was rotated, and the time in which both worked is over.
    RotatedOut = "rotated_out";
    /// The ticket lapsed.
    Expired = "expired";
    /// The ticket made or re-keyed as many hosts as it may.
    UsedUp = "used_up";
    /// The machine's key was revoked or replaced.
    KeyRevoked = "key_revoked";
    /// The machine's key belongs to a host this ticket is not for.
    KeyInUse = "key_in_use";
    /// The host, or the one the machine's key belongs to, is suspended.
    HostSuspended = "host_suspended";
    /// Its host is held until a person answered which of two machines is genuine.
    HostHeld = "host_held";
    /// The ticket or the site admits machines with a key pair only.
    KeyRequired = "key_required";
    /// A person rejected this machine; the claim may be cleared.
    ClaimRejected = "claim_rejected";
    /// The host the ticket names does not wait for it.
    HostGone = "host_gone";
    /// The machine names the uid of a host at another site: a claim waits for a person.
    SiteConflict = "site_conflict";
    /// A host with this uid was heard of minutes ago: a claim waits for a person.
    Collision = "waits_collision";
    /// A host with this uid is silent, the machine was probably installed anew: a claim waits for a person.
    Reimage = "waits_reimage";
    /// Another host owns the uid of the machine: a claim waits for a person.
    UidTaken = "waits_uid_taken";
    /// The uid was last owned by a retired host: a claim waits for a person.
    Retired = "waits_retired";
    /// The site admits nobody without a person: a claim waits for one.
    Approval = "waits_approval";
    /// More new machines came within an hour than the site lets in: a claim waits for a person.
    Surge = "waits_surge";
    /// A copy of a host that had joined: a claim waits for a person.
    Copied = "waits_clone";
    /// The host or the site has as many waiting claims as it may.
    TooManyClaims = "too_many_claims";
}

impl From<ClaimReason> for RefusalCause {
    fn from(reason: ClaimReason) -> Self {
        match reason {
            ClaimReason::Collision => Self::Collision,
            ClaimReason::Reimage => Self::Reimage,
            ClaimReason::UidTaken => Self::UidTaken,
            ClaimReason::Retired => Self::Retired,
            ClaimReason::Approval => Self::Approval,
            ClaimReason::Surge => Self::Surge,
            ClaimReason::SiteConflict => Self::SiteConflict,
            ClaimReason::Clone => Self::Copied,
        }
    }
}

impl std::fmt::Display for RefusalCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One cause of refusals at a ticket, aggregated: `GET /v1/tickets/{ticket_id}/refusals`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TicketRefusal {
    /// Why machines were refused.
    pub cause: RefusalCause,
    /// How often.
    pub count: u64,
    /// When first.
    pub first_at: Timestamp,
    /// When last.
    pub last_at: Timestamp,
    /// The address the last one came from.
    pub last_source: String,
    /// The request id the last machine may quote.
    pub last_request_id: String,
}

/// One refused request, by what the machine may quote: `GET /v1/refusals`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedRequest {
    /// What the machine was told to quote.
    pub request_id: String,
    /// The ticket it showed.
    pub ticket_id: TicketId,
    /// Why it was refused.
    pub cause: RefusalCause,
    /// When.
    pub at: Timestamp,
    /// The address it came from.
    pub source: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_there_once_and_reads_back() {
        for cause in RefusalCause::ALL {
            let json = serde_json::to_value(cause).unwrap();
            assert_eq!(json, cause.as_str());
            assert_eq!(serde_json::from_value::<RefusalCause>(json).unwrap(), *cause);
            assert!(cause.says().ends_with('.'));
        }
    }
}
