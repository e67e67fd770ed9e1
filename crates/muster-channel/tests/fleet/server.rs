//! The shell of the server: rows that survive, channels that do not.

use std::collections::BTreeMap;

use muster_channel::server::{Effect, ServerChannel};
use muster_domain::generation::{Generation, Judgement, Known, judge};
use muster_ids::{HostId, Timestamp};
use muster_wire::channel::{
    AgentMessage, Config, ConfigVersion, DeliveredSecret, Dispatch, HelloClaims, Protocol, ServerMessage,
};
use muster_wire::job::{BackupWork, Work};
use muster_wire::secret::Document;
use muster_wire::text::{AbsolutePath, SecretName};

use crate::agent::{URL, generation_text, host_id, parse_generation, secret_of};

/// What the database keeps of one host.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) committed: Generation,
    pub(crate) issued: Option<Generation>,
    pub(crate) commits: Vec<Generation>,
    pub(crate) welcomes: usize,
    pub(crate) config: Config,
    pub(crate) applied: Option<ConfigVersion>,
}

impl Row {
    fn commit(&mut self, generation: Generation) {
        if generation > self.committed {
            self.committed = generation;
            self.commits.push(generation);
        }
        if self.issued == Some(generation) {
            self.issued = None;
        }
    }
}

struct Connection {
    index: usize,
    channel: ServerChannel,
}

#[derive(Default)]
pub(crate) struct Server {
    pub(crate) rows: Vec<Row>,
    connections: BTreeMap<u64, Connection>,
    pub(crate) stale: usize,
}

fn config_of(index: usize, n: u64) -> Config {
    let document = serde_json::json!({ "password": secret_of(index) });
    let serde_json::Value::Object(document) = document else { panic!("an object") };
    let secret = DeliveredSecret { version: n, document: Document::new(document) };
    Config {
        version: ConfigVersion { epoch: 0, n },
        digest: format!("digest of {index} at {n}"),
        secrets: [(SecretName::parse("repo").unwrap(), secret)].into_iter().collect(),
    }
}

impl Server {
    pub(crate) fn with_hosts(count: usize) -> Self {
        let row = |index| Row {
            committed: Generation::ZERO,
            issued: None,
            commits: Vec::new(),
            welcomes: 0,
            config: config_of(index, 1),
            applied: None,
        };
        Self { rows: (0..count).map(row).collect(), ..Self::default() }
    }

    pub(crate) fn accept(&mut self, connection: u64, index: usize, now: Timestamp) -> ServerMessage {
        let challenge = format!("challenge {connection}");
        let (channel, first) = ServerChannel::open(host_id(index), Protocol::BEST, challenge, now);
        self.connections.insert(connection, Connection { index, channel });
        first
    }

    pub(crate) fn drop_connection(&mut self, connection: u64) {
        self.connections.remove(&connection);
    }

    pub(crate) fn drop_all(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.connections).into_keys().collect()
    }

    pub(crate) fn is_working(&self, index: usize) -> bool {
        self.connections
            .values()
            .any(|open| open.index == index && open.channel.dispatch(a_dispatch(host_id(index))).is_some())
    }

    /// Changes one host's configuration and pushes it where a channel is open.
    pub(crate) fn change_config(&mut self, index: usize) -> Vec<(u64, ServerMessage)> {
        let row = &mut self.rows[index];
        row.config = config_of(index, row.config.version.n + 1);
        row.applied = None;
        let config = row.config.clone();
        let open = self.connections.iter_mut().filter(|(_, open)| open.index == index);
        open.filter_map(|(id, open)| match open.channel.config_changed(config.clone()) {
            Some(Effect::Send(message)) => Some((*id, message)),
            _ => None,
        })
        .collect()
    }

    /// Takes a frame; `None` closes the connection.
    pub(crate) fn hear(
        &mut self,
        connection: u64,
        message: AgentMessage,
        now: Timestamp,
    ) -> Option<Vec<ServerMessage>> {
        let open = self.connections.get_mut(&connection)?;
        let row = &mut self.rows[open.index];
        if let AgentMessage::Hello { proof } = &message {
            let claims: HelloClaims = serde_json::from_str(proof).expect("the agent signs claims");
            open.channel.hello(&claims, |url| url == URL).expect("the hello answers this challenge");
            let Some(issue) = admit(row, claims.generation.as_deref()) else {
                self.stale += 1;
                return None;
            };
            row.welcomes += 1;
            let welcome = open.channel.admitted(generation_text(issue), 30, 1, now).expect("it was judged");
            return Some(vec![welcome]);
        }
        let mut sent = Vec::new();
        let mut effects = open.channel.handle(message).expect("the agent keeps its role");
        while let Some(effect) = effects.pop() {
            match effect {
                Effect::CommitGeneration { generation, report } => {
                    row.commit(parse_generation(&generation));
                    let config = row.config.clone();
                    effects.extend(open.channel.acknowledged(config, &report).expect("it was committed"));
                }
                Effect::Send(message) => {
                    if matches!(message, ServerMessage::ConfigUpdate { .. }) {
                        assert!(row.issued.is_none(), "a secret before the generation was committed");
                    }
                    sent.push(message);
                }
                Effect::RecordApplied { version } => row.applied = Some(version),
                _ => {}
            }
        }
        Some(sent)
    }

    /// Takes the news that a frame would reach an agent; only the challenge may, before the hello.
    pub(crate) fn may_send(&self, connection: u64, message: &ServerMessage) -> bool {
        let is_proved = self.connections.get(&connection).is_some_and(|open| open.channel.is_proved());
        is_proved || matches!(message, ServerMessage::Challenge { .. } | ServerMessage::Goodbye { .. })
    }
}

/// One transaction: judges the generation and remembers what is issued.
fn admit(row: &mut Row, presented: Option<&str>) -> Option<Generation> {
    let known = Known { committed: row.committed, issued: row.issued };
    match judge(presented.map(parse_generation), &known, 0) {
        Judgement::Current { holds, issue } => {
            row.commit(holds);
            row.issued = Some(issue);
            Some(issue)
        }
        Judgement::ServerLostState { .. } => panic!("this server never lost state"),
        Judgement::Stale => None,
    }
}

fn a_dispatch(host_id: HostId) -> Dispatch {
    Dispatch {
        attempt: muster_wire::channel::Attempt {
            job_id: muster_ids::JobId::from_uuid(uuid::Uuid::from_u128(1)),
            attempt: 1,
        },
        host_id,
        work: Work::Backup(BackupWork {
            paths: [AbsolutePath::parse("/srv").unwrap()].into_iter().collect(),
            tags: [].into_iter().collect(),
            secret: SecretName::parse("repo").unwrap(),
        }),
        secret_version: 1,
        time_limit_secs: 60,
        issued_at: None,
        expires_at: Timestamp::from_millis(0),
    }
}
