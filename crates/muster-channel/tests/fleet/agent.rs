//! The shell of one agent: a disk that survives, a channel that does not.

use std::time::Duration;

use muster_channel::agent::{AgentChannel, Effect, Held};
use muster_channel::backoff::Backoff;
use muster_domain::generation::Generation;
use muster_ids::{HostId, Timestamp};
use muster_wire::bounds::Whole;
use muster_wire::channel::{AgentMessage, Config, Report, ServerMessage};
use muster_wire::enroll::Facts;
use muster_wire::text::{Hostname, Line};

pub(crate) const URL: &str = "https://muster.example:8643/";

/// What survives a broken connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    /// The text form of the last generation.
    text: Option<String>,
    /// Every generation that was ever new here.
    pub(crate) generations: Vec<Generation>,
    pub(crate) config: Option<Config>,
}

impl Disk {
    pub(crate) fn generation(&self) -> Option<Generation> {
        self.text.as_deref().map(parse_generation)
    }

    fn persist(&mut self, text: String) {
        let generation = parse_generation(&text);
        if self.generation() != Some(generation) {
            self.generations.push(generation);
        }
        self.text = Some(text);
    }
}

pub(crate) fn generation_text(generation: Generation) -> String {
    format!("{}.{}", generation.epoch, generation.counter)
}

pub(crate) fn parse_generation(text: &str) -> Generation {
    let (epoch, counter) = text.split_once('.').expect("two numbers");
    Generation { epoch: epoch.parse().expect("a number"), counter: counter.parse().expect("a number") }
}

pub(crate) fn host_id(index: usize) -> HostId {
    HostId::from_uuid(uuid::Uuid::from_u128(index as u128 + 1))
}

pub(crate) fn secret_of(index: usize) -> String {
    format!("only for host {index}")
}

/// What an agent wants from its surroundings.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    Send(Box<AgentMessage>),
    /// The disk takes a moment; the connection may break meanwhile.
    Persist(Box<Pending>),
}

#[derive(Debug, Clone)]
pub(crate) enum Pending {
    Generation(String),
    Config(Config),
}

pub(crate) struct Agent {
    index: usize,
    pub(crate) disk: Disk,
    pub(crate) channel: Option<AgentChannel>,
    pub(crate) secrets_seen: Vec<String>,
    pub(crate) connected_at: Duration,
    backoff: Backoff,
    hint: Option<Duration>,
}

impl Agent {
    pub(crate) fn new(index: usize, disk: Disk) -> Self {
        Self {
            index,
            disk,
            channel: None,
            secrets_seen: Vec::new(),
            connected_at: Duration::ZERO,
            backoff: Backoff::default(),
            hint: None,
        }
    }

    pub(crate) fn dial(&mut self, at: Duration) {
        self.connected_at = at;
        self.channel = Some(AgentChannel::open(Held {
            host_id: host_id(self.index),
            server_url: URL.into(),
            generation: self.disk.text.clone(),
            boot_id: "boot".into(),
            config: self.disk.config.as_ref().map(|config| (config.version, config.digest.clone())),
        }));
    }

    /// Ends the connection and says how long to wait before the next.
    pub(crate) fn hang_up(&mut self, at: Duration, fraction: f64) -> Duration {
        self.channel = None;
        self.backoff.ended(at.saturating_sub(self.connected_at));
        self.backoff.delay(fraction, self.hint.take())
    }

    pub(crate) fn hear(&mut self, message: ServerMessage, now: Timestamp) -> Vec<Wish> {
        let channel = self.channel.as_mut().expect("it is connected");
        let effects = channel.handle(message, now).expect("the server keeps its role");
        effects.into_iter().filter_map(|effect| self.wish(effect)).collect()
    }

    fn wish(&mut self, effect: Effect) -> Option<Wish> {
        match effect {
            Effect::SignHello(claims) => {
                let proof = serde_json::to_string(&claims).expect("plain data");
                Some(Wish::Send(Box::new(AgentMessage::Hello { proof })))
            }
            Effect::PersistGeneration { generation, .. } => {
                Some(Wish::Persist(Box::new(Pending::Generation(generation))))
            }
            Effect::PersistConfig(config) => {
                let shown = config.secrets.iter().map(|(_, secret)| &secret.document);
                let values = shown.flat_map(|document| document.expose().values());
                self.secrets_seen.extend(values.filter_map(|value| value.as_str().map(str::to_owned)));
                Some(Wish::Persist(Box::new(Pending::Config(*config))))
            }
            Effect::Send(message) => Some(Wish::Send(Box::new(message))),
            Effect::ServerLeaves { retry_after_secs, .. } => {
                self.hint = Some(Duration::from_secs(retry_after_secs.into()));
                None
            }
            Effect::RunAttempt(_) | Effect::ForgetAttempt(_) | Effect::Revoked(_) => None,
            Effect::MakeNextKey { .. } | Effect::UseNextKey(_) | Effect::KeepPins(_) => {
                panic!("this server rotates nothing")
            }
        }
    }

    /// The disk is done; what is on it stays, even when the connection is gone by then.
    pub(crate) fn persisted(&mut self, pending: Pending) -> Option<AgentMessage> {
        let sent = match pending {
            Pending::Generation(text) => {
                self.disk.persist(text);
                self.channel.as_mut()?.generation_persisted(report()).expect("it was asked to persist")
            }
            Pending::Config(config) => {
                let (version, digest) = (config.version, config.digest.clone());
                self.disk.config = Some(config);
                self.channel.as_mut()?.config_persisted(version, digest)
            }
        };
        match sent {
            Effect::Send(message) => Some(message),
            other => panic!("persisting leads to {other:?}"),
        }
    }
}

fn report() -> Report {
    Report {
        hostname: Hostname::parse("web").unwrap(),
        facts: Facts {
            os: Line::parse("Debian 12").unwrap(),
            arch: Line::parse("x86_64").unwrap(),
            cpu_cores: Whole::clamped(1),
            memory_mb: Whole::clamped(1),
            disk_gb: Whole::clamped(1),
            address: None,
            versions: [].into_iter().collect(),
        },
        config_version: None,
        config_digest: None,
        running: Vec::new(),
        policy: [].into_iter().collect(),
        pins_issued_at: None,
    }
}
