//! A host at work: dials with the key that counts, holds one channel, comes back when it ends.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use muster_channel::backoff::Backoff;
use muster_client::{Response, WebSocket, WsDialError};
use muster_edge::Entropy;
use muster_ids::{HostId, KeyThumbprint};
use muster_wire::channel::Report;
use muster_wire::claim::CopyCause;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::asking::rounded;
use crate::copied::{Fences, Weighed};
use crate::enroll;
use crate::error::{self, AgentError};
use crate::keys::{Chosen, Keys, Place, Remaining};
use crate::machine::Machine;
use crate::round::{self, Round};
use crate::server::{self, Server};
use crate::session::{self, End, Ended, Session};
use crate::state::{IdentityState, StateDir, StateError};
use crate::work::Jobs;

/// A host at work.
pub(crate) struct Agent {
    pub(crate) machine: Machine,
    pub(crate) state: Rc<StateDir>,
    pub(crate) host_id: HostId,
    pub(crate) identity: RefCell<IdentityState>,
    pub(crate) keys: RefCell<Keys>,
    pub(crate) jobs: Jobs,
    lines: RefCell<Vec<Line>>,
    /// Set when the server took the next key's upgrade and not its hello: the other key is tried once.
    without_next: Cell<bool>,
}

/// Why an agent keeps no channel any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parted {
    /// It was asked to stop.
    Stopped,
    /// Its state is a copy or an older one.
    Copied(CopyCause),
    /// It made itself a key, and the server does not take it: whoever said that it was admitted was another one.
    NotAdmitted,
}

/// A way to the server, for a key and the certificates it was made for.
struct Line {
    key: KeyThumbprint,
    pins: Vec<String>,
    server: Rc<Server>,
}

enum Dialled {
    Stopped,
    Open(Url, Box<WebSocket>),
    Refused(Box<Response>),
    Unreachable(String),
}

impl Agent {
    pub(crate) fn start(
        machine: &Machine,
        state: &Rc<StateDir>,
        host_id: HostId,
        identity: IdentityState,
    ) -> Result<Self, AgentError> {
        let keys = Keys::of(state, &identity)?;
        let jobs = Jobs::start(machine, state, host_id)?;
        Ok(Self {
            machine: machine.clone(),
            state: Rc::clone(state),
            host_id,
            identity: RefCell::new(identity),
            keys: RefCell::new(keys),
            jobs,
            lines: RefCell::default(),
            without_next: Cell::new(false),
        })
    }

    pub(crate) fn into_identity(self) -> IdentityState {
        self.identity.into_inner()
    }

    pub(crate) async fn keep_channel(&self, stop: &CancellationToken) -> Result<Parted, AgentError> {
        let mut backoff = Backoff::default();
        let mut fences = Fences::default();
        loop {
            let round = self.round(stop).await?;
            match &round {
                Round::Held(Ended { end: End::Stopped, .. }) => {
                    self.jobs.stop().await;
                    tracing::info!("stopped");
                    return Ok(Parted::Stopped);
                }
                Round::Held(Ended { end: End::Revoked(revoked), .. }) => {
                    self.jobs.give_up().await;
                    let identity = self.identity.borrow().clone();
                    return Err(enroll::give_up(&self.state, identity, revoked));
                }
                _ => {}
            }
            if round.was_welcomed() {
                fences = Fences::default();
            }
            let now = self.machine.clock.monotonic();
            let drawn = round::pause(&round, &mut backoff, Entropy.fraction());
            let wait = match round.word().map(|word| fences.weigh(word, now)) {
                None => drawn,
                // The server's hint is meant for a copy; whether this is one is found out sooner.
                Some(Weighed::ComeBack(after)) => self.machine.pace.jittered(after),
                Some(Weighed::Fork(_)) if self.keys.borrow().is_of_copy() => {
                    return self.not_admitted(&round, stop).await;
                }
                Some(Weighed::Fork(cause)) => {
                    self.jobs.give_up().await;
                    return Ok(Parted::Copied(cause));
                }
            };
            if self.keys.borrow().is_of_copy() && (round.is_unknown() || round.was_refused_in_role()) {
                return self.not_admitted(&round, stop).await;
            }
            tracing::warn!(next_try_secs = rounded(wait), "{}", round::in_words(&round));
            stop.run_until_cancelled(self.machine.pace.wait(wait)).await;
        }
    }

    /// Waits before this machine asks once more for an identity, as who is refused does.
    async fn not_admitted(&self, round: &Round, stop: &CancellationToken) -> Result<Parted, AgentError> {
        self.jobs.give_up().await;
        let wait = self.machine.pace.jittered(self.machine.pace.refused_every);
        let why = round::in_words(round);
        tracing::warn!(next_try_secs = rounded(wait), "{why}: asking for an identity of its own once more");
        stop.run_until_cancelled(self.machine.pace.wait(wait)).await;
        Ok(if stop.is_cancelled() { Parted::Stopped } else { Parted::NotAdmitted })
    }

    /// Takes a signature that shows that the server took a key: the one beside it is not needed any more.
    pub(crate) fn proved(&self, chosen: &mut Chosen) -> Result<(), StateError> {
        match chosen.place {
            Place::Host => return Ok(()),
            Place::Next => self.keys.borrow_mut().promote_next(&self.state)?,
            Place::Copy => {
                self.keys.borrow_mut().promote_own(&self.state)?;
                let proved = self.identity.borrow().clone().proved();
                self.state.store_identity(&proved)?;
                self.identity.replace(proved);
            }
        }
        chosen.place = Place::Host;
        tracing::info!(key = %chosen.key.thumbprint(), "this key took the place of the former one");
        Ok(())
    }

    /// Tries the keys, and with each the addresses, in order until one answers.
    async fn round(&self, stop: &CancellationToken) -> Result<Round, AgentError> {
        let Some(report) = stop.run_until_cancelled(session::report(self)).await else {
            return Ok(Round::stopped());
        };
        let skips_next = self.without_next.take();
        let keys = self.keys.borrow().in_order();
        for chosen in keys.into_iter().filter(|chosen| !(skips_next && chosen.place == Place::Next)) {
            let server = self.line(&chosen)?;
            match self.dial(&server, stop).await {
                Dialled::Stopped => return Ok(Round::stopped()),
                Dialled::Unreachable(causes) => return Ok(Round::Unreachable(causes)),
                Dialled::Open(url, socket) => {
                    let by_next = chosen.place == Place::Next;
                    let ended = self.hold(chosen, &url, *socket, report, stop).await;
                    self.without_next.set(by_next && ended.was_turned_away());
                    return Ok(Round::Held(ended));
                }
                Dialled::Refused(response) => {
                    let round = self.judged(response)?;
                    if !(chosen.place == Place::Next && round.is_unknown()) {
                        return Ok(round);
                    }
                }
            }
        }
        Ok(Round::Unreachable("the server knows neither key".to_owned()))
    }

    async fn hold(
        &self,
        chosen: Chosen,
        url: &Url,
        socket: WebSocket,
        report: Report,
        stop: &CancellationToken,
    ) -> Ended {
        let shown = chosen.clone();
        let ended = match Session::open(self, chosen, url, socket, report) {
            Ok(session) => session.hold(stop).await,
            Err(cause) => Ended::before_the_welcome(End::State(cause)),
        };
        if ended.was_refused_in_role()
            && let Err(cause) = shown.forget_generation(&self.state)
        {
            return Ended::before_the_welcome(End::State(cause));
        }
        ended
    }

    /// Tries the addresses in order until one answers.
    async fn dial(&self, server: &Server, stop: &CancellationToken) -> Dialled {
        let mut causes = Vec::new();
        for url in server.urls() {
            match stop.run_until_cancelled(server.connect(url, self.host_id)).await {
                None => return Dialled::Stopped,
                Some(Ok(socket)) => return Dialled::Open(url.clone(), Box::new(socket)),
                Some(Err(WsDialError::Refused(response))) => return Dialled::Refused(response),
                Some(Err(cause)) => causes.push(error::in_full(&cause)),
            }
        }
        Dialled::Unreachable(causes.join("; "))
    }

    /// Looks for the one statement in a refusal that counts.
    fn judged(&self, response: Box<Response>) -> Result<Round, AgentError> {
        let Some(statement) = server::revoked_statement(&response) else {
            return Ok(Round::Refused(response));
        };
        Ok(match self.revoked(&statement)? {
            Some(end) => Round::Held(Ended::before_the_welcome(end)),
            None => Round::Refused(response),
        })
    }

    /// Takes a statement that a key is void; `None`: it is not genuine, or leaves the key in use.
    pub(crate) fn revoked(&self, statement: &str) -> Result<Option<End>, AgentError> {
        let Some(revoked) = enroll::signed(statement, &self.identity.borrow()) else { return Ok(None) };
        let left = self.keys.borrow_mut().void(&self.state, Some(self.host_id), &revoked)?;
        Ok(match left {
            Remaining::Nothing => Some(End::Revoked(Box::new(revoked))),
            Remaining::Next => Some(End::Rekeyed),
            Remaining::Current => None,
            Remaining::Both => {
                enroll::ignored();
                None
            }
        })
    }

    /// Returns the way to the server for a key, made anew when the accepted certificates changed.
    fn line(&self, chosen: &Chosen) -> Result<Rc<Server>, AgentError> {
        let key = chosen.key.thumbprint();
        let identity = self.identity.borrow();
        let held = self.keys.borrow().in_order();
        let mut lines = self.lines.borrow_mut();
        let is_held = |line: &Line| held.iter().any(|chosen| chosen.key.thumbprint() == line.key);
        lines.retain(|line| line.pins == identity.pins && is_held(line));
        if let Some(line) = lines.iter().find(|line| line.key == key) {
            return Ok(Rc::clone(&line.server));
        }
        let server = Rc::new(Server::of(&identity, Rc::clone(&chosen.key), &self.machine)?);
        lines.push(Line { key, pins: identity.pins.clone(), server: Rc::clone(&server) });
        Ok(server)
    }
}
