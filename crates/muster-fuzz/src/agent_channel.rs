//! A whole conversation of a server with the agent's side of a channel.

use muster_channel::agent::{AgentChannel, Effect, Held};
use muster_ids::{HostId, JobId, Timestamp};
use muster_wire::Object;
use muster_wire::bounds::Whole;
use muster_wire::channel::{
    AgentMessage, Attempt, ConfigVersion, Dispatch, MAX_FRAME, Report, ServerMessage,
};
use muster_wire::enroll::Facts;
use muster_wire::job::{BackupWork, Work};
use muster_wire::text::{AbsolutePath, Hostname, Line, SecretName};
use uuid::Uuid;

use crate::server_channel::host;
use crate::taken::Taken;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const URL: &str = "https://muster.example/";

/// A dispatch, for whoever needs one.
pub(crate) fn dispatch(host_id: HostId, now: Timestamp) -> Dispatch {
    let path = AbsolutePath::parse("/srv").expect("a path");
    Dispatch {
        attempt: Attempt { job_id: JobId::from_uuid(Uuid::from_u128(1)), attempt: 1 },
        host_id,
        work: Work::Backup(BackupWork {
            paths: [path].into_iter().collect(),
            tags: [].into_iter().collect(),
            secret: SecretName::parse("repo").expect("a name"),
        }),
        secret_version: 1,
        time_limit_secs: 60,
        issued_at: Some(now),
        expires_at: now.plus(std::time::Duration::from_secs(60)),
    }
}

fn report() -> Report {
    let line = |text| Line::parse(text).expect("a line");
    Report {
        hostname: Hostname::parse("web").expect("a name"),
        facts: Facts {
            os: line("Debian 12"),
            arch: Line::parse("x86_64").expect("a line"),
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

struct Conversation {
    channel: AgentChannel,
    challenge: Option<String>,
    generation: Option<String>,
    config: Option<ConfigVersion>,
}

/// Whatever a server says, line by line: the agent signs one challenge, acknowledges what is on its disk, never goes
/// back to an older configuration, and begins no work that is foreign or lapsed.
pub fn agent_channel(data: &[u8]) {
    let mut taken = Taken::from(data);
    let held = (taken.byte() & 1 == 0).then_some(ConfigVersion { epoch: 0, n: 2 });
    let channel = AgentChannel::open(Held {
        host_id: host(),
        server_url: URL.to_owned(),
        generation: Some("generation-1".to_owned()),
        boot_id: "boot".to_owned(),
        config: held.map(|version| (version, "digest-2".to_owned())),
    });
    let mut conversation = Conversation { channel, challenge: None, generation: None, config: held };
    for line in taken.rest().split(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else { return };
        if line.len() > MAX_FRAME || conversation.hear(line).is_none() {
            return;
        }
    }
}

impl Conversation {
    fn hear(&mut self, line: &str) -> Option<()> {
        let Object(message) = serde_json::from_str::<Object<ServerMessage>>(line).ok()?;
        let effects = self.channel.handle(message.clone(), NOW).ok()?;
        for effect in effects {
            self.follow(&message, effect)?;
        }
        Some(())
    }

    fn follow(&mut self, cause: &ServerMessage, effect: Effect) -> Option<()> {
        let is_proved = self.channel.is_proved();
        match effect {
            Effect::SignHello(claims) => {
                assert!(self.challenge.is_none(), "a second challenge was signed");
                assert_eq!((claims.host_id, claims.server_url.as_str()), (host(), URL));
                self.challenge = Some(claims.challenge);
            }
            Effect::PersistGeneration { generation, .. } => {
                assert!(self.challenge.is_some() && self.generation.is_none(), "a second welcome");
                self.generation = Some(generation.clone());
                let sent = self.channel.generation_persisted(report()).expect("it was asked to persist");
                let Effect::Send(AgentMessage::GenerationAcknowledged { generation: told, .. }) = sent else {
                    panic!("acknowledged with {sent:?}");
                };
                assert_eq!(told, generation);
            }
            Effect::PersistConfig(config) => {
                assert!(is_proved, "a configuration before the welcome");
                assert!(self.config.is_none_or(|held| config.version >= held), "an older configuration");
                self.config = Some(config.version);
                self.channel.config_persisted(config.version, config.digest.clone());
            }
            Effect::Send(AgentMessage::ConfigApplied { version, .. }) => {
                assert_eq!(Some(version), self.config, "confirmed what is not on disk");
            }
            Effect::Send(other) => panic!("said {other:?}"),
            Effect::RunAttempt(dispatch) => {
                assert!(is_proved, "work before the welcome");
                assert_eq!(dispatch.host_id, host(), "another host's work");
                assert!(dispatch.expires_at > NOW, "work that lapsed");
            }
            Effect::MakeNextKey { challenge } => {
                assert!(is_proved);
                assert_eq!(Some(challenge), self.challenge, "a next key for another channel");
            }
            Effect::ForgetAttempt(_) | Effect::UseNextKey(_) | Effect::KeepPins(_) => assert!(is_proved),
            Effect::Revoked(_) => assert!(matches!(cause, ServerMessage::Revoked { .. })),
            Effect::ServerLeaves { .. } => return None,
        }
        Some(())
    }
}
