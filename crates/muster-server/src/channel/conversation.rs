//! A proved channel: what the agent says is recorded, what the server wants is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use muster_channel::server::{Effect, HANDSHAKE_WITHIN, ServerChannel};
use muster_domain::generation::Generation;
use muster_store::Priority;
use muster_wire::channel::{
    AgentMessage, Attempt, ConfigVersion, Dispatch, MAX_FRAME, Report, ServerMessage, close,
};
use muster_wire::happening::Happening;
use muster_wire::job::JobEnd;
use muster_wire::text::SecretName;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::hub::Command;
use super::notebook::Notebook;
use super::open::Open;
use super::task::HEARTBEAT_SECS;
use super::wire::{End, Heard, Wire, Words};
use crate::app::App;
use crate::auth::Agent;
use crate::failure::Failure;
use crate::host_config::{self, Carried};
use crate::jobs::{self, Finish};
use crate::unit::{Fact, Unit};

const PING_EVERY: Duration = Duration::from_secs(25);
const SILENT_FOR: Duration = Duration::from_secs(60);
/// How long after a refused write the cut that explains it may take.
const CUT_FOLLOWS_WITHIN: Duration = Duration::from_millis(500);
const RENEW_EVERY: Duration = Duration::from_secs(30);

/// One proved channel. Its deadlines are the runtime's own time, never the wall clock.
pub(super) struct Conversation<'a> {
    app: &'a App,
    agent: &'a Agent,
    wire: Wire,
    machine: ServerChannel,
    open: &'a mut Open,
    report: Option<Box<Report>>,
    /// What the configuration carries that was sent last.
    carries: Vec<Carried>,
    applied: BTreeMap<SecretName, i64>,
    is_settled: bool,
    /// Whether the agent has applied what was sent last.
    is_ready: bool,
    running: BTreeSet<Attempt>,
    notebook: Notebook,
    asked: Vec<(u64, oneshot::Sender<()>)>,
    pings: u64,
    ping_at: Instant,
    silent_at: Instant,
    renew_at: Instant,
    handshake_until: Instant,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(
        app: &'a App,
        agent: &'a Agent,
        wire: Wire,
        machine: ServerChannel,
        open: &'a mut Open,
    ) -> Self {
        let now = Instant::now();
        Self {
            app,
            agent,
            wire,
            machine,
            open,
            report: None,
            carries: Vec::new(),
            applied: BTreeMap::new(),
            is_settled: false,
            is_ready: false,
            running: BTreeSet::new(),
            notebook: Notebook::default(),
            asked: Vec::new(),
            pings: 0,
            ping_at: now + PING_EVERY,
            silent_at: now + SILENT_FOR,
            renew_at: now + RENEW_EVERY,
            handshake_until: now + HANDSHAKE_WITHIN,
        }
    }

    /// Welcomes the agent and talks until one of the two leaves.
    pub(super) async fn run(&mut self, generation: String) -> End {
        self.open.heard();
        let welcome = self.machine.admitted(generation, HEARTBEAT_SECS, self.app.clock.now());
        let welcomed = match welcome {
            Ok(welcome) => self.wire.say(&welcome).await,
            Err(violation) => Err(violation.into()),
        };
        if let Err(end) = welcomed {
            return end;
        }
        loop {
            if let Err(end) = self.turn().await {
                return end;
            }
        }
    }

    /// Writes down what is left, says the last words and closes.
    pub(super) async fn close(mut self, end: End) -> End {
        if let Err(error) = self.write_notes(Vec::new()).await {
            tracing::debug!(?error, "the last notes of a channel were not written");
        }
        let end = if end == End::KeyEnded { self.told_why().await.unwrap_or(end) } else { end };
        self.wire.end(&end).await;
        end
    }

    /// A write was refused because the key ended: whoever ended it is about to say so, with the signed statement.
    async fn told_why(&mut self) -> Option<End> {
        let told = async {
            loop {
                if let Some(end) = last_words(self.open.commands.recv().await?) {
                    break Some(end);
                }
            }
        };
        tokio::time::timeout(CUT_FOLLOWS_WITHIN, told).await.ok().flatten()
    }

    async fn turn(&mut self) -> Result<(), End> {
        let wake_at = self.wake_at();
        tokio::select! {
            biased;
            command = self.open.commands.recv() => match command {
                Some(command) => Box::pin(self.obey(command)).await,
                None => Err(End::Gone),
            },
            heard = self.wire.hear(MAX_FRAME) => {
                let heard = heard?;
                self.silent_at = Instant::now() + SILENT_FOR;
                match heard {
                    Heard::Message(message) => Box::pin(self.take(*message)).await,
                    Heard::Pong(payload) => self.answered(&payload),
                    Heard::Ping => Ok(()),
                }
            }
            () = sleep_until(wake_at) => Box::pin(self.wake()).await,
        }
    }

    fn wake_at(&self) -> Instant {
        let mut wake_at = self.ping_at.min(self.silent_at);
        if self.machine.is_in_handshake() {
            wake_at = wake_at.min(self.handshake_until);
        }
        self.notebook.due_at().map_or(wake_at, |due_at| wake_at.min(due_at))
    }

    async fn wake(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if now >= self.silent_at {
            return Err(End::Gone);
        }
        if self.machine.is_in_handshake() && now >= self.handshake_until {
            return Err(End::close(close::POLICY, "the handshake took too long"));
        }
        if self.notebook.due_at().is_some_and(|due_at| now >= due_at) {
            self.write_notes(Vec::new()).await?;
        }
        if now >= self.ping_at {
            self.ping().await?;
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<u64, End> {
        self.ping_at = Instant::now() + PING_EVERY;
        self.pings += 1;
        self.wire.ping(Bytes::copy_from_slice(&self.pings.to_be_bytes())).await?;
        Ok(self.pings)
    }

    fn answered(&mut self, payload: &[u8]) -> Result<(), End> {
        let Ok(number) = payload.try_into().map(u64::from_be_bytes) else { return Ok(()) };
        for (asked, answered) in std::mem::take(&mut self.asked) {
            if asked <= number {
                // Whoever asked may have lost patience.
                let _ = answered.send(());
            } else {
                self.asked.push((asked, answered));
            }
        }
        Ok(())
    }

    async fn obey(&mut self, command: Command) -> Result<(), End> {
        match command {
            Command::ConfigChanged => self.push_config().await,
            Command::WorkWaiting => self.dispatch().await,
            Command::Prove { answered } => {
                let number = self.ping().await?;
                self.asked.push((number, answered));
                Ok(())
            }
            command @ (Command::Revoked { .. } | Command::Leave { .. }) => {
                last_words(command).map_or(Ok(()), Err)
            }
        }
    }

    async fn take(&mut self, message: AgentMessage) -> Result<(), End> {
        for effect in self.machine.handle(message)? {
            self.follow(effect).await?;
        }
        Ok(())
    }

    async fn follow(&mut self, effect: Effect) -> Result<(), End> {
        match effect {
            Effect::Send(message) => self.send(message).await,
            Effect::CommitGeneration { generation, report } => self.commit(generation, report).await,
            Effect::RecordApplied { version } => self.record_applied(version).await,
            Effect::ReadyForWork => self.ready().await,
            Effect::RecordHeartbeat(_) => self.heartbeat().await,
            Effect::RecordStarted(attempt) => {
                if self.record(move |unit, agent| jobs::started(unit, agent, attempt)).await? {
                    self.running.insert(attempt);
                }
                Ok(())
            }
            Effect::RecordProgress(attempt, progress) => {
                self.notebook.progress(attempt, progress);
                self.make_room().await
            }
            Effect::RecordLog(attempt, line) => {
                self.notebook.line(attempt, line);
                self.make_room().await
            }
            Effect::RecordFinished(attempt, end) => self.record_finished(attempt, *end).await,
            Effect::RecordGoodbye(_) => {
                self.open.said_goodbye();
                Err(End::close(close::NORMAL, "goodbye"))
            }
        }
    }

    /// Commits the acknowledged generation; only now is anything of the host sent.
    async fn commit(&mut self, generation: String, report: Box<Report>) -> Result<(), End> {
        let issued = self.app.keyring.open_generation(self.agent.host_id, &self.agent.key, &generation);
        let issued: Generation = issued.ok_or(End::policy("acknowledged another generation"))?;
        let told = report.clone();
        let committed = self.record(move |unit, agent| {
            agent.still_may(unit)?;
            unit.tx.host_reported(agent.host_id, &told.hostname, &told.facts)?;
            Ok(unit.tx.generation_commit(&agent.key, issued)?)
        });
        if !committed.await? {
            return Err(End::goodbye(close::TRY_LATER, "busy", 5));
        }
        let loaded = host_config::load(self.app, self.agent.key).await?.ok_or(End::KeyEnded)?;
        self.carries = loaded.carries;
        let effects = self.machine.acknowledged(loaded.config, &report)?;
        self.report = Some(report);
        for effect in effects {
            Box::pin(self.follow(effect)).await?;
        }
        Ok(())
    }

    async fn push_config(&mut self) -> Result<(), End> {
        let loaded = host_config::load(self.app, self.agent.key).await?.ok_or(End::KeyEnded)?;
        match self.machine.config_changed(loaded.config) {
            Some(effect) => {
                self.carries = loaded.carries;
                self.is_ready = false;
                Box::pin(self.follow(effect)).await
            }
            None => Ok(()),
        }
    }

    /// Sends a message. From the moment a configuration is sent its secrets count as received by the key, whether or
    /// not the agent ever confirms them: the ledger says so first.
    async fn send(&mut self, message: ServerMessage) -> Result<(), End> {
        if matches!(message, ServerMessage::ConfigUpdate { .. }) && !self.carries.is_empty() {
            let carries = self.carries.clone();
            self.record(move |unit, agent| record_sent(unit, agent, &carries)).await?;
        }
        self.wire.say(&message).await
    }

    async fn record_applied(&mut self, version: ConfigVersion) -> Result<(), End> {
        let carries = self.carries.clone();
        self.record(move |unit, agent| record_applied(unit, agent, version, &carries)).await?;
        self.applied = self.carries.iter().map(|secret| (secret.name.clone(), secret.version)).collect();
        Ok(())
    }

    async fn ready(&mut self) -> Result<(), End> {
        self.is_ready = true;
        if !self.is_settled {
            let running = self.report.take().map(|report| report.running).unwrap_or_default();
            let settled = self.record(move |unit, agent| jobs::settle(unit, agent, &running)).await?;
            let jobs::Settled { running, again } = settled;
            self.running.extend(running);
            self.is_settled = true;
            self.send_work(again).await?;
        }
        self.dispatch().await
    }

    async fn dispatch(&mut self) -> Result<(), End> {
        if !self.is_ready {
            return Ok(());
        }
        let applied = self.applied.clone();
        let dispatches = self.record(move |unit, agent| jobs::dispatch(unit, agent, &applied)).await?;
        self.send_work(dispatches).await
    }

    async fn send_work(&mut self, dispatches: Vec<Dispatch>) -> Result<(), End> {
        for dispatch in dispatches {
            let frame = self.machine.dispatch(dispatch).ok_or(End::goodbye(close::TRY_LATER, "busy", 5))?;
            self.wire.say(&frame).await?;
        }
        Ok(())
    }

    async fn heartbeat(&mut self) -> Result<(), End> {
        self.app.metrics.heartbeats.inc();
        self.open.heard();
        self.agent.note_use(self.app, self.app.clock.now());
        if Instant::now() >= self.renew_at {
            self.renew_at = Instant::now() + RENEW_EVERY;
            let running: Vec<Attempt> = self.running.iter().copied().collect();
            if !running.is_empty() {
                self.write_notes(running).await?;
            }
        }
        Ok(())
    }

    async fn record_finished(&mut self, attempt: Attempt, end: JobEnd) -> Result<(), End> {
        self.write_notes(Vec::new()).await?;
        let finish = self.record(move |unit, agent| jobs::finished(unit, agent, attempt, &end)).await?;
        if finish == Finish::Unknown {
            self.report_unknown(attempt).await?;
        }
        self.running.remove(&attempt);
        self.wire.say(&ServerMessage::JobRecorded { attempt }).await?;
        self.dispatch().await
    }

    /// Writes down that the agent told of a job nobody knows, within what one host may fill the trail with.
    async fn report_unknown(&mut self, attempt: Attempt) -> Result<(), End> {
        if !self.app.hub.may_report(self.agent.host_id, self.app.clock.now()) {
            return Ok(());
        }
        self.record(move |unit, agent| {
            let details = json!({ "host_id": agent.host_id, "attempt": attempt.attempt });
            let fact = Fact::new(Happening::JobUnknown, agent.team_id, &agent.author(), attempt.job_id);
            unit.happened(fact.of_host(agent.host_id).outcome("refused").details(details));
            Ok(())
        })
        .await
    }

    async fn make_room(&mut self) -> Result<(), End> {
        if self.notebook.is_full() { self.write_notes(Vec::new()).await } else { Ok(()) }
    }

    async fn write_notes(&mut self, running: Vec<Attempt>) -> Result<(), End> {
        let notes = self.notebook.take();
        if notes.is_empty() && running.is_empty() {
            return Ok(());
        }
        self.record(move |unit, agent| jobs::note(unit, agent, &notes, &running)).await
    }

    async fn record<T, F>(&mut self, closure: F) -> Result<T, End>
    where
        F: Fn(&mut Unit<'_, '_>, &Agent) -> Result<T, Failure> + Send + Sync + 'static,
        T: Send + 'static,
    {
        let (agent, now) = (self.agent.clone(), self.app.clock.now());
        Ok(self.app.change(Priority::Normal, now, move |unit| closure(unit, &agent)).await?)
    }
}

fn last_words(command: Command) -> Option<End> {
    match command {
        Command::Revoked { statement } => Some(End::Close {
            code: close::REVOKED,
            reason: "revoked",
            words: Some(Box::new(Words::Revoked(statement))),
        }),
        Command::Leave { reason, code, retry_after_secs } => {
            Some(End::goodbye(code, reason, retry_after_secs))
        }
        Command::ConfigChanged | Command::WorkWaiting | Command::Prove { .. } => None,
    }
}

fn record_sent(unit: &mut Unit<'_, '_>, agent: &Agent, carries: &[Carried]) -> Result<(), Failure> {
    agent.still_may(unit)?;
    for secret in carries {
        unit.tx.secret_sent(secret.secret_id, secret.version, &agent.key, unit.now)?;
    }
    Ok(())
}

fn record_applied(
    unit: &mut Unit<'_, '_>,
    agent: &Agent,
    version: ConfigVersion,
    carries: &[Carried],
) -> Result<(), Failure> {
    agent.still_may(unit)?;
    let is_news = unit.tx.host_config_applied(agent.host_id, version, unit.now)?;
    let author = agent.author();
    let fact = |what| Fact::new(what, agent.team_id, &author, agent.host_id).of_host(agent.host_id);
    for secret in carries {
        if unit.tx.secret_delivered(secret.secret_id, secret.version, &agent.key, unit.now)? {
            let details = json!({ "secret": secret.name, "version": secret.version, "key": agent.key });
            unit.happened(fact(Happening::SecretDelivered).details(details));
        }
    }
    if is_news {
        let details = json!({ "epoch": version.epoch, "n": version.n });
        unit.happened(fact(Happening::HostConfigApplied).details(details));
    }
    Ok(())
}
