//! The scheduler: one queue of events on a clock that moves only from event to event.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use muster_ids::Timestamp;
use muster_wire::channel::{AgentMessage, ServerMessage};
use muster_wire::text::Line;

use crate::agent::{Agent, Disk, Pending, Wish};
use crate::chance::Chance;
use crate::server::Server;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// Two connections of five break, at any frame or while the disk works.
    CutsAnywhere,
    /// Every connection breaks between the agent's disk and the server's commit.
    LosesAcknowledgements,
}

enum Event {
    Dial { agent: usize },
    ToServer { connection: u64, message: AgentMessage },
    ToAgent { connection: u64, message: ServerMessage },
    Persisted { connection: u64, agent: usize, pending: Box<Pending> },
}

struct Wire {
    agent: usize,
    /// Frames that still pass before it breaks.
    frames_left: Option<u64>,
    /// Frames keep their order.
    busy_until: Duration,
}

pub(crate) struct Simulation {
    pub(crate) agents: Vec<Agent>,
    pub(crate) server: Server,
    pub(crate) trouble: Trouble,
    pub(crate) cuts: usize,
    /// Which host each agent says it is; differs only for copies.
    hosts: Vec<usize>,
    chance: Chance,
    at: Duration,
    queue: BTreeMap<(Duration, u64), Event>,
    wires: BTreeMap<u64, Wire>,
    next: u64,
}

impl Simulation {
    pub(crate) fn new(count: usize, seed: u64, trouble: Trouble) -> Self {
        let mut simulation = Self {
            agents: (0..count).map(|index| Agent::new(index, Disk::default())).collect(),
            server: Server::with_hosts(count),
            trouble,
            cuts: 0,
            hosts: (0..count).collect(),
            chance: Chance::new(seed),
            at: Duration::ZERO,
            queue: BTreeMap::new(),
            wires: BTreeMap::new(),
            next: 0,
        };
        (0..count).for_each(|agent| simulation.schedule(Duration::ZERO, Event::Dial { agent }));
        simulation
    }

    /// Starts another machine with this disk, which says it is the same host.
    pub(crate) fn start_copy(&mut self, host: usize, disk: Disk) -> usize {
        self.agents.push(Agent::new(host, disk));
        self.hosts.push(host);
        let agent = self.agents.len() - 1;
        self.schedule(Duration::ZERO, Event::Dial { agent });
        agent
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000).plus(self.at)
    }

    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn schedule(&mut self, delay: Duration, event: Event) {
        let id = self.id();
        self.queue.insert((self.at + delay, id), event);
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        let until = self.at + span;
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > until {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.at = at;
            self.happens(event);
        }
        self.at = until;
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Dial { agent } => self.dial(agent),
            Event::ToServer { connection, message } => {
                if !self.passes(connection, matches!(message, AgentMessage::GenerationAcknowledged { .. })) {
                    return;
                }
                let message = over_the_wire(&message);
                match self.server.hear(connection, message, self.now()) {
                    Some(replies) => {
                        replies.into_iter().for_each(|reply| self.send_to_agent(connection, reply))
                    }
                    None => self.cut(connection),
                }
            }
            Event::ToAgent { connection, message } => {
                if !self.passes(connection, false) {
                    return;
                }
                let agent = self.wires[&connection].agent;
                let now = self.now();
                let wishes = self.agents[agent].hear(over_the_wire(&message), now);
                wishes.into_iter().for_each(|wish| self.grant(connection, agent, wish));
            }
            Event::Persisted { connection, agent, pending } => {
                // A disk finishes whatever became of the connection; a new connection is not told about it.
                if self.wires.contains_key(&connection) {
                    let sent = self.agents[agent].persisted(*pending);
                    sent.into_iter().for_each(|message| self.send_to_server(connection, message));
                } else if self.agents[agent].channel.is_none() {
                    self.agents[agent].persisted(*pending);
                }
            }
        }
    }

    fn dial(&mut self, agent: usize) {
        let connection = self.id();
        let frames_left = match self.trouble {
            Trouble::CutsAnywhere if self.chance.below(5) < 2 => Some(self.chance.below(7)),
            _ => None,
        };
        self.wires.insert(connection, Wire { agent, frames_left, busy_until: self.at });
        self.agents[agent].dial(self.at);
        let first = self.server.accept(connection, self.hosts[agent], self.now());
        self.send_to_agent(connection, first);
    }

    /// Whether a frame arrives; when it does not, the connection broke under it.
    fn passes(&mut self, connection: u64, is_acknowledgement: bool) -> bool {
        let loses = self.trouble == Trouble::LosesAcknowledgements && is_acknowledgement;
        let Some(wire) = self.wires.get_mut(&connection) else { return false };
        let breaks = loses || wire.frames_left == Some(0);
        wire.frames_left = wire.frames_left.map(|left| left.saturating_sub(1));
        if breaks {
            self.cut(connection);
        }
        !breaks
    }

    fn cut(&mut self, connection: u64) {
        let Some(wire) = self.wires.remove(&connection) else { return };
        self.cuts += 1;
        self.server.drop_connection(connection);
        let fraction = self.chance.fraction();
        let delay = self.agents[wire.agent].hang_up(self.at, fraction);
        self.schedule(delay, Event::Dial { agent: wire.agent });
    }

    fn grant(&mut self, connection: u64, agent: usize, wish: Wish) {
        match wish {
            Wish::Send(message) => self.send_to_server(connection, *message),
            Wish::Persist(pending) => {
                let delay = Duration::from_millis(1 + self.chance.below(20));
                self.schedule(delay, Event::Persisted { connection, agent, pending });
            }
        }
    }

    /// The delay of a frame that keeps its place behind the ones before it.
    fn travel(&mut self, connection: u64) -> Duration {
        let arrives = self.at + Duration::from_millis(1 + self.chance.below(50));
        let Some(wire) = self.wires.get_mut(&connection) else { return Duration::ZERO };
        wire.busy_until = wire.busy_until.max(arrives);
        wire.busy_until - self.at
    }

    fn send_to_server(&mut self, connection: u64, message: AgentMessage) {
        let delay = self.travel(connection);
        self.schedule(delay, Event::ToServer { connection, message });
    }

    fn send_to_agent(&mut self, connection: u64, message: ServerMessage) {
        assert!(self.server.may_send(connection, &message), "sent before the hello: {message:?}");
        let delay = self.travel(connection);
        self.schedule(delay, Event::ToAgent { connection, message });
    }

    pub(crate) fn change_every_config(&mut self) {
        for index in 0..self.server.rows.len() {
            let pushes = self.server.change_config(index);
            pushes.into_iter().for_each(|(connection, message)| self.send_to_agent(connection, message));
        }
    }

    /// Every connection breaks at once, without a word.
    pub(crate) fn crash(&mut self) {
        let open: BTreeSet<u64> = self.wires.keys().copied().collect();
        open.into_iter().for_each(|connection| self.cut(connection));
        assert!(self.server.drop_all().is_empty(), "a channel without a connection");
    }

    /// The server says goodbye with a hint, then every connection ends.
    pub(crate) fn restart_with_goodbye(&mut self, retry_after_secs: u32) {
        let reason = Line::parse("restart").unwrap();
        let goodbye = ServerMessage::Goodbye { reason, retry_after_secs };
        let now = self.now();
        let open: Vec<(u64, usize)> = self.wires.iter().map(|(id, wire)| (*id, wire.agent)).collect();
        for (_, agent) in open {
            self.agents[agent].hear(over_the_wire(&goodbye), now);
        }
        self.crash();
    }
}

/// What is sent is what the other side parses.
fn over_the_wire<T: serde::Serialize + serde::de::DeserializeOwned>(message: &T) -> T {
    let text = serde_json::to_string(message).expect("plain data");
    let parsed: muster_wire::Object<T> = serde_json::from_str(&text).expect("both sides speak one language");
    parsed.0
}
