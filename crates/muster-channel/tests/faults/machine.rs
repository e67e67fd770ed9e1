//! One machine: a disk that survives, a process that does not.

use std::collections::VecDeque;
use std::time::Duration;

use muster_channel::agent::{AgentChannel, Effect, Held};
use muster_channel::backoff::Backoff;
use muster_ids::Timestamp;
use muster_wire::channel::{AgentMessage, Attempt, Config, Dispatch, ServerMessage};
use muster_wire::job::{JobEnd, JobOutcome};

use crate::names::{URL, end, host_id, report, revoked_statement};

/// What is known of an attempt on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Started,
    Ended { outcome: JobOutcome, recorded: bool },
}

/// What survives the process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    pub(crate) generation: Option<String>,
    pub(crate) config: Option<Config>,
    /// The memory of attempts, as `muster_agent::attempts` keeps it.
    pub(crate) attempts: Vec<(Attempt, Fate)>,
    pub(crate) gave_up: bool,
}

impl Disk {
    fn fate(&self, attempt: Attempt) -> Option<&Fate> {
        self.attempts.iter().find(|(known, _)| *known == attempt).map(|(_, fate)| fate)
    }

    fn knows_later(&self, attempt: Attempt) -> bool {
        self.attempts
            .iter()
            .any(|(known, _)| known.job_id == attempt.job_id && known.attempt > attempt.attempt)
    }

    fn running(&self) -> Vec<Attempt> {
        self.attempts.iter().filter(|(_, fate)| *fate == Fate::Started).map(|(attempt, _)| *attempt).collect()
    }

    fn untold(&self) -> Vec<(Attempt, JobOutcome)> {
        let untold = |(attempt, fate): &(Attempt, Fate)| match fate {
            Fate::Ended { outcome, recorded: false } => Some((*attempt, *outcome)),
            _ => None,
        };
        self.attempts.iter().filter_map(untold).collect()
    }

    fn set(&mut self, attempt: Attempt, to: Fate) {
        match self.attempts.iter_mut().find(|(known, _)| *known == attempt) {
            Some((_, fate)) => *fate = to,
            None => self.attempts.push((attempt, to)),
        }
    }
}

/// A write that takes a moment; the machine may crash before it or after it.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    Generation(String),
    Config(Config),
    Began(Attempt),
    Ended(Attempt, JobOutcome),
    GaveUp,
}

impl Write {
    fn is_of_channel(&self) -> bool {
        matches!(self, Self::Generation(_) | Self::Config(_))
    }
}

/// What a machine wants from its surroundings.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a wish is granted at once and kept nowhere")]
pub(crate) enum Wish {
    Say(AgentMessage),
    Write(Write),
    /// The attempt runs from now on: its beginning is on disk.
    Run(Attempt),
    /// The agent leaves the channel.
    HangUp,
}

struct Process {
    channel: Option<(u64, AgentChannel)>,
    waiting: VecDeque<Dispatch>,
    beginning: Option<Attempt>,
    /// The server's word for the time, and when it came.
    server_clock: Option<(Timestamp, Duration)>,
    backoff: Backoff,
    connected_at: Duration,
    hint: Option<Duration>,
    /// Writes of the channel under way: it hears nothing meanwhile.
    writing: u32,
}

pub(crate) struct Machine {
    pub(crate) host: usize,
    pub(crate) disk: Disk,
    /// Counts its starts.
    pub(crate) boot: u32,
    process: Option<Process>,
    /// How far its clock is off, in milliseconds.
    pub(crate) clock_off: i64,
}

impl Machine {
    pub(crate) fn new(host: usize, disk: Disk) -> Self {
        let mut machine = Self { host, disk, boot: 0, process: None, clock_off: 0 };
        machine.start();
        machine
    }

    /// Starts the process; what ran when the former one died is lost, and on disk as such.
    pub(crate) fn start(&mut self) {
        self.boot += 1;
        for attempt in self.disk.running() {
            self.disk.set(attempt, Fate::Ended { outcome: JobOutcome::Lost, recorded: false });
        }
        self.process = Some(Process {
            channel: None,
            waiting: VecDeque::new(),
            beginning: None,
            server_clock: None,
            backoff: Backoff::default(),
            connected_at: Duration::ZERO,
            hint: None,
            writing: 0,
        });
    }

    pub(crate) fn crash(&mut self) {
        self.process = None;
    }

    pub(crate) fn is_up(&self) -> bool {
        self.process.is_some()
    }

    pub(crate) fn connection(&self) -> Option<u64> {
        self.process.as_ref()?.channel.as_ref().map(|(connection, _)| *connection)
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.writing > 0)
    }

    pub(crate) fn begins_to_write(&mut self, write: &Write) {
        if let Some(process) = &mut self.process
            && write.is_of_channel()
        {
            process.writing += 1;
        }
    }

    pub(crate) fn is_proved(&self) -> bool {
        let channel = self.process.as_ref().and_then(|process| process.channel.as_ref());
        channel.is_some_and(|(_, channel)| channel.is_proved())
    }

    pub(crate) fn dial(&mut self, connection: u64, at: Duration) {
        let held = Held {
            host_id: host_id(self.host),
            server_url: URL.into(),
            generation: self.disk.generation.clone(),
            boot_id: format!("boot {}", self.boot),
            config: self.disk.config.as_ref().map(|config| (config.version, config.digest.clone())),
        };
        let process = self.process.as_mut().expect("a machine that is up dials");
        process.connected_at = at;
        process.channel = Some((connection, AgentChannel::open(held)));
    }

    /// Ends the connection and says how long to wait before the next.
    pub(crate) fn hang_up(&mut self, at: Duration, fraction: f64) -> Option<Duration> {
        let process = self.process.as_mut()?;
        process.channel = None;
        process.backoff.ended(at.saturating_sub(process.connected_at));
        Some(process.backoff.delay(fraction, process.hint.take()))
    }

    pub(crate) fn now(&self, at: Duration) -> Timestamp {
        match self.process.as_ref().and_then(|process| process.server_clock) {
            Some((told, when)) => told.plus(at.saturating_sub(when)),
            None => {
                let wall = crate::names::BEGAN_AT.plus(at).as_millis() + self.clock_off;
                Timestamp::from_millis(wall)
            }
        }
    }

    pub(crate) fn hear(&mut self, message: ServerMessage, at: Duration) -> Vec<Wish> {
        let Some(process) = self.process.as_mut() else { return Vec::new() };
        if let ServerMessage::Challenge { server_time, .. } | ServerMessage::Welcome { server_time, .. } =
            &message
        {
            process.server_clock = Some((*server_time, at));
        }
        let now = self.now(at);
        let process = self.process.as_mut().expect("it is up");
        let Some((_, channel)) = process.channel.as_mut() else { return Vec::new() };
        let Ok(effects) = channel.handle(message, now) else { return vec![Wish::HangUp] };
        effects.into_iter().flat_map(|effect| self.follow(effect)).collect()
    }

    fn follow(&mut self, effect: Effect) -> Vec<Wish> {
        match effect {
            Effect::SignHello(claims) => {
                let proof = serde_json::to_string(&claims).expect("plain data");
                vec![Wish::Say(AgentMessage::Hello { proof })]
            }
            Effect::PersistGeneration { generation, .. } => vec![Wish::Write(Write::Generation(generation))],
            Effect::PersistConfig(config) => vec![Wish::Write(Write::Config(*config))],
            Effect::Send(message) => vec![Wish::Say(message)],
            Effect::RunAttempt(dispatch) => self.accept(*dispatch),
            Effect::ForgetAttempt(attempt) => {
                if let Some(Fate::Ended { outcome, .. }) = self.disk.fate(attempt).cloned() {
                    self.disk.set(attempt, Fate::Ended { outcome, recorded: true });
                }
                Vec::new()
            }
            Effect::Revoked(statement) if statement == revoked_statement(self.host) => {
                vec![Wish::Write(Write::GaveUp)]
            }
            Effect::ServerLeaves { retry_after_secs, .. } => {
                if let Some(process) = &mut self.process {
                    process.hint = Some(Duration::from_secs(retry_after_secs.into()));
                }
                vec![Wish::HangUp]
            }
            _ => Vec::new(),
        }
    }

    /// Takes a dispatch: it runs, waits, or is answered from what is known.
    fn accept(&mut self, dispatch: Dispatch) -> Vec<Wish> {
        let attempt = dispatch.attempt;
        if self.disk.running().contains(&attempt) {
            return vec![Wish::Say(AgentMessage::JobStarted { attempt })];
        }
        let Some(process) = self.process.as_mut() else { return Vec::new() };
        if process.waiting.iter().all(|waiting| waiting.attempt != attempt) {
            process.waiting.push_back(dispatch);
        }
        Vec::new()
    }

    /// Begins the next job that waits, if none runs.
    pub(crate) fn next_job(&mut self, at: Duration) -> Vec<Wish> {
        let now = self.now(at);
        let is_busy = !self.disk.running().is_empty();
        let Some(process) = self.process.as_mut() else { return Vec::new() };
        if is_busy || process.beginning.is_some() {
            return Vec::new();
        }
        let Some(dispatch) = process.waiting.pop_front() else { return Vec::new() };
        let attempt = dispatch.attempt;
        if now >= dispatch.expires_at || self.disk.knows_later(attempt) {
            return Vec::new();
        }
        match self.disk.fate(attempt) {
            Some(Fate::Started) => vec![Wish::Say(AgentMessage::JobStarted { attempt })],
            Some(Fate::Ended { outcome, .. }) => {
                vec![Wish::Say(AgentMessage::JobFinished { attempt, end: end(*outcome) })]
            }
            None => {
                self.process.as_mut().expect("it is up").beginning = Some(attempt);
                vec![Wish::Write(Write::Began(attempt))]
            }
        }
    }

    /// Puts a write on the disk; all a crash leaves of it.
    pub(crate) fn reaches_disk(&mut self, write: &Write) {
        match write {
            Write::Generation(text) => self.disk.generation = Some(text.clone()),
            Write::Config(config) => self.disk.config = Some(config.clone()),
            Write::Began(attempt) => self.disk.set(*attempt, Fate::Started),
            Write::Ended(attempt, outcome) => {
                self.disk.set(*attempt, Fate::Ended { outcome: *outcome, recorded: false });
            }
            Write::GaveUp => self.disk.gave_up = true,
        }
    }

    /// Goes on after a write: only now is anything said of it, on the channel it came on.
    pub(crate) fn written(&mut self, write: Write, connection: Option<u64>) -> Vec<Wish> {
        self.reaches_disk(&write);
        let is_same = connection.is_some() && self.connection() == connection;
        let running = self.disk.running();
        let Some(process) = self.process.as_mut() else { return Vec::new() };
        if write.is_of_channel() {
            process.writing -= 1;
        }
        let channel = process.channel.as_mut().map(|(_, channel)| channel).filter(|_| is_same);
        let effect = match write {
            Write::Generation(_) => {
                let Some(channel) = channel else { return Vec::new() };
                let Ok(effect) = channel.generation_persisted(report(running)) else {
                    return vec![Wish::HangUp];
                };
                let mut wishes = self.follow(effect);
                let untold = self.disk.untold().into_iter();
                wishes.extend(untold.map(|(attempt, outcome)| {
                    Wish::Say(AgentMessage::JobFinished { attempt, end: JobEnd { ..end(outcome) } })
                }));
                return wishes;
            }
            Write::Config(config) => {
                channel.map(|channel| channel.config_persisted(config.version, config.digest))
            }
            Write::Began(attempt) => {
                process.beginning = None;
                return vec![Wish::Run(attempt), Wish::Say(AgentMessage::JobStarted { attempt })];
            }
            Write::Ended(attempt, outcome) => {
                return vec![Wish::Say(AgentMessage::JobFinished { attempt, end: end(outcome) })];
            }
            Write::GaveUp => return vec![Wish::HangUp],
        };
        effect.map(|effect| self.follow(effect)).unwrap_or_default()
    }
}
