//! `muster-agent status`: who this machine is, read without disturbing a running agent. Shows no secret.

use std::fmt;
use std::path::Path;

use muster_ids::{ClaimId, HostId, MachineUid, Timestamp};
use muster_wire::claim::{ClaimReason, CopyCause};
use muster_wire::enroll::Disposition;
use serde::Serialize;
use url::Url;

use crate::error::AgentError;
use crate::policy::Policy;
use crate::state::{LastChannel, Membership, StateView};
use crate::visible;

/// What is known of this machine without asking anyone.
#[derive(Debug, Serialize)]
pub struct Status {
    /// How far it came.
    #[serde(flatten)]
    pub standing: Standing,
    /// The state folder.
    pub state_dir: String,
    /// Where the server is, best first.
    pub urls: Vec<Url>,
    /// How many certificate keys are pinned; none: publicly valid certificates.
    pub pins: usize,
    /// What this machine enrols with.
    pub machine_uid: Option<MachineUid>,
    /// The last channel that was proved.
    pub last_channel: Option<LastChannel>,
    /// The names and versions of the secrets it holds.
    pub secrets: Vec<HeldSecret>,
    /// The kinds of jobs its owner allows.
    pub allowed_jobs: Vec<String>,
}

/// How far a machine came.
#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// It never joined.
    NotJoined,
    /// It presented its ticket and was not answered.
    Joining {
        /// The public id of the ticket.
        ticket: String,
    },
    /// A person must decide.
    Waiting {
        /// The claim.
        claim_id: ClaimId,
        /// Why.
        reason: ClaimReason,
    },
    /// It is a host.
    Joined {
        /// The identity.
        host_id: HostId,
        /// How it came to be.
        disposition: Disposition,
        /// When.
        joined_at: Timestamp,
    },
    /// Its state is a copy or an older one, and it asks for an identity of its own.
    Copied {
        /// The host its state names.
        former_host_id: HostId,
        /// How it found out.
        cause: CopyCause,
        /// The claim a person must decide, once the server answered.
        claim_id: Option<ClaimId>,
        /// Whether a person refused it.
        refused: bool,
    },
    /// Its key is void.
    Revoked {
        /// The former identity.
        host_id: HostId,
        /// What the server said.
        reason: String,
        /// When.
        revoked_at: Timestamp,
    },
}

/// A secret, without its content.
#[derive(Debug, Serialize)]
pub struct HeldSecret {
    /// Its name.
    pub name: String,
    /// Counts its changes.
    pub version: u64,
}

/// Reads the status from the state folder.
pub fn read(folder: &Path, policy: &Path) -> Result<Status, AgentError> {
    let view = StateView::open(folder)?;
    let identity = view.as_ref().map(StateView::identity).transpose()?.flatten();
    let config = view.as_ref().map(StateView::config).transpose()?.flatten();
    let last_channel = view.as_ref().map(StateView::last_channel).transpose()?.flatten();
    let secrets = config.iter().flat_map(|config| config.secrets.iter());
    let secrets =
        secrets.map(|(name, held)| HeldSecret { name: name.to_string(), version: held.version }).collect();
    let (urls, pins, machine_uid) = match &identity {
        Some(identity) => (identity.urls.clone(), identity.pins.len(), Some(identity.machine_uid)),
        None => (Vec::new(), 0, None),
    };
    Ok(Status {
        standing: identity.map_or(Standing::NotJoined, |identity| standing(identity.membership)),
        state_dir: folder.display().to_string(),
        urls,
        pins,
        machine_uid,
        last_channel,
        secrets,
        allowed_jobs: Policy::read(policy).summary().iter().map(ToString::to_string).collect(),
    })
}

fn standing(membership: Membership) -> Standing {
    match membership {
        Membership::Joining { waiting: Some(waiting), .. } => {
            Standing::Waiting { claim_id: waiting.claim_id, reason: waiting.reason }
        }
        Membership::Joining { ticket, waiting: None } => Standing::Joining { ticket: ticket.id.to_string() },
        Membership::Joined { host_id, disposition, joined_at, .. } => {
            Standing::Joined { host_id, disposition, joined_at }
        }
        Membership::Forking { host_id, cause, waiting, refused, .. } => Standing::Copied {
            former_host_id: host_id,
            cause,
            claim_id: waiting.map(|waiting| waiting.claim_id),
            refused,
        },
        Membership::Revoked { host_id, reason, revoked_at } => {
            Standing::Revoked { host_id, reason, revoked_at }
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.standing {
            Standing::NotJoined => writeln!(f, "state:         not joined (run `muster-agent join`)")?,
            Standing::Joining { ticket } => {
                writeln!(f, "state:         joining, not answered yet (ticket {ticket})")?;
            }
            Standing::Waiting { claim_id, reason } => {
                let reason = visible::word(reason);
                writeln!(f, "state:         waiting for a person")?;
                writeln!(f, "claim:         {claim_id} ({reason})")?;
            }
            Standing::Joined { host_id, disposition, joined_at } => {
                let disposition = visible::word(disposition);
                writeln!(f, "state:         joined ({disposition}, {joined_at})")?;
                writeln!(f, "host:          {host_id}")?;
            }
            Standing::Copied { former_host_id, cause, claim_id, refused } => {
                let stands = match (claim_id, refused) {
                    (_, true) => "this state is a copy: a person refused it".to_owned(),
                    (Some(claim), false) => {
                        format!("this state is a copy: waiting for a person to decide {claim}")
                    }
                    (None, false) => "this state is a copy: not answered yet".to_owned(),
                };
                writeln!(f, "state:         {stands}")?;
                writeln!(f, "found out:     {}", visible::word(cause))?;
                writeln!(f, "copied from:   {former_host_id}")?;
            }
            Standing::Revoked { host_id, reason, revoked_at } => {
                writeln!(f, "state:         revoked ({reason}, {revoked_at})")?;
                writeln!(f, "former host:   {host_id}")?;
            }
        }
        writeln!(f, "state folder:  {}", self.state_dir)?;
        for url in &self.urls {
            writeln!(f, "server:        {url}")?;
        }
        if let Some(uid) = &self.machine_uid {
            writeln!(f, "machine uid:   {uid}")?;
        }
        if let Some(last) = &self.last_channel {
            writeln!(f, "last channel:  {} at {}", last.connected_at, last.url)?;
        }
        for secret in &self.secrets {
            writeln!(f, "secret:        {} (version {})", secret.name, secret.version)?;
        }
        let allowed = self.allowed_jobs.join(", ");
        write!(f, "allowed jobs:  {}", if allowed.is_empty() { "none" } else { &allowed })
    }
}
