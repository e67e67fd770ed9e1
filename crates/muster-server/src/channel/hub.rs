//! The open channels of this node, by host.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use muster_domain::presence::comeback_hint;
use muster_ids::{HostId, KeyName, Timestamp};
use muster_proof::instruction::Revoked;
use muster_wire::channel::close;
use muster_wire::parting::{GoodbyeReason, RevokedReason};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::wire::{End, Words};
use crate::app::App;
use crate::effects::{Cut, CutReason};
use crate::problems::SUSPENDED_RETRY_SECS;
use crate::server_keys;

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

/// Seconds an agent waits whose host is held until a person answers.
pub(super) const HELD_RETRY_SECS: u32 = 60;

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
    /// The host is to make its next key.
    RotationAsked,
    /// What is said of the server's own keys changed.
    PinsChanged,
    /// The key is void: send the signed statement and close.
    Revoked {
        /// The JWS by the instruction key.
        statement: String,
    },
    /// Say goodbye and close.
    Leave {
        /// Why.
        reason: GoodbyeReason,
        /// Seconds the agent should wait.
        retry_after_secs: u32,
    },
    /// Answer when the peer answered a ping: somebody else says it is this host.
    Prove {
        /// Told once the peer answered.
        answered: tokio::sync::oneshot::Sender<()>,
    },
}

impl Command {
    /// How a channel ends that obeys it. `None`: it goes on.
    pub(super) fn last_words(self) -> Option<End> {
        match self {
            Self::Revoked { statement } => Some(End::Close {
                code: close::REVOKED,
                reason: "revoked",
                words: Some(Box::new(Words::Revoked(statement))),
            }),
            Self::Leave { reason, retry_after_secs } => Some(End::goodbye(reason, retry_after_secs)),
            Self::ConfigChanged
            | Self::WorkWaiting
            | Self::RotationAsked
            | Self::PinsChanged
            | Self::Prove { .. } => None,
        }
    }
}

#[derive(Debug, Clone)]
struct Channel {
    connection: u64,
    key: KeyName,
    /// The address it came from.
    source: String,
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
    /// Active hosts when this server started.
    expected: usize,
    /// Whether the server stops: nobody comes in any more.
    is_leaving: bool,
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
    pub fn register(&self, host_id: HostId, key: KeyName, source: &str) -> Option<Registration> {
        let mut registry = self.lock();
        if registry.is_leaving || registry.channels.contains_key(&host_id) {
            return None;
        }
        registry.last_connection += 1;
        let connection = registry.last_connection;
        let (sender, commands) = mpsc::channel(QUEUE);
        let (abort, closed) = (CancellationToken::new(), CancellationToken::new());
        let channel = Channel {
            connection,
            key,
            source: source.to_owned(),
            commands: sender,
            abort: abort.clone(),
            closed: closed.clone(),
        };
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

    /// Returns the address the host's open channel came from.
    pub fn source_of(&self, host_id: HostId) -> Option<String> {
        self.channel(host_id).map(|channel| channel.source)
    }

    /// Asks the channel that a host opened with an older key to leave: the one with the newer key takes its place.
    pub async fn give_way(&self, host_id: HostId, older: KeyName) {
        let Some(channel) = self.channel(host_id).filter(|channel| channel.key == older) else { return };
        let leave =
            Command::Leave { reason: GoodbyeReason::Superseded, retry_after_secs: SUPERSEDED_RETRY_SECS };
        if channel.commands.try_send(leave).is_ok() {
            let _ = tokio::time::timeout(LAST_WORDS, channel.closed.cancelled()).await;
        }
        self.end(host_id, &channel).await;
    }

    /// Says how many hosts may come back after this start, so that the first ones are not told that they are few.
    pub fn expect(&self, hosts: usize) {
        self.lock().expected = hosts;
    }

    /// How many hosts come back when this server is lost: those that are connected, or that may still be on their way
    /// since it started.
    pub fn fleet(&self) -> usize {
        let registry = self.lock();
        registry.channels.len().max(registry.expected)
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

    /// Tells a host's channel that its agent is to make its next key.
    pub fn rotation_asked(&self, host_id: HostId) {
        self.send(host_id, Command::RotationAsked);
    }

    /// Tells every channel that what is said of the server's own keys changed.
    pub fn pins_changed(&self) {
        let open: Vec<HostId> = self.lock().channels.keys().copied().collect();
        for host_id in open {
            self.send(host_id, Command::PinsChanged);
        }
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
                    statement: revoked_statement(app, cut.host_id, cut.key, reason, cut.decided_at).await,
                },
                CutReason::Suspended => Command::Leave {
                    reason: GoodbyeReason::Suspended,
                    retry_after_secs: SUSPENDED_RETRY_SECS,
                },
                CutReason::Held => {
                    Command::Leave { reason: GoodbyeReason::Held, retry_after_secs: HELD_RETRY_SECS }
                }
                CutReason::Unsure => {
                    Command::Leave { reason: GoodbyeReason::Restart, retry_after_secs: UNSURE_RETRY_SECS }
                }
            };
            if channel.commands.try_send(command).is_ok() {
                let _ = tokio::time::timeout(LAST_WORDS, channel.closed.cancelled()).await;
            }
            self.end(cut.host_id, &channel).await;
        }
    }

    /// Lets nobody in any more: the server stops.
    pub fn close(&self) {
        self.lock().is_leaving = true;
    }

    /// Asks every channel to leave, for a restart, each with its own second to come back.
    pub fn leave_all(&self) {
        let channels: Vec<Channel> = self.lock().channels.values().cloned().collect();
        let of = channels.len();
        for (place, channel) in channels.into_iter().enumerate() {
            let retry_after_secs = comeback_hint(place, of);
            let leave = Command::Leave { reason: GoodbyeReason::Restart, retry_after_secs };
            if channel.commands.try_send(leave).is_err() {
                channel.abort.cancel();
            }
        }
    }

    /// Drops every socket at once.
    pub fn abort_all(&self) {
        self.lock().channels.values().for_each(|channel| channel.abort.cancel());
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
pub async fn revoked_statement(
    app: &App,
    host_id: HostId,
    key: KeyName,
    reason: RevokedReason,
    at: Timestamp,
) -> String {
    server_keys::revoked(app, host_id, &Revoked { host_id, key, reason: reason.to_string(), at }).await
}
