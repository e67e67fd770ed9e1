//! A whole conversation of an agent with the server's side of a channel.

use muster_channel::server::{Effect, MAX_LOG_LINE, ServerChannel};
use muster_ids::{HostId, Timestamp};
use muster_wire::Object;
use muster_wire::channel::{
    AgentMessage, Config, ConfigVersion, HelloClaims, MAX_FRAME, MAX_FRAME_BEFORE_HELLO, Protocol,
    ServerMessage,
};
use uuid::Uuid;

use crate::taken::Taken;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const CHALLENGE: &str = "challenge";
const GENERATION: &str = "generation-2";
const URL: &str = "https://muster.example/";

/// The host of both conversations: what the seeds name.
pub(crate) fn host() -> HostId {
    HostId::from_uuid(Uuid::from_u128(1))
}

pub(crate) fn config(n: u64) -> Config {
    let version = ConfigVersion { epoch: 0, n };
    Config { version, digest: format!("digest-{n}"), secrets: [].into_iter().collect() }
}

struct Conversation {
    channel: ServerChannel,
    protocol: Protocol,
    is_committed: bool,
    /// The configuration that was sent last, or that the agent brought.
    sent: Option<u64>,
    is_applied: bool,
}

/// Whatever an agent says, line by line: nothing of its host leaves before the generation it was given is committed,
/// no work before its configuration is confirmed, and it ends at the first word out of place.
pub fn server_channel(data: &[u8]) {
    let mut taken = Taken::from(data);
    let protocol = if taken.byte() & 1 == 0 { Protocol::V2 } else { Protocol::V1 };
    let (channel, first) = ServerChannel::open(host(), protocol, CHALLENGE.to_owned(), NOW);
    assert!(matches!(first, ServerMessage::Challenge { .. }));
    let mut conversation =
        Conversation { channel, protocol, is_committed: false, sent: None, is_applied: false };
    for line in taken.rest().split(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else { return };
        // A push in between is the server's own doing.
        let ended = match line {
            "push" => conversation.push(),
            line => conversation.hear(line),
        };
        if ended.is_none() {
            return;
        }
        conversation.check_what_may_be_sent();
    }
}

impl Conversation {
    fn push(&mut self) -> Option<()> {
        let n = self.sent.unwrap_or(0) + 1;
        let effect = self.channel.config_changed(config(n));
        assert_eq!(effect.is_some(), self.is_committed, "a configuration at the wrong time");
        if effect.is_some() {
            self.sent = Some(n);
            self.is_applied = false;
        }
        Some(())
    }

    fn hear(&mut self, line: &str) -> Option<()> {
        let limit = if self.channel.is_proved() { MAX_FRAME } else { MAX_FRAME_BEFORE_HELLO };
        if line.len() > limit {
            return None;
        }
        let Object(message) = serde_json::from_str::<Object<AgentMessage>>(line).ok()?;
        if let AgentMessage::Hello { proof } = &message {
            let Object(claims) = serde_json::from_str::<Object<HelloClaims>>(proof).ok()?;
            self.channel.hello(&claims, |url| url == URL).ok()?;
            assert_eq!(claims.host_id, host(), "a hello of another host");
            assert_eq!(claims.challenge, CHALLENGE, "a hello of another channel");
            let welcome = self.channel.admitted(GENERATION.to_owned(), 30, 60, NOW).expect("it said hello");
            assert!(matches!(welcome, ServerMessage::Welcome { .. }));
            return Some(());
        }
        let was_proved = self.channel.is_proved();
        let effects = self.channel.handle(message).ok()?;
        assert!(was_proved, "something was done before the hello");
        for effect in effects {
            self.follow(effect);
        }
        Some(())
    }

    fn follow(&mut self, effect: Effect) {
        match effect {
            Effect::CommitGeneration { generation, report } => {
                assert_eq!(generation, GENERATION, "another generation was committed");
                assert!(!self.is_committed, "a generation was committed twice");
                self.is_committed = true;
                self.sent = Some(1);
                let effects = self.channel.acknowledged(config(1), &report).expect("it was committed");
                effects.into_iter().for_each(|effect| self.follow(effect));
            }
            Effect::Send(ServerMessage::ConfigUpdate { config }) => {
                assert!(self.is_committed, "a secret before the generation was committed");
                assert_eq!(Some(config.version.n), self.sent);
            }
            Effect::Send(other) => panic!("sent {other:?}"),
            Effect::RecordApplied { version } => {
                assert_eq!(Some(version.n), self.sent, "another configuration counts as applied");
                self.is_applied = true;
            }
            Effect::ReadyForWork => assert!(self.is_applied, "work before the configuration"),
            Effect::RecordLog(_, line) => {
                assert!(self.is_committed && line.len() <= MAX_LOG_LINE);
                assert!(!line.chars().any(char::is_control), "{line:?} commands a terminal");
            }
            Effect::StoreNextKey { challenge, .. } => {
                assert!(self.is_committed && self.protocol >= Protocol::V2);
                assert_eq!(challenge, CHALLENGE, "a next key of another channel");
            }
            Effect::RecordGoodbye(_) => {}
            _ => assert!(self.is_committed, "something was recorded before the generation was committed"),
        }
    }

    fn check_what_may_be_sent(&self) {
        let pins = self.channel.pins("statement".to_owned());
        let next_key = self.channel.ask_for_next_key();
        let knows_them = self.is_committed && self.protocol >= Protocol::V2;
        assert_eq!((pins.is_some(), next_key.is_some()), (knows_them, knows_them));
        let work = self.channel.dispatch(crate::agent_channel::dispatch(host(), NOW));
        assert_eq!(work.is_some(), self.is_committed && self.is_applied, "work at the wrong time");
    }
}
