//! Names and texts that both sides and the oracle share.

use muster_domain::generation::Generation;
use muster_ids::{AgentKeyId, HostId, JobId, KeyName, PublicId, Timestamp};
use muster_wire::bounds::Whole;
use muster_wire::channel::{Attempt, Config, ConfigVersion, DeliveredSecret, Report};
use muster_wire::enroll::Facts;
use muster_wire::job::{BackupWork, JobEnd, JobOutcome, Work};
use muster_wire::secret::Document;
use muster_wire::text::{AbsolutePath, Hostname, Line, SecretName};
use uuid::Uuid;

pub(crate) const URL: &str = "https://muster.example:8643/";
pub(crate) const BEGAN_AT: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub(crate) fn host_id(host: usize) -> HostId {
    HostId::from_uuid(Uuid::from_u128(host as u128 + 1))
}

pub(crate) fn key_of(host: usize) -> KeyName {
    KeyName::Agent(AgentKeyId::new(PublicId::from_entropy([host as u8 + 1; 16])))
}

pub(crate) fn secret_of(host: usize) -> String {
    format!("only for host {host}")
}

pub(crate) fn job_id(n: u128) -> JobId {
    JobId::from_uuid(Uuid::from_u128(n))
}

/// The generation as its machine keeps it: the server's MAC is its host in the text.
pub(crate) fn seal(host: usize, generation: Generation) -> String {
    format!("{host}:{}.{}", generation.epoch, generation.counter)
}

pub(crate) fn open(host: usize, text: &str) -> Option<Generation> {
    let (epoch, counter) = text.strip_prefix(&format!("{host}:"))?.split_once('.')?;
    Some(Generation { epoch: epoch.parse().ok()?, counter: counter.parse().ok()? })
}

/// The statement that ends a host's key: genuine only from the server.
pub(crate) fn revoked_statement(host: usize) -> String {
    format!("revoked {host}")
}

pub(crate) fn config(host: usize, version: ConfigVersion, secret_version: u64) -> Config {
    let document = serde_json::json!({ "password": secret_of(host) });
    let serde_json::Value::Object(document) = document else { panic!("an object") };
    let secret = DeliveredSecret { version: secret_version, document: Document::new(document) };
    Config {
        version,
        digest: format!("digest of {host} at {}.{}", version.epoch, version.n),
        secrets: [(SecretName::parse("repo").unwrap(), secret)].into_iter().collect(),
    }
}

pub(crate) fn work() -> Work {
    Work::Backup(BackupWork {
        paths: [AbsolutePath::parse("/srv").unwrap()].into_iter().collect(),
        tags: [].into_iter().collect(),
        secret: SecretName::parse("repo").unwrap(),
    })
}

pub(crate) fn end(outcome: JobOutcome) -> JobEnd {
    JobEnd { outcome, result: None, failure: None }
}

pub(crate) fn report(running: Vec<Attempt>) -> Report {
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
        running,
        policy: [].into_iter().collect(),
        pins_issued_at: None,
    }
}
