//! What the decision sees and says.

use muster_ids::{ClaimId, HostId, KeyName, MachineUid, SiteId, TeamId, TicketId, Timestamp};
use muster_wire::claim::{ClaimReason, ClaimState};
use muster_wire::enroll::{Disposition, Facts, Labels};
use muster_wire::host::HostState;
use muster_wire::refusal::RefusalCause;
use muster_wire::text::Hostname;

/// A machine at the door, its key proved.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// The key it proved.
    pub key: KeyName,
    /// What identifies its hardware: evidence, never proof.
    pub uid: MachineUid,
    /// Its own name.
    pub hostname: Hostname,
    /// What it is.
    pub facts: Facts,
    /// What its owner wrote on it.
    pub labels: Labels,
}

/// What the transaction read about the key, the uid and the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What is known of the machine's key.
    pub key: KeyHistory,
    /// The living host of this team that owns the uid.
    pub owner: Option<HostView>,
    /// Whether the uid was last owned by a retired host of this team, and by no living one since.
    pub uid_last_owned_by_retired: bool,
    /// The host a door-2 ticket names.
    pub invited: Option<HostView>,
    /// The waiting or rejected claim of this key at this site.
    pub claim: Option<KnownClaim>,
    /// Claims of its own site that wait on the owner.
    pub claims_on_owner: u32,
    /// Claims that wait at the site.
    pub claims_at_site: u32,
    /// Hosts the site got through door 3 within the last hour.
    pub new_hosts_this_hour: u64,
    /// Whether this server is there without a break for longer than agents need to come back.
    pub server_past_reconnect_window: bool,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyHistory {
    /// Never seen.
    Unknown,
    /// The active (or next) key of a host.
    Active(HostView),
    /// Revoked or replaced; remembered for ever.
    Gone {
        /// The host it belonged to.
        host_id: HostId,
    },
}

/// An existing host, as far as the decision needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostView {
    /// The identity.
    pub id: HostId,
    /// Its team.
    pub team_id: TeamId,
    /// Its site.
    pub site_id: SiteId,
    /// Where it stands in its life.
    pub state: HostState,
    /// Whether its channel is open.
    pub connected: bool,
    /// Its last sign of life: enrolment, heartbeat or channel, on any node.
    pub seen_at: Option<Timestamp>,
    /// Whether it was ever connected.
    pub ever_connected: bool,
    /// Whether it holds a secret.
    pub holds_secret: bool,
    /// Whether a plan selects it.
    pub selected_by_plan: bool,
    /// Whether a person revoked its last key.
    pub last_key_revoked_by_person: bool,
    /// Whether it is held: it may be the copy of itself, and a person must say so.
    pub held: bool,
}

/// A claim of this key at this site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownClaim {
    /// Names it.
    pub id: ClaimId,
    /// The ticket it came with; a copy came with none.
    pub ticket_id: Option<TicketId>,
    /// Why it waits.
    pub reason: ClaimReason,
    /// Waiting or rejected.
    pub state: ClaimState,
}

/// What an owned uid leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contest {
    /// Site policy lets the machine take over its former host.
    TakeOver(HostId),
    /// A person must decide.
    Wait {
        /// Why.
        reason: ClaimReason,
        /// The host it contests.
        contested: Option<HostId>,
    },
}

/// What is done with the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The first answer again; nothing is written.
    Replay {
        /// The host.
        host_id: HostId,
        /// The first answer.
        disposition: Disposition,
    },
    /// Its claim still waits; nothing is written.
    Wait {
        /// The claim.
        claim_id: ClaimId,
        /// Why it waits.
        reason: ClaimReason,
    },
    /// The same key of the same host: reported facts are refreshed, nothing else.
    Reuse {
        /// The host.
        host_id: HostId,
    },
    /// A new host.
    New {
        /// Whether it owns the uid it reports.
        owns_uid: bool,
    },
    /// The invited host becomes active.
    Register {
        /// The host.
        host_id: HostId,
        /// Whether it owns the uid it reports.
        owns_uid: bool,
    },
    /// The host's key is replaced with a rejoin token.
    Rejoin {
        /// The host.
        host_id: HostId,
        /// Whether it owns the uid it reports.
        owns_uid: bool,
    },
    /// The host's key is replaced by site policy.
    Rekey {
        /// The host.
        host_id: HostId,
    },
    /// The host's key is replaced by a person's decision.
    Replace {
        /// The host.
        host_id: HostId,
    },
    /// The host's key is replaced by a person's decision, and the host moves to the site of the ticket.
    Move {
        /// The host.
        host_id: HostId,
    },
    /// A claim is opened; no existing host changes.
    Claim {
        /// Why a person must decide.
        reason: ClaimReason,
        /// The host it contests.
        contested: Option<HostId>,
        /// The waiting claim it takes the place of: the same machine, at the site's own door before.
        supersedes: Option<ClaimId>,
    },
}

/// A waiting claim, as a verdict on it needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingClaim {
    /// Why it waits.
    pub reason: ClaimReason,
    /// The host it contests: the one the person saw.
    pub contested: Option<HostId>,
    /// The key its machine proved.
    pub key: KeyName,
}

/// Why a machine is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The one 401 of the door; the cause is for the operator alone.
    #[error("enrolment rejected: {0}")]
    Rejected(Cause),
    /// The key was revoked or replaced.
    #[error("key revoked")]
    KeyRevoked {
        /// The host it belonged to.
        host_id: HostId,
        /// The key.
        key: KeyName,
    },
    /// The key belongs to another host.
    #[error("key in use")]
    KeyInUse,
    /// The key's host is suspended.
    #[error("host suspended")]
    HostSuspended,
    /// The key's host is held until a person answered which of two machines is genuine.
    #[error("host held")]
    HostHeld,
    /// A person rejected this key.
    #[error("claim rejected")]
    ClaimRejected,
    /// The state is its host's own: there is nothing to decide.
    #[error("not a copy")]
    NotACopy,
    /// The ticket or site admits key pairs only.
    #[error("key pair required")]
    KeyRequired,
    /// The host or the site has as many claims as it may.
    #[error("too many claims")]
    TooManyClaims,
    /// The verdict does not fit the claim.
    #[error("verdict not possible")]
    VerdictNotPossible,
}

/// Why a ticket opens no door; stored for the operator, never told to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Cause {
    /// The id exists, the secret is wrong.
    #[error("wrong_secret")]
    WrongSecret,
    /// The id exists, as that of a ticket of another kind.
    #[error("wrong_kind")]
    WrongKind,
    /// It lapsed.
    #[error("expired")]
    Expired,
    /// A person revoked it, or a newer one voided it.
    #[error("revoked")]
    Revoked,
    /// Another site key took its place, and the time in which both admit is over.
    #[error("rotated_out")]
    RotatedOut,
    /// It made as many hosts as it may.
    #[error("used_up")]
    UsedUp,
    /// Another machine spent it.
    #[error("spent_by_another_key")]
    SpentByAnotherKey,
    /// A waiting claim holds it for another machine.
    #[error("reserved_for_another_key")]
    ReservedForAnotherKey,
    /// The host it names does not wait for it.
    #[error("host_gone")]
    HostGone,
}

impl Cause {
    /// Returns the word operators read.
    pub const fn word(self) -> RefusalCause {
        match self {
            Self::WrongSecret => RefusalCause::WrongSecret,
            Self::WrongKind => RefusalCause::WrongKind,
            Self::Expired => RefusalCause::Expired,
            Self::Revoked => RefusalCause::Revoked,
            Self::RotatedOut => RefusalCause::RotatedOut,
            Self::UsedUp => RefusalCause::UsedUp,
            Self::SpentByAnotherKey => RefusalCause::SpentByAnotherKey,
            Self::ReservedForAnotherKey => RefusalCause::ReservedForAnotherKey,
            Self::HostGone => RefusalCause::HostGone,
        }
    }
}

impl Refusal {
    /// Returns the word operators read. A person's verdict is refused to their face and has none, like a machine that goes
    /// back to its channel.
    pub const fn word(&self) -> Option<RefusalCause> {
        match self {
            Self::Rejected(cause) => Some(cause.word()),
            Self::KeyRevoked { .. } => Some(RefusalCause::KeyRevoked),
            Self::KeyInUse => Some(RefusalCause::KeyInUse),
            Self::HostSuspended => Some(RefusalCause::HostSuspended),
            Self::HostHeld => Some(RefusalCause::HostHeld),
            Self::ClaimRejected => Some(RefusalCause::ClaimRejected),
            Self::KeyRequired => Some(RefusalCause::KeyRequired),
            Self::TooManyClaims => Some(RefusalCause::TooManyClaims),
            Self::NotACopy | Self::VerdictNotPossible => None,
        }
    }
}
