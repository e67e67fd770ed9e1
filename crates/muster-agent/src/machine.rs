//! What surrounds the agent: the machine's files and clock, its way to the server, and how long it waits.

use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_client::{Dialer, ProxyRules, Timeouts};
use muster_edge::{Clock, Entropy};
use muster_ids::MachineUid;
use muster_wire::enroll::Facts;
use url::Url;

use crate::error::AgentError;
use crate::origin::{self, Place};
use crate::restic::{Limits, Restic};
use crate::state::{IdentityState, StateDir, StateError};
use crate::{facts, machine_uid};

/// How long `restic version` may take before the agent reports none.
const VERSION_WITHIN: Duration = Duration::from_secs(5);

/// The machine the agent runs on.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its root folder: `/` except in tests.
    pub root: PathBuf,
    /// Its owner's policy.
    pub policy: PathBuf,
    /// Its restic: a path, or a name to look up in `PATH`.
    pub restic: PathBuf,
    /// Where its install id lies; `None`: beside the state folder.
    pub install_id: Option<PathBuf>,
    /// Its clock.
    pub clock: Clock,
    /// The proxy on the way to the server.
    pub proxy: ProxyRules,
    /// How long the agent waits.
    pub pace: Pace,
}

/// How long the agent waits, and how often it tries.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Each step of a request.
    pub timeouts: Timeouts,
    /// How often `join` asks again after a lost reply or a short `Retry-After`.
    pub tries: u32,
    /// The longest `Retry-After` that `join` waits out by itself.
    pub patience: Duration,
    /// Between two polls after a refusal that only a person can lift.
    pub refused_every: Duration,
    /// Between two pings.
    pub ping_every: Duration,
    /// Without a frame, before a channel counts as dead.
    pub dead_after: Duration,
    /// From the open socket to the welcome.
    pub welcome_within: Duration,
    /// For jobs and last words when the agent is stopped.
    pub stop_within: Duration,
    /// Multiplies every wait between two tries: 1 except in tests.
    pub scale: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            tries: 5,
            patience: Duration::from_secs(10),
            refused_every: Duration::from_secs(600),
            ping_every: Duration::from_secs(20),
            dead_after: Duration::from_secs(60),
            welcome_within: Duration::from_secs(30),
            stop_within: Duration::from_secs(5),
            scale: 1.0,
        }
    }
}

impl Pace {
    /// Lets `wait` go by, scaled.
    pub async fn wait(&self, wait: Duration) {
        tokio::time::sleep(wait.mul_f64(self.scale)).await;
    }

    /// Adds up to a quarter to `wait`, so that machines told the same do not come back together.
    pub fn jittered(&self, wait: Duration) -> Duration {
        wait + wait.mul_f64(Entropy.fraction() / 4.0)
    }
}

impl Machine {
    /// This machine, with the proxy of the environment and the usual waits.
    pub fn here(policy: PathBuf, restic: PathBuf) -> Result<Self, AgentError> {
        let proxy = ProxyRules::from_env().map_err(|cause| AgentError::Setting(cause.into()))?;
        Ok(Self::behind(proxy, policy, restic))
    }

    /// This machine behind a proxy, with the usual waits.
    pub fn behind(proxy: ProxyRules, policy: PathBuf, restic: PathBuf) -> Self {
        Self {
            root: PathBuf::from("/"),
            policy,
            restic,
            install_id: None,
            clock: Clock::system(),
            proxy,
            pace: Pace::default(),
        }
    }

    /// Tells whether this machine takes the server's certificate by its name and its own trust store: who gives pins up for
    /// one that it does not take never comes back.
    pub async fn takes_without_pins(&self, url: &Url) -> Result<(), AgentError> {
        self.dialer(&[])?.connect(url).await.map(drop).map_err(AgentError::Setting)
    }

    /// Makes the dialer for these pins.
    pub fn dialer(&self, pins: &[String]) -> Result<Dialer, AgentError> {
        Dialer::new(pins, self.proxy.clone(), self.pace.timeouts).map_err(AgentError::Setting)
    }

    /// Reads the facts, with the version of restic if it is installed.
    pub async fn facts(&self, state: &StateDir) -> Facts {
        let limits = Limits { answer: VERSION_WITHIN, ..Limits::default() };
        let version = self.restic_with(state, limits).version().await;
        facts::read(&self.root, version.ok().as_deref())
    }

    /// Returns this machine's restic; its cache lies beside the state, in a folder of its own.
    pub fn restic_with(&self, state: &StateDir, limits: Limits) -> Restic {
        Restic { program: self.restic.clone(), cache: state.path().join("restic-cache"), limits }
    }

    /// Returns the name this machine reports.
    pub fn hostname(&self, identity: &IdentityState) -> muster_wire::text::Hostname {
        identity.hostname.clone().unwrap_or_else(|| facts::hostname(&self.root))
    }

    /// Chooses the machine uid; the random bytes of the last source are made once and kept.
    pub fn uid(&self, state: &StateDir, given: Option<&str>) -> Result<MachineUid, StateError> {
        let random = match state.uid_random()? {
            Some(random) => random,
            None => {
                let random = Entropy.bytes::<32>();
                state.store_uid_random(&random)?;
                random
            }
        };
        Ok(machine_uid::choose(&machine_uid::Sources::read(&self.root), given, &random))
    }

    /// Returns which machine and installation this is, as far as it can be told without writing.
    pub fn place(&self, state: &StateDir) -> Result<Place, StateError> {
        Ok(Place {
            hardware: self.uid(state, None)?,
            install: origin::read(&self.install_path(state.path())),
        })
    }

    /// Returns which machine and installation this is; the install id is made if there is none.
    pub fn settled(&self, state: &StateDir) -> Result<Place, StateError> {
        let place = self.place(state)?;
        if place.install.is_some() {
            return Ok(place);
        }
        let path = self.install_path(state.path());
        let install = origin::make(&path).unwrap_or_else(|cause| {
            tracing::warn!(
                "the install id {} could not be written ({cause}): a copy of the state folder is found out later",
                path.display()
            );
            None
        });
        Ok(Place { install, ..place })
    }

    fn install_path(&self, folder: &Path) -> PathBuf {
        self.install_id.clone().unwrap_or_else(|| origin::beside(folder))
    }

    /// Names this start of the machine.
    pub fn boot_id(&self) -> String {
        let read = std::fs::read_to_string(self.root.join("proc/sys/kernel/random/boot_id"));
        let line = read.ok().and_then(|text| crate::visible::line::<64>(&text));
        line.map_or_else(|| "unknown".to_owned(), |line| line.to_string())
    }
}
