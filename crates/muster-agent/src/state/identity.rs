use muster_ids::{Bearer, ClaimId, HostId, KeyThumbprint, MachineUid, Timestamp};
use muster_wire::JoinString;
use muster_wire::claim::{ClaimReason, CopyCause};
use muster_wire::enroll::{Disposition, EnrollReply, EnrollWaiting, Labels};
use muster_wire::text::Hostname;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::origin::Place;

/// Who this machine is to which server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityState {
    /// Where the server is, best first.
    pub urls: Vec<Url>,
    /// SHA-256 of the SubjectPublicKeyInfo of the certificates to accept, those to come included; empty: publicly valid
    /// ones.
    pub pins: Vec<String>,
    /// Thumbprint of the key that signs instructions.
    pub instruction_key: KeyThumbprint,
    /// Thumbprint of the key that will sign them: its instructions count already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_instruction_key: Option<KeyThumbprint>,
    /// The statement pins and keys come from, by when it was issued; absent: they come from a join string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pins_issued_at: Option<Timestamp>,
    /// Where this state was made; absent in one that an older agent made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_on: Option<Place>,
    /// The uid this machine enrols with, the same at every retry.
    pub machine_uid: MachineUid,
    /// The name it reports, when its owner chose one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// What its owner wrote on it.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// How far it came.
    pub membership: Membership,
}

/// How far a machine came on its way to being a host.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum Membership {
    /// It presents its ticket until it is answered.
    Joining {
        /// The ticket, which is a credential.
        #[serde(with = "ticket_text")]
        ticket: Bearer,
        /// The claim a person must decide first, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waiting: Option<Waiting>,
    },
    /// It is a host; its key is its credential.
    Joined {
        /// The identity.
        host_id: HostId,
        /// How it came to be.
        disposition: Disposition,
        /// Seconds between heartbeats.
        heartbeat_secs: u32,
        /// When it was admitted.
        joined_at: Timestamp,
        /// What it was a copy of, for as long as no signature shows that the server took the key it made itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        copy_of: Option<Box<CopyOf>>,
    },
    /// Its state is a copy or an older one: it made itself another key and asks for an identity of its own.
    Forking {
        /// The host its state names.
        host_id: HostId,
        /// How it found out.
        cause: CopyCause,
        /// The claim a person must decide first, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waiting: Option<Waiting>,
        /// Whether a person refused it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        refused: bool,
        /// How it was that host; absent in a state that began with an older agent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        former: Option<Admitted>,
    },
    /// A signed `revoked` was received: the key is void.
    Revoked {
        /// The former identity.
        host_id: HostId,
        /// What the server said.
        reason: String,
        /// When it said so.
        revoked_at: Timestamp,
    },
}

/// How a machine was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admitted {
    /// How it came to be.
    pub disposition: Disposition,
    /// Seconds between heartbeats.
    pub heartbeat_secs: u32,
    /// When.
    pub joined_at: Timestamp,
}

/// What a machine was a copy of: all that it takes to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyOf {
    /// The host its state named.
    pub host_id: HostId,
    /// How it found out.
    pub cause: CopyCause,
    /// How it was that host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<Admitted>,
}

/// The claim of a machine that waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// The claim.
    pub claim_id: ClaimId,
    /// Why a person must decide.
    pub reason: ClaimReason,
}

impl IdentityState {
    /// Begins to join.
    pub fn joining(join: &JoinString, machine_uid: MachineUid) -> Self {
        Self {
            urls: join.urls.clone(),
            pins: join.pins.clone(),
            instruction_key: join.instruction_key,
            next_instruction_key: None,
            pins_issued_at: None,
            made_on: None,
            machine_uid,
            hostname: None,
            labels: Labels::default(),
            membership: Membership::Joining { ticket: join.ticket.clone(), waiting: None },
        }
    }

    /// Takes the news that a person must decide; a machine that is a host already stays one.
    pub fn waiting(self, reply: &EnrollWaiting) -> Self {
        let waiting = Some(Waiting { claim_id: reply.claim_id, reason: reply.reason });
        let membership = match self.membership {
            Membership::Joining { ticket, .. } => Membership::Joining { ticket, waiting },
            Membership::Forking { host_id, cause, former, .. } => {
                Membership::Forking { host_id, cause, waiting, refused: false, former }
            }
            membership @ (Membership::Joined { .. } | Membership::Revoked { .. }) => membership,
        };
        Self { membership, ..self }
    }

    /// Takes the news that this state is a copy or an older one; a machine that is no host stays as it is. One whose own
    /// key is not proved yet is what it was a copy of.
    pub fn forking(self, cause: CopyCause) -> Self {
        let (host_id, former) = match self.membership {
            Membership::Joined { copy_of: Some(copied), .. } => (copied.host_id, copied.former),
            Membership::Joined { host_id, disposition, heartbeat_secs, joined_at, copy_of: None } => {
                (host_id, Some(Admitted { disposition, heartbeat_secs, joined_at }))
            }
            Membership::Forking { host_id, former, .. } => (host_id, former),
            Membership::Joining { .. } | Membership::Revoked { .. } => return self,
        };
        let membership = Membership::Forking { host_id, cause, waiting: None, refused: false, former };
        Self { membership, ..self }
    }

    /// Takes the news that a person refused to give it an identity of its own.
    pub fn refused(self) -> Self {
        let Membership::Forking { host_id, cause, waiting, former, .. } = self.membership else {
            return self;
        };
        Self { membership: Membership::Forking { host_id, cause, waiting, refused: true, former }, ..self }
    }

    /// Takes the news that it is no copy: it is the host it was, since `now` where that is not known.
    pub fn no_copy(self, now: Timestamp) -> Self {
        let Membership::Forking { host_id, former, .. } = self.membership else { return self };
        let unknown = Admitted { disposition: Disposition::Reuse, heartbeat_secs: 30, joined_at: now };
        let Admitted { disposition, heartbeat_secs, joined_at } = former.unwrap_or(unknown);
        let membership =
            Membership::Joined { host_id, disposition, heartbeat_secs, joined_at, copy_of: None };
        Self { membership, ..self }
    }

    /// Takes the server's answer; the ticket is forgotten, and what it was a copy of is not.
    pub fn joined(self, reply: &EnrollReply, now: Timestamp) -> Self {
        let copy_of = match self.membership {
            Membership::Forking { host_id, cause, former, .. } => Some(CopyOf { host_id, cause, former }),
            Membership::Joining { .. } | Membership::Joined { .. } | Membership::Revoked { .. } => None,
        };
        let membership = Membership::Joined {
            host_id: reply.host_id,
            disposition: reply.disposition,
            heartbeat_secs: reply.heartbeat_secs,
            joined_at: now,
            copy_of: copy_of.map(Box::new),
        };
        Self { membership, ..self }
    }

    /// What it was a copy of, for as long as the key it made itself is not proved.
    pub fn copy_of(&self) -> Option<&CopyOf> {
        match &self.membership {
            Membership::Joined { copy_of, .. } => copy_of.as_deref(),
            _ => None,
        }
    }

    /// Takes the news that the key it made itself is the server's to know: it is a host like any other.
    pub fn proved(self) -> Self {
        match self.membership {
            Membership::Joined { host_id, disposition, heartbeat_secs, joined_at, .. } => {
                let membership =
                    Membership::Joined { host_id, disposition, heartbeat_secs, joined_at, copy_of: None };
                Self { membership, ..self }
            }
            _ => self,
        }
    }

    /// Takes new URLs and pins; key, host and membership stay.
    ///
    /// The statement kept last counts as just older than it is: the server says it again, and none that is older is
    /// taken.
    pub fn moved(self, join: &JoinString) -> Self {
        let pins_issued_at = self.pins_issued_at.map(crate::pins::just_older);
        Self { urls: join.urls.clone(), pins: join.pins.clone(), pins_issued_at, ..self }
    }

    /// Whether a key signs instructions for this machine, now or next.
    pub fn obeys(&self, key: &KeyThumbprint) -> bool {
        self.instruction_keys().any(|known| known == key)
    }

    /// The keys that sign instructions for this machine.
    pub fn instruction_keys(&self) -> impl Iterator<Item = &KeyThumbprint> {
        std::iter::once(&self.instruction_key).chain(&self.next_instruction_key)
    }

    /// Gives up the identity after a signed `revoked`; a machine that is no host stays as it is.
    pub fn revoked(self, reason: String, now: Timestamp) -> Self {
        match self.host_id() {
            Some(host_id) => {
                Self { membership: Membership::Revoked { host_id, reason, revoked_at: now }, ..self }
            }
            None => self,
        }
    }

    /// Returns the identity, unless the machine still joins or its key is void.
    pub fn host_id(&self) -> Option<HostId> {
        match self.membership {
            Membership::Joined { host_id, .. } => Some(host_id),
            Membership::Joining { .. } | Membership::Forking { .. } | Membership::Revoked { .. } => None,
        }
    }
}

mod ticket_text {
    use std::borrow::Cow;

    use muster_ids::Bearer;
    use secrecy::ExposeSecret;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(ticket: &Bearer, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(ticket.expose().expose_secret())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bearer, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Bearer::parse(&text).ok_or_else(|| serde::de::Error::custom("malformed"))
    }
}
