//! The server's own keys: what signs instructions, and what agents are told of it and of the pins (DESIGN §3).
//!
//! A key comes into use in three steps: it is announced, it takes the place of the one in use, and the former one is
//! destroyed. Between the last two each agent gets the signature it accepts, so nobody is lost who is late.

mod rotate;
mod stored;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use muster_domain::server_keys::{Heard, Overlap, Said, ServerKeys, Signer, Spread, signer};
use muster_ids::{HostId, KeyName, KeyThumbprint, PublicId, TicketId, Timestamp};
use muster_proof::HostKey;
use muster_proof::instruction::{self, Pins, Revoked};
use muster_store::rows::{PinsKeptRow, TrustRow};
use muster_store::{Store, StoreError, Tx};
use muster_wire::server_keys::TlsKind;

use crate::app::App;
use crate::failure::Failure;
use crate::tls::Tls;

pub use rotate::{announce, finish, rotate_tls, say_pins, switch};
pub(crate) use stored::{begin, first, open};

/// How long may be asked which key signs for an agent.
const SIGNER_WITHIN: Duration = Duration::from_millis(200);

/// The keys that sign instructions, and what was said of them.
pub struct InstructionKeys {
    current: HostKey,
    next: Option<HostKey>,
    former: Option<(HostKey, Overlap)>,
    said: Said,
}

impl InstructionKeys {
    /// Thumbprint of the key that signs now.
    pub fn current(&self) -> KeyThumbprint {
        self.current.thumbprint()
    }

    /// Thumbprint of the key that will.
    pub fn next(&self) -> Option<KeyThumbprint> {
        self.next.as_ref().map(HostKey::thumbprint)
    }

    /// Thumbprint of the key that did, as long as it is there, and when they changed.
    pub fn former(&self) -> Option<(KeyThumbprint, Overlap)> {
        self.former.as_ref().map(|(key, overlap)| (key.thumbprint(), *overlap))
    }

    /// What was said last.
    pub fn said(&self) -> &Said {
        &self.said
    }

    fn overlap(&self) -> Option<Overlap> {
        self.former.as_ref().map(|(_, overlap)| *overlap)
    }

    fn key(&self, signer: Signer) -> &HostKey {
        match (signer, &self.former) {
            (Signer::Former, Some((former, _))) => former,
            _ => &self.current,
        }
    }

    /// Signs that a key is revoked.
    pub fn revoked(&self, signer: Signer, revoked: &Revoked) -> String {
        instruction::sign_revoked(self.key(signer), revoked)
    }

    /// Signs what was said last, to the key of a channel.
    pub fn pins(&self, signer: Signer, to: KeyName) -> String {
        let ServerKeys { current, next, instruction, next_instruction } = self.said.keys.clone();
        let pins = Pins {
            to,
            issued_at: self.said.issued_at,
            current,
            next,
            instruction_key: instruction,
            next_instruction_key: next_instruction,
            not_before: self.said.issued_at,
        };
        instruction::sign_pins(self.key(signer), &pins)
    }

    /// Chooses the key whose signature the agent of a host accepts.
    pub fn signer(&self, trust: TrustRow) -> Signer {
        signer(self.overlap(), heard(trust))
    }
}

fn heard(trust: TrustRow) -> Heard {
    Heard { pins_issued_at: trust.pins_issued_at, told_at: trust.told_at }
}

/// Signs the statement that makes the agent of a host give up a key, so that the agent accepts it.
pub async fn revoked(app: &App, host_id: HostId, revoked: &Revoked) -> String {
    let keys = app.installation.instruction_keys();
    let signer = match keys.overlap() {
        None => Signer::Current,
        Some(_) => signer_of(app, &keys, host_id).await,
    };
    keys.revoked(signer, revoked)
}

/// A socket that is to be cut waits for the answer: whoever would be signed for wrongly hears it again at the door.
async fn signer_of(app: &App, keys: &Arc<InstructionKeys>, host_id: HostId) -> Signer {
    let read = tokio::time::timeout(SIGNER_WITHIN, app.look_first(move |tx| tx.host_trust(host_id))).await;
    match read.unwrap_or_else(|elapsed| Err(Failure::internal(elapsed))) {
        Ok(trust) => trust.map_or(Signer::Current, |trust| keys.signer(trust)),
        Err(error) => {
            tracing::warn!(%error, "what an agent knows of the instruction keys cannot be read");
            Signer::Current
        }
    }
}

/// Returns the key that whoever took the join string of a ticket expects to be named: between a switch and its finish
/// that may be the former one.
pub async fn told_with(app: &App, ticket: Option<PublicId>) -> Result<KeyThumbprint, Failure> {
    let keys = app.installation.instruction_keys();
    let (Some((former, overlap)), Some(ticket)) = (keys.former(), ticket) else { return Ok(keys.current()) };
    let minted_at =
        app.look(move |tx| Ok(tx.ticket_by_id(&TicketId::new(ticket))?.map(|row| row.created_at)));
    let minted_at = minted_at.await?;
    let is_older = minted_at.is_some_and(|minted_at| minted_at < overlap.switched_at);
    Ok(if is_older { former } else { keys.current() })
}

/// Refuses to show hosts a key of the server's own that they were never told of: it is not the one they joined.
pub(crate) async fn refuse_unknown(store: &Store, tls: &Tls) -> anyhow::Result<()> {
    if tls.kind() != TlsKind::Own {
        return Ok(());
    }
    let read = store.read(|tx| Ok::<_, Failure>((stored::told_pins(tx)?, tx.hosts_active_count()?)));
    let (told, hosts) = read.await.context("cannot read the keys of this server")?;
    if hosts == 0 || told.is_empty() || tls.pins().iter().any(|pin| told.contains(pin)) {
        return Ok(());
    }
    bail!(
        "the TLS key in the data folder is not the one the {hosts} hosts of this server know, none of them would \
         connect: put back tls/tls.key and tls/next.key, from a backup for example; if they are lost, start once with \
         --accept-new-tls-key and give every host a join string of the new key"
    )
}

/// Returns the keys as they are: what was said may be older.
fn as_they_are(tls: &Tls, keys: &InstructionKeys) -> ServerKeys {
    ServerKeys {
        current: tls.pins(),
        next: tls.next_pins(),
        instruction: keys.current(),
        next_instruction: keys.next(),
    }
}

/// Counts who knows what was said at `since`.
pub fn spread(tx: &mut Tx<'_>, since: Timestamp) -> Result<Spread, StoreError> {
    let PinsKeptRow { hosts, kept } = tx.pins_kept(since)?;
    Ok(Spread { hosts, kept })
}
