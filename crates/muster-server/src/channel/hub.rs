//! The open channels of this node, by host.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use muster_ids::{HostId, KeyName, Timestamp};
use muster_proof::instruction::{self, Revoked};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::effects::{Cut, CutReason};

/// Commands a channel may have waiting; one that cannot take more is dropped.
const QUEUE: usize = 64;
/// How long a channel may take to say its last words before its socket is dropped.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Most sockets of one host whose hello is still to come.
const MAX_WAITING: usize = 8;
/// Most violations of one host that are written down within [`REPORTS_COUNTED_FOR`].
const MAX_REPORTS: u32 = 30;
const REPORTS_COUNTED_FOR: Duration = Duration::from_secs(600);

/// Seconds the holder of an older key waits before it looks whether the newer one still holds the channel.
pub(super) const SUPERSEDED_RETRY_SECS: u32 = 60;

/// Seconds an agent waits that was cut because nobody knows whether its key still holds.
const UNSURE_RETRY_SECS: u32 = 2;

/// How long an aborted channel may take to close.
const END_WITHIN: Duration = Duration::from_secs(2);

/// What the server tells the task of a channel.
#[derive(Debug)]
pub enum Command {
    /// The configuration of the host changed.
    ConfigChanged,
    /// The host has work waiting.
    WorkWaiting,
    /// The key is void: send the signed statement and close.
    Revoked {
        /// The JWS by the instruction key.
        statement: String,
    },
    /// Say goodbye and close.
    Leave {
        /// Why: `restart`, `suspended`, `superseded`.
        reason: &'static str,
        /// The WebSocket close code.
        code: u16,
        /// Seconds the agent should wait.
        retry_after_secs: u32,
    },
    /// Answer when the peer answered a ping: somebody else says it is this host.
    Prove {
        /// Told once the peer answered.
        answered: tokio::sync::oneshot::Sender<()>,
    },
}

#[derive(Debug, Clone)]
struct Channel {
    connection: u64,
    key: KeyName,
    commands: mpsc::Sender<Command>,
    /// Cancelled to drop the socket at once.
    abort: CancellationToken,
    /// Cancelled by the task when its socket is closed.
    closed: CancellationToken,
}

/// The task's side of a registered channel.
#[derive(Debug)]
pub struct Registration {
    /// Names this connection on this node.
    pub connection: u64,
    /// What the task must do.
    pub commands: mpsc::Receiver<Command>,
    /// Cancelled to drop the socket at once.
    pub abort: CancellationToken,
    /// To be cancelled when the socket is closed.
    pub closed: CancellationToken,
}

/// The open channels of this node.
#[derive(Debug, Default)]
pub struct Hub(Mutex<Registry>);

#[derive(Debug, Default)]
struct Registry {
    last_connection: u64,
    channels: HashMap<HostId, Channel>,
    /// Sockets whose hello is still to come, by host.
    waiting: HashMap<HostId, usize>,
    /// How many violations of a host were written down, and since when they are counted.
    reported: HashMap<HostId, (Timestamp, u32)>,
}

/// A socket whose hello is still to come.
#[derive(Debug)]
pub struct Waiting {
    app: App,
    host_id: HostId,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut registry = self.app.hub.lock();
        if let Some(count) = registry.waiting.get_mut(&self.host_id) {
            *count -= 1;
            if *count == 0 {
                registry.waiting.remove(&self.host_id);
            }
        }
    }
}

impl Hub {
    /// Takes a place for a socket whose hello is still to come. `None`: the host has too many of them.
    pub fn await_hello(app: &App, host_id: HostId) -> Option<Waiting> {
        let mut registry = app.hub.lock();
        let count = registry.waiting.entry(host_id).or_default();
        if *count >= MAX_WAITING {
            return None;
        }
        *count += 1;
        Some(Waiting { app: app.clone(), host_id })
    }

    /// Whether another violation of this host may be written down: one host cannot fill the audit trail.
    pub fn may_report(&self, host_id: HostId, now: Timestamp) -> bool {
        let mut registry = self.lock();
        registry.reported.retain(|_, (since, _)| now.since(*since) < REPORTS_COUNTED_FOR);
        let (_, count) = registry.reported.entry(host_id).or_insert((now, 0));
        *count += 1;
        *count <= MAX_REPORTS
    }

    /// Registers a proved channel. `None`: the host has an open one, which must be asked or fenced first.
    pub fn register(&self, host_id: HostId, key: KeyName) -> Option<Registration> {
        let mut registry = self.lock();
        if registry.channels.contains_key(&host_id) {
            return None;
        }
        registry.last_connection += 1;
        let connection = registry.last_connection;
        let (sender, commands) = mpsc::channel(QUEUE);
        let (abort, closed) = (CancellationToken::new(), CancellationToken::new());
        let channel =
            Channel { connection, key, commands: sender, abort: abort.clone(), closed: closed.clone() };
        registry.channels.insert(host_id, channel);
        Some(Registration { connection, commands, abort, closed })
    }

    /// Removes a channel when its task ends, unless another one took its place.
    pub fn unregister(&self, host_id: HostId, connection: u64) {
        let mut registry = self.lock();
        if registry.channels.get(&host_id).is_some_and(|channel| channel.connection == connection) {
            registry.channels.remove(&host_id);
        }
    }

    /// Whether the host's channel is open here.
    pub fn is_connected(&self, host_id: HostId) -> bool {
        self.lock().channels.contains_key(&host_id)
    }

    /// Returns the key the host's open channel was proved with.
    pub fn key_of(&self, host_id: HostId) -> Option<KeyName> {
        self.channel(host_id).map(|channel| channel.key)
    }

    /// Asks the channel that a host opened with an older key to leave: the one with the newer key takes its place.
    pub async fn give_way(&self, host_id: HostId, older: KeyName) {
        let Some(channel) = self.channel(host_id).filter(|channel| channel.key == older) else { return };
        let leave = Command::Leave {
            reason: "superseded",
            code: muster_wire::channel::close::TRY_LATER,
            retry_after_secs: SUPERSEDED_RETRY_SECS,
        };
        if channel.commands.try_send(leave).is_ok() {
            let _ = tokio::time::timeout(LAST_WORDS, channel.closed.cancelled()).await;
        }
        self.end(host_id, &channel).await;
    }

    /// How many channels are open here.
    pub fn len(&self) -> usize {
        self.lock().channels.len()
    }

    /// Whether no channel is open here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells a host's channel that its configuration changed.
    pub fn config_changed(&self, host_id: HostId) {
        self.send(host_id, Command::ConfigChanged);
    }

    /// Tells a host's channel that work is waiting.
    pub fn work_waiting(&self, host_id: HostId) {
        self.send(host_id, Command::WorkWaiting);
    }

    /// Asks the open channel of a host for a sign of life; silence within `patience` fences it.
    ///
    /// `true`: it answered, and stays.
    pub async fn first_answers(&self, host_id: HostId, patience: Duration) -> bool {
        let Some(channel) = self.channel(host_id) else { return false };
        let (answered, answer) = tokio::sync::oneshot::channel();
        let asked = channel.commands.try_send(Command::Prove { answered }).is_ok();
        if asked && matches!(tokio::time::timeout(patience, answer).await, Ok(Ok(()))) {
            return true;
        }
        self.end(host_id, &channel).await;
        false
    }

    /// Cuts the channel of a key: signed statement first, then the socket, and returns when it is closed.
    pub async fn cut(&self, app: &App, cut: Cut) {
        if let Some(channel) = self.channel(cut.host_id).filter(|channel| channel.key == cut.key) {
            let command = match cut.reason {
                CutReason::Revoked { reason } => Command::Revoked {
                    statement: revoked_statement(app, cut.host_id, cut.key, reason, cut.decided_at),
                },
                CutReason::Suspended => Command::Leave {
                    reason: "suspended",
                    code: muster_wire::channel::close::REVOKED,
                    retry_after_secs: 30,
                },
                CutReason::Unsure => Command::Leave {
                    reason: "restart",
                    code: muster_wire::channel::close::RESTART,
                    retry_after_secs: UNSURE_RETRY_SECS,
                },
            };
            if channel.commands.try_send(command).is_ok() {
                let _ = tokio::time::timeout(LAST_WORDS, channel.closed.cancelled()).await;
            }
            self.end(cut.host_id, &channel).await;
        }
        let took = app.clock.now().since(cut.decided_at);
        if matches!(cut.reason, CutReason::Revoked { .. }) {
            app.metrics.revoke_to_refused.observe(took.as_secs_f64());
        }
    }

    /// Asks every channel to leave, for a restart.
    pub fn leave_all(&self, retry_after_secs: u32) {
        let channels: Vec<Channel> = self.lock().channels.values().cloned().collect();
        for channel in channels {
            let leave = Command::Leave {
                reason: "restart",
                code: muster_wire::channel::close::RESTART,
                retry_after_secs,
            };
            if channel.commands.try_send(leave).is_err() {
                channel.abort.cancel();
            }
        }
    }

    fn send(&self, host_id: HostId, command: Command) {
        if let Some(channel) = self.channel(host_id)
            && channel.commands.try_send(command).is_err()
        {
            // A channel that takes no commands is stuck: dropped, it comes back and reads the truth.
            channel.abort.cancel();
        }
    }

    async fn end(&self, host_id: HostId, channel: &Channel) {
        channel.abort.cancel();
        if tokio::time::timeout(END_WITHIN, channel.closed.cancelled()).await.is_err() {
            tracing::error!(host.id = %host_id, "an aborted channel did not close in time");
        }
        self.unregister(host_id, channel.connection);
    }

    fn channel(&self, host_id: HostId) -> Option<Channel> {
        self.lock().channels.get(&host_id).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Signs the statement that makes an agent give up a key.
pub fn revoked_statement(app: &App, host_id: HostId, key: KeyName, reason: &str, at: Timestamp) -> String {
    let revoked = Revoked { host_id, key, reason: reason.to_owned(), at };
    instruction::sign_revoked(&app.installation.instruction_key, &revoked)
}
