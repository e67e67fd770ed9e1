//! What a channel does beside configuration and work: the next key of its host, and what its agent is told of the
//! server's own keys.

use muster_channel::server::ServerChannel;
use muster_domain::host_key_rotation::NotTaken;
use muster_ids::{KeyThumbprint, Timestamp};
use muster_proof::successor::verify_next_key;
use muster_store::Priority;
use muster_store::rows::TrustRow;
use muster_wire::channel::{Report, ServerMessage};

use super::wire::End;
use crate::app::App;
use crate::auth::Agent;
use crate::enrol::next_key::{self, Offer};
use crate::failure::Failure;
use crate::unit::Unit;

/// What was said on this channel, and what the agent may therefore answer.
#[derive(Debug, Default)]
pub(super) struct Errands {
    /// Whether the agent was asked for its next key.
    is_asked: bool,
    /// Whether the host is to be asked as soon as it is settled.
    is_due: bool,
    /// What the agent knows of the server's keys.
    trust: Option<TrustRow>,
    /// The statement of pins that was sent last.
    pins_sent: Option<Timestamp>,
}

/// What the transaction of the acknowledgement reads for this.
#[derive(Debug, Clone, Copy)]
pub(super) struct Learned {
    is_due: bool,
    trust: Option<TrustRow>,
}

/// Records what the agent says it knows of the server's keys, and looks whether its host is to make its next key.
pub(super) fn learn(
    unit: &mut Unit<'_, '_>,
    agent: &Agent,
    report: &Report,
    said_at: Timestamp,
) -> Result<Learned, Failure> {
    // What this server never said, or does not remember, informs nobody.
    let kept = report.pins_issued_at.filter(|kept| *kept <= said_at);
    unit.tx.host_pins_kept(agent.host_id, kept)?;
    let is_due = unit.tx.host_rotation_asked(agent.host_id)?.is_some();
    Ok(Learned { is_due, trust: unit.tx.host_trust(agent.host_id)? })
}

impl Errands {
    pub(super) fn learned(&mut self, learned: Learned) {
        self.is_due = learned.is_due;
        self.trust = learned.trust;
    }

    /// The host is to make its next key: at once, or when it is settled.
    pub(super) fn rotation_is_due(&mut self) {
        self.is_due = true;
    }

    /// Returns the frame that asks for the next key, if it is due and was not sent on this channel.
    pub(super) fn ask(&mut self, machine: &ServerChannel) -> Option<ServerMessage> {
        if !self.is_due || self.is_asked {
            return None;
        }
        let frame = machine.ask_for_next_key();
        self.is_asked = frame.is_some();
        frame
    }

    /// Returns the frame with what the server says of its keys, if the agent keeps another statement.
    pub(super) fn pins(
        &mut self,
        app: &App,
        agent: &Agent,
        machine: &ServerChannel,
    ) -> Option<ServerMessage> {
        let trust = self.trust?;
        let keys = app.installation.instruction_keys();
        let issued_at = keys.said().issued_at;
        let has_it = |known: Option<Timestamp>| known.is_some_and(|known| known >= issued_at);
        if has_it(trust.pins_issued_at) || has_it(self.pins_sent) {
            return None;
        }
        let frame = machine.pins(keys.pins(keys.signer(trust), agent.key));
        if frame.is_some() {
            self.pins_sent = Some(issued_at);
        }
        frame
    }

    /// Records that the agent keeps a statement it was sent.
    pub(super) async fn pins_kept(
        &mut self,
        app: &App,
        agent: &Agent,
        issued_at: Timestamp,
    ) -> Result<(), End> {
        if self.pins_sent.is_none_or(|sent| issued_at > sent) {
            return Err(End::policy("keeps pins it was not sent"));
        }
        if let Some(trust) = &mut self.trust {
            trust.pins_issued_at = trust.pins_issued_at.max(Some(issued_at));
        }
        let (agent, now) = (agent.clone(), app.clock.now());
        let kept = app.change(Priority::Normal, now, move |unit| {
            agent.still_may(unit)?;
            Ok(unit.tx.host_pins_kept(agent.host_id, Some(issued_at))?)
        });
        Ok(kept.await?)
    }

    /// Verifies and stores the next key of the host; returns its name. `None`: another one stands.
    pub(super) async fn store(
        &mut self,
        app: &App,
        agent: &Agent,
        proof: &str,
        challenge: String,
    ) -> Result<Option<KeyThumbprint>, End> {
        if !self.is_asked {
            return Err(End::policy("offers a key that nobody asked for"));
        }
        let refused = End::policy("the proof of the next key does not hold");
        let (key, claims) = verify_next_key(proof).map_err(|_| refused)?;
        let thumbprint = key.thumbprint();
        let offer = Offer { key: thumbprint, material: key.as_bytes().to_vec(), claims, challenge };
        let (agent, now) = (agent.clone(), app.clock.now());
        let stored = app.change(Priority::Normal, now, move |unit| next_key::store(unit, &agent, &offer));
        let stored = stored.await?;
        // Each question has one answer: who loses it is asked again on the next channel.
        (self.is_asked, self.is_due) = (false, false);
        match stored {
            Ok(()) => Ok(Some(thumbprint)),
            Err(NotTaken::TooSoon) => Ok(None),
            Err(refused) => Err(End::policy(refused.words())),
        }
    }
}
