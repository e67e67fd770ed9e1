//! The server: a database whose transactions hold or do not, channels that live in memory.

use std::collections::{BTreeMap, BTreeSet};

use muster_channel::server::{Effect, ServerChannel};
use muster_domain::generation::{Generation, Judgement, judge};
use muster_domain::job::{self, JobEvent};
use muster_ids::{HostId, JobId, Timestamp};
use muster_wire::channel::{AgentMessage, Attempt, Dispatch, HelloClaims, Protocol, ServerMessage};
use muster_wire::claim::CopyCause;
use muster_wire::text::Line;

use crate::database::{Database, Job};
use crate::names::{URL, host_id, job_id, open, revoked_statement, seal, work};
use crate::truth::Truth;

/// The server died in the middle of a transaction: before it committed, or after it and before its effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crashed;

/// How a channel goes on.
#[derive(Debug)]
pub(crate) enum Next {
    /// It stays open; these frames are sent.
    Say(Vec<ServerMessage>),
    /// It closes after these frames.
    Close(Vec<ServerMessage>),
}

struct Open {
    host: usize,
    machine: usize,
    channel: ServerChannel,
    boot_id: String,
    /// The version of the secret the agent has applied.
    applied: Option<i64>,
    sent: Option<(u64, i64)>,
    report_running: Option<Vec<Attempt>>,
    /// What the agent said to run on this channel.
    running: BTreeSet<Attempt>,
    is_settled: bool,
    is_ready: bool,
}

#[derive(Default)]
pub(crate) struct Server {
    pub(crate) db: Database,
    channels: BTreeMap<u64, Open>,
    hub: BTreeMap<usize, u64>,
    /// Ids are never made twice, whatever becomes of the database.
    jobs_made: u128,
    /// Transactions until the server dies, and whether the last one is committed.
    pub(crate) dies_after: Option<(u32, bool)>,
}

impl Server {
    pub(crate) fn over(db: Database) -> Self {
        Self { db, ..Self::default() }
    }

    /// Runs a transaction, unless the server dies before it; an error is a server that died after it.
    fn transact<T>(&mut self, change: impl FnOnce(&mut Database) -> T) -> Result<T, Crashed> {
        match &mut self.dies_after {
            Some((0, is_committed)) => {
                if *is_committed {
                    change(&mut self.db);
                }
                self.dies_after = None;
                Err(Crashed)
            }
            Some((left, _)) => {
                *left -= 1;
                Ok(change(&mut self.db))
            }
            None => Ok(change(&mut self.db)),
        }
    }

    /// Takes an upgrade whose proof holds. `Err`: the key ended, with the signed statement.
    pub(crate) fn accept(
        &mut self,
        connection: u64,
        host: usize,
        machine: usize,
        now: Timestamp,
    ) -> Result<ServerMessage, String> {
        if !self.db.rows[host].key_active {
            return Err(revoked_statement(host));
        }
        let challenge = format!("challenge {connection}");
        let (channel, first) = ServerChannel::open(host_id(host), Protocol::BEST, challenge, now);
        let open = Open {
            host,
            machine,
            channel,
            boot_id: String::new(),
            applied: None,
            sent: None,
            report_running: None,
            running: BTreeSet::new(),
            is_settled: false,
            is_ready: false,
        };
        self.channels.insert(connection, open);
        Ok(first)
    }

    pub(crate) fn drop_connection(&mut self, connection: u64) {
        if let Some(open) = self.channels.remove(&connection)
            && self.hub.get(&open.host) == Some(&connection)
        {
            self.hub.remove(&open.host);
        }
    }

    pub(crate) fn die(&mut self) {
        self.channels.clear();
        self.hub.clear();
        self.dies_after = None;
    }

    pub(crate) fn is_open(&self, connection: u64) -> bool {
        self.channels.contains_key(&connection)
    }

    /// Who holds the place of a host.
    pub(crate) fn holder(&self, host: usize) -> Option<u64> {
        self.hub.get(&host).copied()
    }

    pub(crate) fn machine_of(&self, connection: u64) -> Option<usize> {
        self.channels.get(&connection).map(|open| open.machine)
    }

    pub(crate) fn is_working(&self, host: usize) -> bool {
        let open = self.hub.get(&host).and_then(|connection| self.channels.get(connection));
        open.is_some_and(|open| open.is_ready && open.is_settled)
    }

    /// Takes a frame. `answers`: whether the machine behind another connection answers a ping now.
    pub(crate) fn hear(
        &mut self,
        connection: u64,
        message: AgentMessage,
        now: Timestamp,
        answers: impl Fn(u64) -> bool,
        truth: &mut Truth,
    ) -> Result<Next, Crashed> {
        if let AgentMessage::Hello { proof } = &message {
            return self.greet(connection, proof, now, answers, truth);
        }
        let open = self.channels.get_mut(&connection).expect("an open channel");
        let Ok(effects) = open.channel.handle(message) else { return Ok(Next::Close(Vec::new())) };
        let mut frames = Vec::new();
        for effect in effects {
            if !self.follow(connection, effect, now, truth, &mut frames)? {
                return Ok(Next::Close(frames));
            }
        }
        Ok(Next::Say(frames))
    }

    fn greet(
        &mut self,
        connection: u64,
        proof: &str,
        now: Timestamp,
        answers: impl Fn(u64) -> bool,
        truth: &mut Truth,
    ) -> Result<Next, Crashed> {
        let refused = Ok(Next::Close(Vec::new()));
        let open = self.channels.get_mut(&connection).expect("an open channel");
        let Ok(claims) = serde_json::from_str::<HelloClaims>(proof) else { return refused };
        if open.channel.hello(&claims, |url| url == URL).is_err() {
            return refused;
        }
        let (host, machine) = (open.host, open.machine);
        open.boot_id.clone_from(&claims.boot_id);
        let presented = match &claims.generation {
            Some(text) => match crate::names::open(host, text) {
                Some(generation) => Some(generation),
                None => return refused,
            },
            None => None,
        };
        if judge(presented, &self.db.rows[host].known, self.db.epoch) == Judgement::Stale {
            // A hello that was under way while its machine came back is no second machine: nobody is behind it.
            if !answers(connection) {
                return refused;
            }
            return self.suspect(connection, CopyCause::GenerationStale, now, truth);
        }
        if let Some(first) = self.hub.get(&host).copied() {
            if answers(first) {
                if !answers(connection) {
                    return refused;
                }
                return self.suspect(connection, CopyCause::Fenced, now, truth);
            }
            self.drop_connection(first);
        }
        self.hub.insert(host, connection);
        match self.transact(|db| db.issue(host, presented, now))? {
            Issued::Refused => Ok(Next::Close(Vec::new())),
            Issued::Held => Ok(Next::Close(vec![goodbye("held", 300)])),
            Issued::Stale => self.suspect(connection, CopyCause::GenerationStale, now, truth),
            Issued::Generation(generation) => {
                truth.admitted(machine, host, presented, generation);
                let open = self.channels.get_mut(&connection).expect("an open channel");
                let welcome = open.channel.admitted(seal(host, generation), 30, 60, now);
                Ok(welcome.map_or(Next::Close(Vec::new()), |welcome| Next::Say(vec![welcome])))
            }
        }
    }

    /// Records a suspected copy, and what becomes of the host.
    fn suspect(
        &mut self,
        connection: u64,
        cause: CopyCause,
        now: Timestamp,
        truth: &mut Truth,
    ) -> Result<Next, Crashed> {
        let open = &self.channels[&connection];
        let (host, machine, boot_id) = (open.host, open.machine, open.boot_id.clone());
        truth.suspected(machine, host, cause);
        let is_connected = self.hub.contains_key(&host);
        self.transact(|db| db.suspect(host, &boot_id, cause, is_connected, now))?;
        let reason = if cause == CopyCause::Fenced { "fenced" } else { "generation_stale" };
        Ok(Next::Close(vec![goodbye(reason, 60)]))
    }

    /// Follows one effect; `false` closes the channel.
    fn follow(
        &mut self,
        connection: u64,
        effect: Effect,
        now: Timestamp,
        truth: &mut Truth,
        frames: &mut Vec<ServerMessage>,
    ) -> Result<bool, Crashed> {
        let (host, machine) = {
            let open = &self.channels[&connection];
            (open.host, open.machine)
        };
        match effect {
            Effect::CommitGeneration { generation, report } => {
                let Some(generation) = open(host, &generation) else { return Ok(false) };
                if !self.transact(|db| db.commit(host, generation, now))? {
                    return Ok(false);
                }
                truth.committed(machine, host, generation);
                let Some(config) = self.db.config_of(host) else { return Ok(false) };
                let secret_version = self.db.rows[host].secret_version;
                let open = self.channels.get_mut(&connection).expect("an open channel");
                open.report_running = Some(report.running.clone());
                open.sent = Some((config.version.n, secret_version));
                let Ok(effects) = open.channel.acknowledged(config, &report) else { return Ok(false) };
                for effect in effects {
                    if !self.follow(connection, effect, now, truth, frames)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Effect::Send(message) => {
                self.say(connection, message, truth, frames);
                Ok(true)
            }
            Effect::RecordApplied { version } => {
                if !self.transact(|db| db.applied(host, version))? {
                    return Ok(false);
                }
                truth.applied(machine, host, version);
                let open = self.channels.get_mut(&connection).expect("an open channel");
                open.applied = open.sent.map(|(_, secret_version)| secret_version);
                Ok(true)
            }
            Effect::ReadyForWork => {
                self.channels.get_mut(&connection).expect("an open channel").is_ready = true;
                self.settle_and_dispatch(connection, now, truth, frames)
            }
            Effect::RecordStarted(attempt) => {
                let told = self.transact(|db| db.told(host, attempt, JobEvent::Started, now))?;
                truth.told(host, attempt, None, told);
                self.channels.get_mut(&connection).expect("an open channel").running.insert(attempt);
                Ok(told.is_some())
            }
            Effect::RecordFinished(attempt, end) => {
                let event = JobEvent::Ended(end.outcome);
                let told = self.transact(|db| db.told(host, attempt, event, now))?;
                truth.told(host, attempt, Some(end.outcome), told);
                if told.is_none() {
                    return Ok(false);
                }
                self.channels.get_mut(&connection).expect("an open channel").running.remove(&attempt);
                frames.push(ServerMessage::JobRecorded { attempt });
                self.settle_and_dispatch(connection, now, truth, frames)
            }
            Effect::RecordGoodbye(_) => Ok(false),
            _ => Ok(true),
        }
    }

    fn settle_and_dispatch(
        &mut self,
        connection: u64,
        now: Timestamp,
        truth: &mut Truth,
        frames: &mut Vec<ServerMessage>,
    ) -> Result<bool, Crashed> {
        let open = self.channels.get_mut(&connection).expect("an open channel");
        if !open.is_ready {
            return Ok(true);
        }
        let (host, applied) = (open.host, open.applied);
        let mut sent = Vec::new();
        if !open.is_settled {
            open.is_settled = true;
            let listed = open.report_running.take().unwrap_or_default();
            open.running.extend(&listed);
            match self.transact(|db| db.settle(host, &listed, now))? {
                Some(again) => sent.extend(again),
                None => return Ok(false),
            }
        }
        match self.transact(|db| db.dispatch(host, applied, now))? {
            Some(dispatches) => sent.extend(dispatches),
            None => return Ok(false),
        }
        for dispatch in sent {
            let frame = self.channels[&connection].channel.dispatch(dispatch);
            let Some(frame) = frame else { return Ok(false) };
            self.say(connection, frame, truth, frames);
        }
        Ok(true)
    }

    /// Sends a frame; the oracle looks at every one that carries a secret or work.
    fn say(&self, connection: u64, frame: ServerMessage, truth: &mut Truth, frames: &mut Vec<ServerMessage>) {
        let open = &self.channels[&connection];
        if matches!(frame, ServerMessage::ConfigUpdate { .. } | ServerMessage::JobRun { .. }) {
            let is_holder = self.hub.get(&open.host) == Some(&connection);
            truth.serves(open.machine, open.host, is_holder, &frame);
        }
        frames.push(frame);
    }

    /// Changes a host's configuration and pushes it where its channel is open.
    pub(crate) fn change_config(
        &mut self,
        host: usize,
        truth: &mut Truth,
    ) -> Result<Option<(u64, Vec<ServerMessage>)>, Crashed> {
        self.transact(|db| db.change_config(host))?;
        let Some(connection) = self.holder(host) else { return Ok(None) };
        let Some(config) = self.db.config_of(host) else { return Ok(None) };
        let secret_version = self.db.rows[host].secret_version;
        let mut frames = Vec::new();
        let open = self.channels.get_mut(&connection).expect("the holder is open");
        if let Some(Effect::Send(message)) = open.channel.config_changed(config.clone()) {
            open.is_ready = false;
            open.sent = Some((config.version.n, secret_version));
            self.say(connection, message, truth, &mut frames);
        }
        Ok(Some((connection, frames)))
    }

    /// Makes a job and offers it where the host's channel is open.
    pub(crate) fn create_job(
        &mut self,
        host: usize,
        now: Timestamp,
        truth: &mut Truth,
    ) -> Result<Option<(u64, Vec<ServerMessage>)>, Crashed> {
        self.jobs_made += 1;
        let id = job_id(self.jobs_made);
        if !self.transact(|db| db.create_job(host, id))? {
            return Ok(None);
        }
        let Some(connection) = self.holder(host) else { return Ok(None) };
        let mut frames = Vec::new();
        self.settle_and_dispatch(connection, now, truth, &mut frames)?;
        Ok(Some((connection, frames)))
    }

    /// Offers what waits: something else came to its end.
    pub(crate) fn offer_work(
        &mut self,
        connection: u64,
        now: Timestamp,
        truth: &mut Truth,
    ) -> Result<Next, Crashed> {
        let mut frames = Vec::new();
        let goes_on = self.settle_and_dispatch(connection, now, truth, &mut frames)?;
        Ok(if goes_on { Next::Say(frames) } else { Next::Close(frames) })
    }

    /// Takes a heartbeat: what runs is renewed.
    pub(crate) fn heartbeat(&mut self, connection: u64, now: Timestamp) {
        if let Some(open) = self.channels.get(&connection).filter(|open| open.is_settled) {
            self.db.renew(open.host, &open.running, now);
        }
    }

    /// Ends the key of a host: in one transaction, then its socket is cut with the signed statement.
    pub(crate) fn revoke(
        &mut self,
        host: usize,
        truth: &mut Truth,
    ) -> Result<Option<(u64, ServerMessage)>, Crashed> {
        let outcome = self.transact(|db| db.revoke(host));
        // The oracle looks at the database: a server that died may or may not have committed.
        truth.watch_revocation(host, &self.db);
        outcome?;
        let Some(connection) = self.holder(host) else { return Ok(None) };
        Ok(Some((connection, ServerMessage::Revoked { statement: revoked_statement(host) })))
    }
}

/// What became of asking for a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Issued {
    /// The key or its host may not act.
    Refused,
    /// A person must say first which machine is genuine.
    Held,
    /// Another connection came between.
    Stale,
    /// This one.
    Generation(Generation),
}

fn goodbye(reason: &str, retry_after_secs: u32) -> ServerMessage {
    ServerMessage::Goodbye { reason: Line::parse(reason).unwrap(), retry_after_secs }
}

/// What a dispatch is made of.
pub(crate) fn frame(job: &Job, id: JobId, host_id: HostId, now: Timestamp) -> Dispatch {
    Dispatch {
        attempt: Attempt { job_id: id, attempt: job.facts.attempt },
        host_id,
        work: work(),
        secret_version: u64::try_from(job.facts.secret_version).unwrap(),
        time_limit_secs: 3600,
        issued_at: Some(now),
        expires_at: job::sent_until(now),
    }
}
