//! A proved channel: what the agent says is recorded, what the server wants is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use muster_channel::server::{Effect, HANDSHAKE_WITHIN, ServerChannel};
use muster_domain::generation::Generation;
use muster_domain::host_config::SEND_AGAIN_AFTER;
use muster_domain::job::sent_until;
use muster_domain::presence::comeback_window;
use muster_ids::Timestamp;
use muster_store::Priority;
use muster_wire::channel::{
    AgentMessage, Attempt, ConfigVersion, Dispatch, MAX_FRAME, Report, ServerMessage, close,
};
use muster_wire::enroll::Heartbeat;
use muster_wire::happening::Happening;
use muster_wire::job::JobEnd;
use muster_wire::parting::GoodbyeReason;
use muster_wire::text::SecretName;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::hub::Command;
use super::next_key::{Errands, learn};
use super::notebook::Notebook;
use super::open::Open;
use super::task::HEARTBEAT_SECS;
use super::wire::{End, Heard, Wire};
use crate::app::App;
use crate::auth::Agent;
use crate::failure::Failure;
use crate::host_config::{self, Carried};
use crate::jobs::{self, Finish};
use crate::revocations::must_be_seen;
use crate::unit::{Fact, Unit};

const PING_EVERY: Duration = Duration::from_secs(25);
const SILENT_FOR: Duration = Duration::from_secs(60);
/// How long after a refused write the cut that explains it may take.
const CUT_FOLLOWS_WITHIN: Duration = Duration::from_millis(500);
const RENEW_EVERY: Duration = Duration::from_secs(30);
/// How long work waits that could not be given.
const TRY_WORK_AFTER: Duration = Duration::from_secs(1);

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
    /// What time the agent was told that it is, and when: by that clock its work lapses.
    told: (Timestamp, Instant),
    asked: Vec<(u64, oneshot::Sender<()>)>,
    errands: Errands,
    pings: u64,
    ping_at: Instant,
    silent_at: Instant,
    renew_at: Instant,
    handshake_until: Instant,
    /// When a configuration is sent again that the agent has not confirmed.
    send_again_at: Option<Instant>,
    /// When work is given that was put off.
    try_work_at: Option<Instant>,
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
            told: (app.clock.now(), now),
            asked: Vec::new(),
            errands: Errands::default(),
            pings: 0,
            ping_at: now + PING_EVERY,
            silent_at: now + SILENT_FOR,
            renew_at: now + RENEW_EVERY,
            handshake_until: now + HANDSHAKE_WITHIN,
            send_again_at: None,
            try_work_at: None,
        }
    }

    /// Welcomes the agent and talks until one of the two leaves.
    pub(super) async fn run(&mut self, generation: String) -> End {
        self.open.heard();
        let window = comeback_window(self.app.hub.fleet()).as_secs() as u32;
        self.told = (self.app.clock.now(), Instant::now());
        let welcome = self.machine.admitted(generation, HEARTBEAT_SECS, window, self.told.0);
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
                if let Some(end) = self.open.commands.recv().await?.last_words() {
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
                    Heard::Message(message) => self.hear(message).await,
                    Heard::Pong(payload) => self.answered(&payload),
                    Heard::Ping => Ok(()),
                }
            }
            () = sleep_until(wake_at) => Box::pin(self.wake()).await,
        }
    }

    /// Takes a message. What nearly every message is costs no more than it must: nothing is awaited or allocated for it.
    async fn hear(&mut self, message: Box<AgentMessage>) -> Result<(), End> {
        if let AgentMessage::Heartbeat { heartbeat } = &*message
            && self.machine.is_acknowledged()
        {
            self.beat(heartbeat);
            return if self.renew_is_due() { Box::pin(self.renew()).await } else { Ok(()) };
        }
        Box::pin(self.take(*message)).await
    }

    fn wake_at(&self) -> Instant {
        let mut wake_at = self.ping_at.min(self.silent_at);
        wake_at = [self.try_work_at, self.send_again_at].into_iter().flatten().fold(wake_at, Instant::min);
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
        if self.send_again_at.is_some_and(|at| now >= at) {
            self.push_config().await?;
        }
        if self.try_work_at.is_some_and(|at| now >= at) {
            self.give_work().await?;
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
            Command::WorkWaiting => self.give_work().await,
            Command::RotationAsked => {
                self.errands.rotation_is_due();
                self.ask_for_next_key().await
            }
            Command::PinsChanged => self.tell_pins().await,
            Command::Prove { answered } => {
                let number = self.ping().await?;
                self.asked.push((number, answered));
                Ok(())
            }
            command @ (Command::Revoked { .. } | Command::Leave { .. }) => {
                command.last_words().map_or(Ok(()), Err)
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
            Effect::RecordHeartbeat(heartbeat) => {
                self.beat(&heartbeat);
                Ok(())
            }
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
            Effect::StoreNextKey { proof, challenge } => {
                match self.errands.store(self.app, self.agent, &proof, challenge).await? {
                    Some(key) => self.wire.say(&self.machine.next_key_stored(key)).await,
                    None => Ok(()),
                }
            }
            Effect::RecordPinsKept(issued_at) => {
                self.errands.pins_kept(self.app, self.agent, issued_at).await
            }
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
        let said_at = self.app.installation.instruction_keys().said().issued_at;
        let committed = self.record(move |unit, agent| {
            agent.still_may(unit)?;
            unit.tx.host_reported(agent.host_id, &told, unit.now)?;
            let learned = learn(unit, agent, &told, said_at)?;
            Ok(unit.tx.generation_commit(&agent.key, issued)?.then_some(learned))
        });
        let Some(learned) = committed.await? else {
            return Err(End::goodbye(GoodbyeReason::Busy, 5));
        };
        self.errands.learned(learned);
        let loaded = host_config::load(self.app, self.agent.key).await?.ok_or(End::KeyEnded)?;
        self.carries = loaded.carries;
        let effects = self.machine.acknowledged(loaded.config, &report)?;
        self.report = Some(report);
        for effect in effects {
            Box::pin(self.follow(effect)).await?;
        }
        self.tell_pins().await
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
        if let ServerMessage::ConfigUpdate { config } = &message {
            host_config::sending(self.app, self.agent, config.version, &self.carries).await?;
            self.send_again_at = Some(Instant::now() + SEND_AGAIN_AFTER);
        }
        self.wire.say(&message).await
    }

    async fn record_applied(&mut self, version: ConfigVersion) -> Result<(), End> {
        self.send_again_at = None;
        host_config::applied(self.app, self.agent, version, &self.carries).await?;
        self.applied = self.carries.iter().map(|secret| (secret.name.clone(), secret.version)).collect();
        Ok(())
    }

    async fn ready(&mut self) -> Result<(), End> {
        self.is_ready = true;
        self.give_work().await
    }

    /// Gives what waits, unless this node cannot see whether the host may still have it: then a little later.
    async fn give_work(&mut self) -> Result<(), End> {
        self.try_work_at = None;
        if !self.is_ready {
            return Ok(());
        }
        if must_be_seen(self.app).is_err() {
            self.try_work_at = Some(Instant::now() + TRY_WORK_AFTER);
            return Ok(());
        }
        if !self.is_settled {
            let running = self.report.take().map(|report| report.running).unwrap_or_default();
            let settled = self.record(move |unit, agent| jobs::settle(unit, agent, &running)).await?;
            let jobs::Settled { running, again } = settled;
            self.running.extend(running);
            self.is_settled = true;
            self.send_work(again).await?;
        }
        self.dispatch().await?;
        self.ask_for_next_key().await
    }

    /// Asks for the next key once the host is settled: not before its jobs are known again.
    async fn ask_for_next_key(&mut self) -> Result<(), End> {
        if !self.is_settled {
            return Ok(());
        }
        match self.errands.ask(&self.machine) {
            Some(frame) => self.wire.say(&frame).await,
            None => Ok(()),
        }
    }

    async fn tell_pins(&mut self) -> Result<(), End> {
        match self.errands.pins(self.app, self.agent, &self.machine) {
            Some(frame) => self.wire.say(&frame).await,
            None => Ok(()),
        }
    }

    async fn dispatch(&mut self) -> Result<(), End> {
        let applied = self.applied.clone();
        let dispatches = self.record(move |unit, agent| jobs::dispatch(unit, agent, &applied)).await?;
        self.send_work(dispatches).await
    }

    async fn send_work(&mut self, dispatches: Vec<Dispatch>) -> Result<(), End> {
        let (told, at) = self.told;
        let now = told.plus(at.elapsed());
        for dispatch in dispatches {
            let dispatch = Dispatch { issued_at: Some(now), expires_at: sent_until(now), ..dispatch };
            let frame = self.machine.dispatch(dispatch).ok_or(End::goodbye(GoodbyeReason::Busy, 5))?;
            self.wire.say(&frame).await?;
        }
        Ok(())
    }

    fn beat(&mut self, heartbeat: &Heartbeat) {
        self.app.metrics.heartbeats.inc();
        self.open.beat(heartbeat);
        self.agent.note_use(self.app, self.app.clock.now());
    }

    fn renew_is_due(&self) -> bool {
        !self.running.is_empty() && Instant::now() >= self.renew_at
    }

    /// Says that what runs still runs.
    async fn renew(&mut self) -> Result<(), End> {
        self.renew_at = Instant::now() + RENEW_EVERY;
        let running = self.running.iter().copied().collect();
        self.write_notes(running).await
    }

    async fn record_finished(&mut self, attempt: Attempt, end: JobEnd) -> Result<(), End> {
        self.write_notes(Vec::new()).await?;
        let finish = self.record(move |unit, agent| jobs::finished(unit, agent, attempt, &end)).await?;
        if finish == Finish::Unknown {
            self.report_unknown(attempt).await?;
        }
        self.running.remove(&attempt);
        self.wire.say(&ServerMessage::JobRecorded { attempt }).await?;
        self.give_work().await
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
