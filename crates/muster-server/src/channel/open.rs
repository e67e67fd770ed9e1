//! A channel's place in the hub, given back when its task ends, however it ends.

use muster_ids::HostId;
use muster_wire::enroll::Heartbeat;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::hub::{Command, Registration};
use crate::app::App;
use crate::auth::Agent;
use crate::presence::Sign;
use crate::vitals::Told;

/// A place in the hub.
pub(super) struct Open {
    app: App,
    host_id: HostId,
    connection: u64,
    sign: Sign,
    /// What the task must do.
    pub(super) commands: mpsc::Receiver<Command>,
    /// Cancelled to drop the socket at once.
    pub(super) abort: CancellationToken,
    closed: CancellationToken,
}

impl Open {
    /// Takes the place of a host. `None`: another connection has it.
    pub(super) fn register(app: &App, agent: &Agent) -> Option<Self> {
        let Registration { connection, commands, abort, closed } =
            app.hub.register(agent.host_id, agent.key, &agent.source)?;
        app.metrics.channels.inc();
        let sign = Sign { seq: agent.seq, seen_at: app.clock.now(), said_goodbye: false };
        Some(Self { app: app.clone(), host_id: agent.host_id, connection, sign, commands, abort, closed })
    }

    /// Records a sign of life.
    pub(super) fn heard(&mut self) {
        self.sign.seen_at = self.app.clock.now();
        self.app.presences.heard(self.host_id, self.sign);
    }

    /// Records a heartbeat, and what it says.
    pub(super) fn beat(&mut self, heartbeat: &Heartbeat) {
        self.sign.seen_at = self.app.clock.now();
        let told = Told::of(heartbeat, self.sign.seen_at);
        self.app.presences.told(self.host_id, self.sign, told);
    }

    /// Records that the agent stops on purpose: its last sign of life.
    pub(super) fn said_goodbye(&mut self) {
        self.sign.said_goodbye = true;
        self.sign.seen_at = self.app.clock.now();
    }
}

/// Whoever cuts a channel waits for `closed`: it comes even when the task panics, and after the socket is dropped.
impl Drop for Open {
    fn drop(&mut self) {
        self.app.metrics.channels.dec();
        self.app.hub.unregister(self.host_id, self.connection);
        if self.sign.said_goodbye {
            self.app.presences.heard(self.host_id, self.sign);
        }
        self.closed.cancel();
    }
}
