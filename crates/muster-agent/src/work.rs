//! Jobs on this machine: one at a time, each begun at most once, told until the server has recorded how it ended.
//!
//! A job outlives the socket its dispatch came on. Its beginning and its end are on disk before anyone hears of them.

mod reports;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use muster_ids::{HostId, Timestamp};
use muster_wire::channel::{AgentMessage, Attempt, Config, Dispatch, MAX_RUNNING};
use muster_wire::job::{BackupWork, JobEnd, JobOutcome, JobResult, Work};
use muster_wire::secret::RepoSecret;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::attempts::{self, Attempts, Beginning};
use crate::machine::Machine;
use crate::policy::Policy;
use crate::restic::{self, Failure, Limits, Repository, ResticEvent, Stopped};
use crate::state::{StateDir, StateError};
use crate::visible;
use reports::Reports;

/// Jobs that may wait behind the one that runs.
pub const MAX_WAITING: usize = 16;
const LONGEST_JOB: Duration = Duration::from_secs(7 * 24 * 3600);
const EVENTS: usize = 64;
const STORE_AGAIN_AFTER: Duration = Duration::from_secs(10);
const STOPPED: &str = "the agent was stopped while the job ran: start the job again";
const TOO_MANY: &str = "16 jobs wait on this machine already: start the job again when one of them has ended";

/// The jobs of this machine. Must be made on the thread that lives as long as the agent: restic dies with it.
pub struct Jobs {
    desk: Rc<Desk>,
    worker: Cell<Option<JoinHandle<()>>>,
}

struct Desk {
    machine: Machine,
    state: Rc<StateDir>,
    host_id: HostId,
    attempts: RefCell<Attempts>,
    config: RefCell<Option<Config>>,
    waiting: RefCell<VecDeque<Dispatch>>,
    arrived: Notify,
    reports: RefCell<Reports>,
    news: Notify,
    stop: CancellationToken,
    server_clock: Cell<Option<(Timestamp, Duration)>>,
}

impl Jobs {
    /// Reads what is known of former attempts and begins to wait for work. Needs a `LocalSet`.
    pub fn start(machine: &Machine, state: &Rc<StateDir>, host_id: HostId) -> Result<Self, StateError> {
        let desk = Rc::new(Desk {
            machine: machine.clone(),
            state: Rc::clone(state),
            host_id,
            attempts: RefCell::new(Attempts::load(state)?),
            config: RefCell::new(state.config()?),
            waiting: RefCell::default(),
            arrived: Notify::new(),
            reports: RefCell::default(),
            news: Notify::new(),
            stop: CancellationToken::new(),
            server_clock: Cell::new(None),
        });
        let worker = tokio::task::spawn_local(work(Rc::clone(&desk)));
        Ok(Self { desk, worker: Cell::new(Some(worker)) })
    }

    /// Takes the server's word for what time it is: dispatches lapse by its clock.
    pub fn set_server_time(&self, now: Timestamp) {
        self.desk.server_clock.set(Some((now, self.desk.machine.clock.monotonic())));
    }

    /// Returns the time by the server's clock, or by this machine's before it was told.
    pub fn now(&self) -> Timestamp {
        self.desk.now()
    }

    /// Takes a configuration that is on disk.
    pub fn configure(&self, config: Config) {
        self.desk.config.replace(Some(config));
    }

    /// Returns the version and digest of the configuration in use.
    pub fn config(&self) -> Option<(muster_wire::channel::ConfigVersion, String)> {
        self.desk.config.borrow().as_ref().map(|config| (config.version, config.digest.clone()))
    }

    /// Returns the attempts that run, for the report of a new channel.
    pub fn running(&self) -> Vec<Attempt> {
        self.desk.attempts.borrow().running().into_iter().take(MAX_RUNNING).collect()
    }

    /// Takes a dispatch: it runs, waits, or is answered from what is known.
    pub fn accept(&self, dispatch: Dispatch) {
        let desk = &self.desk;
        let attempt = dispatch.attempt;
        if desk.attempts.borrow().running().contains(&attempt) {
            desk.say(AgentMessage::JobStarted { attempt });
            return;
        }
        if desk.waiting.borrow().iter().any(|waiting| waiting.attempt == attempt) {
            return;
        }
        if desk.waiting.borrow().len() == MAX_WAITING {
            if desk.may_begin(&dispatch) {
                desk.store_end(attempt, failed(TOO_MANY));
            }
            return;
        }
        desk.waiting.borrow_mut().push_back(dispatch);
        desk.arrived.notify_one();
    }

    /// Takes the server's word that it recorded the end of an attempt.
    pub fn recorded(&self, attempt: Attempt) {
        let recorded = self.desk.attempts.borrow_mut().recorded(&self.desk.state, attempt);
        if let Err(cause) = recorded {
            tracing::warn!("{cause}");
        }
    }

    /// Begins to tell on a new channel: every end the server has not recorded is told again.
    pub fn begin_telling(&self) {
        self.desk.reports.borrow_mut().begin_telling();
        self.desk.news.notify_one();
    }

    /// Waits for something to tell.
    pub async fn news(&self) {
        self.desk.news.notified().await;
    }

    /// Returns the next thing to tell, if there is one.
    pub fn next_report(&self) -> Option<AgentMessage> {
        let untold = self.desk.attempts.borrow().untold();
        self.desk.reports.borrow_mut().next(untold)
    }

    /// Stops the job that runs and takes no more; its end is on disk when this returns.
    pub async fn stop(&self) {
        self.desk.stop.cancel();
        self.desk.waiting.borrow_mut().clear();
        let Some(mut worker) = self.worker.take() else { return };
        if tokio::time::timeout(self.desk.machine.pace.stop_within, &mut worker).await.is_err() {
            worker.abort();
            let _ = worker.await;
            let running = self.desk.attempts.borrow().running();
            for attempt in running {
                self.desk.store_end(attempt, failed(STOPPED));
            }
        }
    }

    /// Stops the job that runs and forgets the secrets.
    pub async fn give_up(&self) {
        self.desk.config.replace(None);
        self.stop().await;
    }
}

async fn work(desk: Rc<Desk>) {
    while !desk.stop.is_cancelled() {
        let next = desk.waiting.borrow_mut().pop_front();
        match next {
            Some(dispatch) => desk.run(dispatch).await,
            None => tokio::select! {
                () = desk.arrived.notified() => {}
                () = desk.stop.cancelled() => {}
            },
        }
    }
}

impl Desk {
    fn now(&self) -> Timestamp {
        match self.server_clock.get() {
            Some((told, at)) => told.plus(self.machine.clock.monotonic().saturating_sub(at)),
            None => self.machine.clock.now(),
        }
    }

    async fn run(&self, dispatch: Dispatch) {
        let Dispatch { attempt, .. } = dispatch;
        if self.now() >= dispatch.expires_at {
            tracing::info!(job.id = %attempt.job_id, attempt = attempt.attempt, "a job lapsed before its turn came");
            return;
        }
        if !self.may_begin(&dispatch) {
            return;
        }
        tracing::info!(job.id = %attempt.job_id, attempt = attempt.attempt, "a job begins");
        self.say(AgentMessage::JobStarted { attempt });
        let end = self.perform(&dispatch).await;
        tracing::info!(job.id = %attempt.job_id, outcome = visible::word(&end.outcome), "a job ended");
        while !self.store_end(attempt, end.clone()) && !self.stop.is_cancelled() {
            tokio::select! {
                () = self.machine.pace.wait(STORE_AGAIN_AFTER) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Begins an attempt on disk; `false`: it may not run, and what is known of it is told.
    fn may_begin(&self, dispatch: &Dispatch) -> bool {
        let Dispatch { attempt, issued_at, .. } = *dispatch;
        let beginning = self.attempts.borrow_mut().begin(&self.state, attempt, issued_at, self.now());
        match beginning {
            Ok(Beginning::Run) => return true,
            Ok(Beginning::Running) => self.say(AgentMessage::JobStarted { attempt }),
            Ok(Beginning::Ended(end)) => self.say(AgentMessage::JobFinished { attempt, end }),
            Ok(Beginning::Superseded) => {
                tracing::info!(job.id = %attempt.job_id, "ignored an attempt older than the last one");
            }
            Ok(Beginning::Forgotten) => {
                tracing::warn!(job.id = %attempt.job_id, "a job is as old as jobs this machine has forgotten");
                self.say(AgentMessage::JobFinished { attempt, end: attempts::forgotten() });
            }
            Err(cause) => {
                tracing::error!("{cause}");
                self.say(AgentMessage::JobFinished { attempt, end: failed(&cause.to_string()) });
            }
        }
        false
    }

    /// Stores how an attempt ended; it is told from what is stored.
    fn store_end(&self, attempt: Attempt, end: JobEnd) -> bool {
        let stored = self.attempts.borrow_mut().end(&self.state, attempt, end);
        self.reports.borrow_mut().forget_progress(attempt);
        self.news.notify_one();
        stored.inspect_err(|cause| tracing::error!("{cause}")).is_ok()
    }

    fn say(&self, message: AgentMessage) {
        self.reports.borrow_mut().say(message);
        self.news.notify_one();
    }

    async fn perform(&self, dispatch: &Dispatch) -> JobEnd {
        if let Err(denied) = Policy::read(&self.machine.policy).judge(dispatch.work.kind()) {
            return failed(&denied.to_string());
        }
        match &dispatch.work {
            Work::Backup(work) => self.backup(dispatch, work).await,
        }
    }

    async fn backup(&self, dispatch: &Dispatch, work: &BackupWork) -> JobEnd {
        let repository = match self.repository(work, dispatch.secret_version) {
            Ok(repository) => repository,
            Err(end) => return end,
        };
        let limits = Limits {
            job: Duration::from_secs(dispatch.time_limit_secs).min(LONGEST_JOB),
            grace: self.machine.pace.stop_within.mul_f64(0.75),
            ..Limits::default()
        };
        let restic = self.machine.restic_with(&self.state, limits);
        let (sender, mut events) = mpsc::channel(EVENTS);
        let outcome = {
            let backup = restic.backup(&repository, self.host_id, work, &sender, &self.stop);
            let mut backup = std::pin::pin!(backup);
            loop {
                tokio::select! {
                    outcome = backup.as_mut() => break outcome,
                    Some(event) = events.recv() => self.heard(dispatch.attempt, event),
                }
            }
        };
        while let Ok(event) = events.try_recv() {
            self.heard(dispatch.attempt, event);
        }
        self.end_of(outcome)
    }

    fn end_of(&self, outcome: Result<JobResult, Failure>) -> JobEnd {
        match outcome {
            Err(Failure::Killed(Stopped::Cancelled)) if self.stop.is_cancelled() => failed(STOPPED),
            outcome => restic::job_end(outcome),
        }
    }

    fn heard(&self, attempt: Attempt, event: ResticEvent) {
        match event {
            ResticEvent::Progress(progress) => {
                let now = self.machine.clock.monotonic();
                if self.reports.borrow_mut().progress(attempt, progress, now) {
                    self.news.notify_one();
                }
            }
            ResticEvent::Log(text) => self.say(AgentMessage::JobLog { attempt, text }),
            ResticEvent::Summary(_) => {}
        }
    }

    /// Looks the repository up in the configuration; it holds the version the job needs, or a later one.
    fn repository(&self, work: &BackupWork, version: u64) -> Result<Repository, JobEnd> {
        let config = self.config.borrow();
        let secrets = config.as_ref().map(|config| &config.secrets);
        let held = secrets
            .and_then(|secrets| secrets.iter().find(|(name, _)| **name == work.secret))
            .map(|(_, held)| held);
        let Some(held) = held.filter(|held| held.version >= version) else {
            return Err(failed(&format!(
                "this machine does not hold version {version} of the secret `{}` yet: wait until it is connected, then \
                 start the job again",
                work.secret
            )));
        };
        let document = serde_json::Value::Object(held.document.expose().clone());
        let secret: RepoSecret = serde_json::from_value(document).map_err(|_| {
            failed(&format!(
                "the secret `{}` is not a repository: it must hold `url` and `password`, set it again",
                work.secret
            ))
        })?;
        Repository::parse(&secret)
            .map_err(|refused| restic::job_end(Err(Failure::RepositoryRefused(refused))))
    }
}

fn failed(why: &str) -> JobEnd {
    JobEnd { outcome: JobOutcome::Failed, result: None, failure: visible::line(why) }
}
