//! The scheduler: one queue of events, one clock, lines between machines and the server that do what lines do.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_ids::Timestamp;
use muster_wire::channel::{AgentMessage, Attempt, ServerMessage};
use muster_wire::job::JobOutcome;

use crate::chance::Chance;
use crate::database::Database;
use crate::machine::{Disk, Machine, Wish, Write};
use crate::names::{BEGAN_AT, revoked_statement};
use crate::server::{Crashed, Next, Server};
use crate::truth::{MachineTruth, Truth};

/// How long a side waits before it takes silence for the end.
const SILENT_FOR: Duration = Duration::from_secs(60);
const TICK_EVERY: Duration = Duration::from_secs(30);
const MAX_RECORDED: usize = 2_000;

pub(crate) enum Event {
    Dial { machine: usize, boot: u32 },
    ToServer { connection: u64, message: AgentMessage },
    ToAgent { connection: u64, message: ServerMessage },
    ServerNotices { connection: u64 },
    AgentNotices { connection: u64 },
    Written { machine: usize, boot: u32, connection: Option<u64>, write: Write },
    JobEnds { machine: usize, boot: u32, attempt: Attempt },
    Start { machine: usize },
    Tick,
    Trouble,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lane {
    busy_until: Duration,
    pub(crate) blocked_until: Duration,
}

pub(crate) struct Wire {
    pub(crate) machine: usize,
    /// Cut: what is under way is gone.
    is_cut: bool,
    agent_open: bool,
    server_open: bool,
    pub(crate) to_agent: Lane,
    pub(crate) to_server: Lane,
}

/// A frame somebody wrote down, to play it again.
#[derive(Clone)]
pub(crate) enum Recorded {
    ToAgent(usize, ServerMessage),
    ToServer(usize, AgentMessage),
}

pub(crate) struct World {
    pub(crate) machines: Vec<Machine>,
    pub(crate) server: Server,
    pub(crate) truth: Truth,
    pub(crate) chance: Chance,
    pub(crate) at: Duration,
    pub(crate) wires: BTreeMap<u64, Wire>,
    pub(crate) recorded: Vec<Recorded>,
    /// Whether somebody doubles, delays and records frames.
    pub(crate) is_hostile: bool,
    pub(crate) down_until: Duration,
    pub(crate) server_clock_off: i64,
    /// Until when a machine reaches nobody.
    pub(crate) away_until: BTreeMap<usize, Duration>,
    pub(crate) counts: BTreeMap<&'static str, usize>,
    queue: BTreeMap<(Duration, u64), Event>,
    next: u64,
}

impl World {
    pub(crate) fn new(hosts: usize, seed: u64) -> Self {
        let mut world = Self {
            machines: Vec::new(),
            server: Server::over(Database::with_hosts(hosts)),
            truth: Truth::with_hosts(hosts),
            chance: Chance::new(seed),
            at: Duration::ZERO,
            wires: BTreeMap::new(),
            recorded: Vec::new(),
            is_hostile: false,
            down_until: Duration::ZERO,
            server_clock_off: 0,
            away_until: BTreeMap::new(),
            counts: BTreeMap::new(),
            queue: BTreeMap::new(),
            next: 0,
        };
        (0..hosts).for_each(|host| world.add_machine(host, Disk::default(), false));
        world.schedule(TICK_EVERY, Event::Tick);
        world
    }

    pub(crate) fn add_machine(&mut self, host: usize, disk: Disk, is_suspect: bool) {
        let machine = self.machines.len();
        self.machines.push(Machine::new(host, disk));
        self.truth.machines.push(MachineTruth { is_suspect, ..MachineTruth::default() });
        let boot = self.machines[machine].boot;
        self.schedule(Duration::from_millis(10), Event::Dial { machine, boot });
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(BEGAN_AT.plus(self.at).as_millis() + self.server_clock_off)
    }

    pub(crate) fn schedule(&mut self, delay: Duration, event: Event) {
        self.next += 1;
        self.queue.insert((self.at + delay, self.next), event);
    }

    pub(crate) fn millis(&mut self, below: u64) -> Duration {
        Duration::from_millis(1 + self.chance.below(below))
    }

    /// Runs until nothing is left to do before `until`; `trouble` is asked whenever its time has come.
    pub(crate) fn run_until(&mut self, until: Duration, mut trouble: impl FnMut(&mut Self)) {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > until {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.at = at;
            self.truth.at = at;
            let is_time_for_all = matches!(event, Event::Trouble | Event::Tick);
            if matches!(event, Event::Trouble) {
                trouble(self);
            } else {
                self.happens(event);
            }
            let Self { truth, machines, server, .. } = self;
            truth.check(machines, &server.db);
            if is_time_for_all {
                truth.check_all(machines, &server.db);
            }
        }
        self.at = until;
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Dial { machine, boot } => self.dial(machine, boot),
            Event::ToServer { connection, message } => self.reaches_server(connection, message),
            Event::ToAgent { connection, message } => self.reaches_agent(connection, message),
            Event::ServerNotices { connection } => self.server_closes(connection),
            Event::AgentNotices { connection } => self.agent_closes(connection),
            Event::Written { machine, boot, connection, write } => {
                if self.machines[machine].boot == boot && self.machines[machine].is_up() {
                    let truth = &mut self.truth.machines[machine];
                    if truth.is_suspect && matches!(write, Write::Generation(_)) {
                        // Somebody played it a welcome: its state is another one now.
                        truth.is_stale = false;
                    }
                    let wishes = self.machines[machine].written(write, connection);
                    self.grant(machine, wishes);
                }
            }
            Event::JobEnds { machine, boot, attempt } => {
                if self.machines[machine].boot == boot && self.machines[machine].is_up() {
                    let failed = self.chance.below(4) == 0;
                    let outcome = if failed { JobOutcome::Failed } else { JobOutcome::Succeeded };
                    self.truth.ended(attempt, outcome);
                    self.grant(machine, vec![Wish::Write(Write::Ended(attempt, outcome))]);
                }
            }
            Event::Start { machine } => self.start(machine),
            Event::Tick => self.tick(),
            Event::Trouble => {}
        }
    }

    fn start(&mut self, machine: usize) {
        if !self.machines[machine].is_up() {
            self.machines[machine].start();
            let boot = self.machines[machine].boot;
            self.schedule(Duration::from_millis(10), Event::Dial { machine, boot });
        }
    }

    /// Heartbeats renew what runs, the reconciler loses what nobody heard of, machines look for work.
    fn tick(&mut self) {
        self.schedule(TICK_EVERY, Event::Tick);
        let now = self.now();
        if self.at >= self.down_until {
            for host in 0..self.server.db.rows.len() {
                let Some(connection) = self.server.holder(host) else { continue };
                let wire = self.wires.get(&connection);
                if wire.is_some_and(|wire| wire.agent_open && wire.to_server.blocked_until <= self.at) {
                    self.server.heartbeat(connection, now);
                }
            }
            self.server.db.lapse(now);
            for host in 0..self.server.db.rows.len() {
                if let Some(connection) = self.server.holder(host) {
                    let frames = self.server.offer_work(connection, now, &mut self.truth);
                    self.goes_on(connection, frames);
                }
            }
        }
        for machine in 0..self.machines.len() {
            let wishes = self.machines[machine].next_job(self.at);
            self.grant(machine, wishes);
        }
    }

    fn dial(&mut self, machine: usize, boot: u32) {
        let is_idle = self.machines[machine].is_up() && self.machines[machine].connection().is_none();
        if self.machines[machine].boot != boot || !is_idle || self.machines[machine].disk.gave_up {
            return;
        }
        if self.machines[machine].is_writing() {
            return self.schedule(Duration::from_millis(5), Event::Dial { machine, boot });
        }
        let away = self.away_until.get(&machine).copied().unwrap_or_default().max(self.down_until);
        if away > self.at {
            let wait = away - self.at + self.millis(5_000);
            return self.schedule(wait, Event::Dial { machine, boot });
        }
        self.next += 1;
        let connection = self.next;
        let host = self.machines[machine].host;
        match self.server.accept(connection, host, machine, self.now()) {
            Err(statement) if statement == revoked_statement(host) => {
                self.grant(machine, vec![Wish::Write(Write::GaveUp)]);
            }
            Err(_) => self.schedule(Duration::from_secs(5), Event::Dial { machine, boot }),
            Ok(first) => {
                let lane = Lane { busy_until: self.at, blocked_until: Duration::ZERO };
                let wire = Wire {
                    machine,
                    is_cut: false,
                    agent_open: true,
                    server_open: true,
                    to_agent: lane,
                    to_server: lane,
                };
                self.wires.insert(connection, wire);
                self.machines[machine].dial(connection, self.at);
                self.send_to_agent(connection, &first);
            }
        }
    }

    fn reaches_server(&mut self, connection: u64, message: AgentMessage) {
        let Some(wire) = self.wires.get(&connection) else { return };
        if wire.is_cut || !wire.server_open || !self.server.is_open(connection) {
            return;
        }
        if wire.to_server.blocked_until > self.at {
            let wait = wire.to_server.blocked_until - self.at;
            return self.schedule(wait, Event::ToServer { connection, message });
        }
        let (now, wires, at) = (self.now(), &self.wires, self.at);
        let answers = |first: u64| {
            let is_open = |lane: Lane| lane.blocked_until <= at;
            let wire = wires.get(&first).filter(|wire| wire.agent_open && !wire.is_cut);
            wire.is_some_and(|wire| is_open(wire.to_agent) && is_open(wire.to_server))
        };
        let next = self.server.hear(connection, message, now, answers, &mut self.truth);
        self.goes_on(connection, next);
        self.close_what_the_server_dropped();
    }

    fn goes_on(&mut self, connection: u64, next: Result<Next, Crashed>) {
        match next {
            Ok(Next::Say(frames)) => {
                frames.into_iter().for_each(|frame| self.send_to_agent(connection, &frame));
            }
            Ok(Next::Close(frames)) => {
                frames.into_iter().for_each(|frame| self.send_to_agent(connection, &frame));
                self.server_closes(connection);
            }
            Err(Crashed) => self.server_dies(),
        }
    }

    /// A connection the server fenced is closed on its side.
    fn close_what_the_server_dropped(&mut self) {
        let dropped =
            |(id, wire): (&u64, &Wire)| (wire.server_open && !self.server.is_open(*id)).then_some(*id);
        let dropped: Vec<u64> = self.wires.iter().filter_map(dropped).collect();
        dropped.into_iter().for_each(|connection| self.server_closes(connection));
    }

    pub(crate) fn server_dies(&mut self) {
        *self.counts.entry("server died").or_default() += 1;
        self.server.die();
        self.down_until = self.at + self.millis(20_000);
        let open: Vec<u64> = self.wires.keys().copied().collect();
        open.into_iter().for_each(|connection| self.server_closes(connection));
    }

    fn reaches_agent(&mut self, connection: u64, message: ServerMessage) {
        let Some(wire) = self.wires.get(&connection) else { return };
        if wire.is_cut || !wire.agent_open {
            return;
        }
        if wire.to_agent.blocked_until > self.at {
            let wait = wire.to_agent.blocked_until - self.at;
            return self.schedule(wait, Event::ToAgent { connection, message });
        }
        let machine = wire.machine;
        if self.machines[machine].is_writing() {
            return self.schedule(Duration::from_millis(1), Event::ToAgent { connection, message });
        }
        if self.machines[machine].connection() == Some(connection) {
            let wishes = self.machines[machine].hear(message, self.at);
            self.grant(machine, wishes);
            let wishes = self.machines[machine].next_job(self.at);
            self.grant(machine, wishes);
        }
    }

    fn grant(&mut self, machine: usize, wishes: Vec<Wish>) {
        for wish in wishes {
            let connection = self.machines[machine].connection();
            match wish {
                Wish::Say(message) => {
                    if let Some(connection) = connection.filter(|_| self.may_say(machine, &message)) {
                        self.send_to_server(connection, &message);
                    }
                }
                Wish::Write(write) => {
                    let boot = self.machines[machine].boot;
                    let delay = self.millis(40);
                    self.machines[machine].begins_to_write(&write);
                    self.schedule(delay, Event::Written { machine, boot, connection, write });
                }
                Wish::Run(attempt) => {
                    self.truth.ran(&self.machines, machine, attempt);
                    let boot = self.machines[machine].boot;
                    let delay = self.millis(20_000);
                    self.schedule(delay, Event::JobEnds { machine, boot, attempt });
                }
                Wish::HangUp => {
                    if let Some(connection) = connection {
                        self.agent_closes(connection);
                    }
                }
            }
        }
    }

    /// An agent tells of its work on a proved channel only.
    fn may_say(&self, machine: usize, message: &AgentMessage) -> bool {
        let is_handshake =
            matches!(message, AgentMessage::Hello { .. } | AgentMessage::GenerationAcknowledged { .. });
        is_handshake || self.machines[machine].is_proved()
    }

    /// The agent's side ends; the server hears of it when the line lets it.
    pub(crate) fn agent_closes(&mut self, connection: u64) {
        let Some(wire) = self.wires.get_mut(&connection) else { return };
        if !wire.agent_open {
            return;
        }
        wire.agent_open = false;
        let (machine, blocked) = (wire.machine, wire.to_server.blocked_until.saturating_sub(self.at));
        let notices = blocked.min(SILENT_FOR) + self.millis(1_000);
        self.schedule(notices, Event::ServerNotices { connection });
        if self.machines[machine].connection() == Some(connection) {
            let fraction = self.chance.fraction();
            if let Some(delay) = self.machines[machine].hang_up(self.at, fraction) {
                let boot = self.machines[machine].boot;
                self.schedule(delay, Event::Dial { machine, boot });
            }
        }
    }

    /// The server's side ends; what it had sent still arrives.
    pub(crate) fn server_closes(&mut self, connection: u64) {
        self.server.drop_connection(connection);
        let Some(wire) = self.wires.get_mut(&connection) else { return };
        if wire.server_open {
            wire.server_open = false;
            let blocked = wire.to_agent.blocked_until.saturating_sub(self.at).min(SILENT_FOR);
            let after = wire.to_agent.busy_until.saturating_sub(self.at).max(blocked);
            let notices = after + self.millis(1_000);
            self.schedule(notices, Event::AgentNotices { connection });
        }
    }

    /// The line breaks under whatever is on it.
    pub(crate) fn cut(&mut self, connection: u64) {
        if let Some(wire) = self.wires.get_mut(&connection) {
            wire.is_cut = true;
            let (agent, server) = (self.millis(2_000), self.millis(2_000));
            self.schedule(agent, Event::AgentNotices { connection });
            self.schedule(server, Event::ServerNotices { connection });
        }
    }

    /// The power goes: of each write under way, in order, some reached the disk.
    pub(crate) fn machine_dies(&mut self, machine: usize) {
        let boot = self.machines[machine].boot;
        let is_pending = |event: &Event| matches!(event, Event::Written { machine: of, boot: since, .. } if *of == machine && *since == boot);
        let keys: Vec<(Duration, u64)> =
            self.queue.iter().filter(|(_, event)| is_pending(event)).map(|(key, _)| *key).collect();
        let reach = self.chance.below(keys.len() as u64 + 1) as usize;
        for (n, key) in keys.into_iter().enumerate() {
            if let Some(Event::Written { write, .. }) = self.queue.remove(&key)
                && n < reach
            {
                if self.truth.machines[machine].is_suspect && matches!(write, Write::Generation(_)) {
                    self.truth.machines[machine].is_stale = false;
                }
                self.machines[machine].reaches_disk(&write);
            }
        }
        let connection = self.machines[machine].connection();
        self.machines[machine].crash();
        if let Some(connection) = connection {
            self.agent_closes(connection);
        }
        let wait = self.millis(60_000);
        self.schedule(wait, Event::Start { machine });
    }

    /// Everything that went wrong is over; machines that are down start again.
    pub(crate) fn calm_down(&mut self) {
        self.is_hostile = false;
        self.server.dies_after = None;
        self.away_until.clear();
        self.down_until = self.at;
        for wire in self.wires.values_mut() {
            wire.to_agent.blocked_until = wire.to_agent.blocked_until.min(self.at);
            wire.to_server.blocked_until = wire.to_server.blocked_until.min(self.at);
        }
    }

    fn send_to_server(&mut self, connection: u64, message: &AgentMessage) {
        let Some(wire) = self.wires.get(&connection) else { return };
        self.record(Recorded::ToServer(wire.machine, message.clone()));
        for delay in self.travel(connection, false) {
            self.schedule(delay, Event::ToServer { connection, message: message.clone() });
        }
    }

    pub(crate) fn send_to_agent(&mut self, connection: u64, message: &ServerMessage) {
        let Some(wire) = self.wires.get(&connection) else { return };
        self.record(Recorded::ToAgent(wire.machine, message.clone()));
        for delay in self.travel(connection, true) {
            self.schedule(delay, Event::ToAgent { connection, message: message.clone() });
        }
    }

    fn record(&mut self, frame: Recorded) {
        if self.is_hostile {
            if self.recorded.len() == MAX_RECORDED {
                self.recorded.remove(0);
            }
            self.recorded.push(frame);
        }
    }

    /// When a frame arrives: in order and once, unless somebody sits on the line.
    fn travel(&mut self, connection: u64, to_agent: bool) -> Vec<Duration> {
        let arrives = self.at + self.millis(50);
        let is_late = self.is_hostile && self.chance.below(12) == 0;
        let is_double = self.is_hostile && self.chance.below(12) == 0;
        let late = self.millis(3_000);
        let Some(wire) = self.wires.get_mut(&connection) else { return Vec::new() };
        let lane = if to_agent { &mut wire.to_agent } else { &mut wire.to_server };
        if is_late {
            return vec![arrives - self.at + late];
        }
        lane.busy_until = lane.busy_until.max(arrives);
        let delay = lane.busy_until - self.at;
        if is_double { vec![delay, delay + late] } else { vec![delay] }
    }
}
