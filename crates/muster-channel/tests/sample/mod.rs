//! One sample of every message and both sides at every stage.
#![allow(dead_code, reason = "each test binary uses its part")]

use muster_channel::agent::{AgentChannel, Held};
use muster_channel::server::ServerChannel;
use muster_ids::{HostId, JobId, KeyThumbprint, Timestamp};
use muster_wire::bounds::Whole;
use muster_wire::channel::{
    AgentMessage, Attempt, Config, ConfigVersion, Dispatch, HelloClaims, Protocol, Report, ServerMessage,
};
use muster_wire::enroll::{Facts, Heartbeat};
use muster_wire::job::{BackupWork, JobEnd, JobOutcome, Progress, Work};
use muster_wire::text::{AbsolutePath, Hostname, Line, SecretName};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
pub(crate) const URL: &str = "https://muster.example:8643/";

pub(crate) fn host(n: u128) -> HostId {
    HostId::from_uuid(uuid::Uuid::from_u128(n))
}

pub(crate) fn attempt() -> Attempt {
    Attempt { job_id: JobId::from_uuid(uuid::Uuid::from_u128(5)), attempt: 1 }
}

pub(crate) const fn version(epoch: u32, n: u64) -> ConfigVersion {
    ConfigVersion { epoch, n }
}

pub(crate) fn config(version: ConfigVersion, digest: &str) -> Config {
    Config { version, digest: digest.to_owned(), secrets: [].into_iter().collect() }
}

pub(crate) fn report() -> Report {
    Report {
        hostname: Hostname::parse("web-1").unwrap(),
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

pub(crate) fn dispatch(to: HostId, expires_at: Timestamp) -> Dispatch {
    Dispatch {
        attempt: attempt(),
        host_id: to,
        work: Work::Backup(BackupWork {
            paths: [AbsolutePath::parse("/srv").unwrap()].into_iter().collect(),
            tags: [].into_iter().collect(),
            secret: SecretName::parse("repo").unwrap(),
        }),
        secret_version: 1,
        time_limit_secs: 60,
        expires_at,
        issued_at: None,
    }
}

pub(crate) fn claims(challenge: &str) -> HelloClaims {
    HelloClaims {
        host_id: host(1),
        challenge: challenge.into(),
        server_url: URL.into(),
        generation: None,
        boot_id: "boot".into(),
    }
}

pub(crate) fn held() -> Held {
    Held { host_id: host(1), server_url: URL.into(), generation: None, boot_id: "boot".into(), config: None }
}

/// Every message an agent can send, by its name; the acknowledgements fit [`server_at`].
pub(crate) fn agent_messages() -> Vec<(&'static str, AgentMessage)> {
    let reason = Line::parse("stopping").unwrap();
    let end = JobEnd { outcome: JobOutcome::Failed, result: None, failure: None };
    let progress = Progress { percent: Whole::clamped(5), bytes_done: 1, bytes_total: 20 };
    let attempt = attempt();
    let messages = [
        AgentMessage::Hello { proof: "p".into() },
        AgentMessage::GenerationAcknowledged { generation: "g1".into(), report: report() },
        AgentMessage::ConfigApplied { version: version(0, 3), digest: "d3".into() },
        AgentMessage::Heartbeat { heartbeat: Heartbeat::default() },
        AgentMessage::JobStarted { attempt },
        AgentMessage::JobProgress { attempt, progress },
        AgentMessage::JobLog { attempt, text: "line".into() },
        AgentMessage::JobFinished { attempt, end },
        AgentMessage::NextKey { proof: "p".into() },
        AgentMessage::PinsKept { issued_at: NOW },
        AgentMessage::Goodbye { reason },
    ];
    messages.into_iter().map(|message| (agent_name(&message), message)).collect()
}

/// A message that is added is named here, and sampled above.
fn agent_name(message: &AgentMessage) -> &'static str {
    match message {
        AgentMessage::Hello { .. } => "hello",
        AgentMessage::GenerationAcknowledged { .. } => "generation_acknowledged",
        AgentMessage::ConfigApplied { .. } => "config_applied",
        AgentMessage::Heartbeat { .. } => "heartbeat",
        AgentMessage::JobStarted { .. } => "job_started",
        AgentMessage::JobProgress { .. } => "job_progress",
        AgentMessage::JobLog { .. } => "job_log",
        AgentMessage::JobFinished { .. } => "job_finished",
        AgentMessage::NextKey { .. } => "next_key",
        AgentMessage::PinsKept { .. } => "pins_kept",
        AgentMessage::Goodbye { .. } => "goodbye",
    }
}

/// Every message a server can send, by its name.
pub(crate) fn server_messages() -> Vec<(&'static str, ServerMessage)> {
    let reason = Line::parse("restart").unwrap();
    let challenge = ServerMessage::Challenge {
        challenge: "c1".into(),
        protocol: Protocol::BEST.number(),
        server_time: NOW,
    };
    let welcome = ServerMessage::Welcome {
        generation: "g1".into(),
        heartbeat_secs: 30,
        server_time: NOW,
        reconnect_window_secs: None,
    };
    let messages = [
        challenge,
        welcome,
        ServerMessage::ConfigUpdate { config: config(version(0, 3), "d3") },
        ServerMessage::JobRun { dispatch: dispatch(host(1), NOW.plus(SOON)) },
        ServerMessage::JobRecorded { attempt: attempt() },
        ServerMessage::Revoked { statement: "s".into() },
        ServerMessage::RotateKey {},
        ServerMessage::NextKeyStored { key: key() },
        ServerMessage::Pins { statement: "s".into() },
        ServerMessage::Goodbye { reason, retry_after_secs: 5 },
    ];
    messages.into_iter().map(|message| (server_name(&message), message)).collect()
}

/// A message that is added is named here, and sampled above.
fn server_name(message: &ServerMessage) -> &'static str {
    match message {
        ServerMessage::Challenge { .. } => "challenge",
        ServerMessage::Welcome { .. } => "welcome",
        ServerMessage::ConfigUpdate { .. } => "config_update",
        ServerMessage::JobRun { .. } => "job_run",
        ServerMessage::JobRecorded { .. } => "job_recorded",
        ServerMessage::Revoked { .. } => "revoked",
        ServerMessage::RotateKey {} => "rotate_key",
        ServerMessage::NextKeyStored { .. } => "next_key_stored",
        ServerMessage::Pins { .. } => "pins",
        ServerMessage::Goodbye { .. } => "goodbye",
    }
}

fn key() -> KeyThumbprint {
    "A".repeat(43).parse().unwrap()
}

pub(crate) const SOON: std::time::Duration = std::time::Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ServerStage {
    Hello,
    Admission,
    Acknowledgement,
    Commit,
    Applied,
    Working,
}

impl ServerStage {
    pub(crate) const ALL: [Self; 6] =
        [Self::Hello, Self::Admission, Self::Acknowledgement, Self::Commit, Self::Applied, Self::Working];
}

/// The server's side waiting for the named thing: challenge `c1`, generation `g1`, configuration 0.3 `d3`.
pub(crate) fn server_at(stage: ServerStage) -> ServerChannel {
    server_of(Protocol::BEST, stage)
}

/// The same for a peer that speaks this version.
pub(crate) fn server_of(protocol: Protocol, stage: ServerStage) -> ServerChannel {
    let (mut channel, _) = ServerChannel::open(host(1), protocol, "c1".into(), NOW);
    if stage >= ServerStage::Admission {
        channel.hello(&claims("c1"), |url| url == URL).unwrap();
    }
    if stage >= ServerStage::Acknowledgement {
        channel.admitted("g1".into(), 30, 1, NOW).unwrap();
    }
    if stage >= ServerStage::Commit {
        let acknowledged = AgentMessage::GenerationAcknowledged { generation: "g1".into(), report: report() };
        channel.handle(acknowledged).unwrap();
    }
    if stage >= ServerStage::Applied {
        channel.acknowledged(config(version(0, 3), "d3"), &report()).unwrap();
    }
    if stage >= ServerStage::Working {
        channel.handle(AgentMessage::ConfigApplied { version: version(0, 3), digest: "d3".into() }).unwrap();
    }
    channel
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AgentStage {
    Challenge,
    Welcome,
    Persisting,
    Proved,
}

impl AgentStage {
    pub(crate) const ALL: [Self; 4] = [Self::Challenge, Self::Welcome, Self::Persisting, Self::Proved];
}

/// The agent's side waiting for the named thing, with this on disk.
pub(crate) fn agent_at(stage: AgentStage, held: Held) -> AgentChannel {
    let mut channel = AgentChannel::open(held);
    let messages = server_messages();
    if stage >= AgentStage::Welcome {
        channel.handle(messages[0].1.clone(), NOW).unwrap();
    }
    if stage >= AgentStage::Persisting {
        channel.handle(messages[1].1.clone(), NOW).unwrap();
    }
    if stage >= AgentStage::Proved {
        channel.generation_persisted(report()).unwrap();
    }
    channel
}
