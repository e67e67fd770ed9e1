//! Who may say what, when: every message at every stage of both sides (SECURITY B3, B4).

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

mod sample;

use muster_channel::agent;
use muster_channel::server::{Effect, MAX_LOG_LINE, ServerChannel, Violation};
use muster_wire::channel::{AgentMessage, Protocol, ServerMessage};
use muster_wire::parting::GoodbyeReason;
use sample::{
    AgentStage, NOW, ServerStage, URL, agent_at, agent_messages, attempt, claims, config, held, host, report,
    server_at, server_messages, server_of, version,
};

fn server_allows(stage: ServerStage, message: &str) -> bool {
    use ServerStage::{Acknowledgement, Applied};
    match message {
        "hello" => false,
        "generation_acknowledged" => stage == Acknowledgement,
        "goodbye" => stage >= Acknowledgement,
        _ => stage >= Applied,
    }
}

#[test]
fn b03_every_agent_message_at_every_stage_of_the_server() {
    for stage in ServerStage::ALL {
        for (name, message) in agent_messages() {
            for protocol in [Protocol::V1, Protocol::V2] {
                let came_with_v2 = matches!(name, "next_key" | "pins_kept");
                let answer = server_of(protocol, stage).handle(message.clone());
                if server_allows(stage, name) && !(came_with_v2 && protocol == Protocol::V1) {
                    assert!(answer.is_ok(), "{name} at {stage:?} of {protocol:?}: {answer:?}");
                } else {
                    assert_eq!(answer, Err(Violation::OutOfOrder), "{name} at {stage:?} of {protocol:?}");
                }
            }
        }
    }
}

fn agent_allows(stage: AgentStage, message: &str) -> bool {
    match message {
        "challenge" => stage == AgentStage::Challenge,
        "welcome" => stage == AgentStage::Welcome,
        "revoked" | "goodbye" => true,
        _ => stage == AgentStage::Proved,
    }
}

#[test]
fn b03_every_server_message_at_every_stage_of_the_agent() {
    for stage in AgentStage::ALL {
        for (name, message) in server_messages() {
            let answer = agent_at(stage, held()).handle(message, NOW);
            if agent_allows(stage, name) {
                assert_eq!(answer.unwrap().len(), 1, "{name} at {stage:?}");
            } else {
                assert_eq!(answer, Err(agent::Violation::OutOfOrder), "{name} at {stage:?}");
            }
        }
    }
}

/// Whoever has not seen the state cannot say that it is a copy.
#[test]
fn b23_the_word_that_a_state_is_a_copy_answers_a_hello_and_nothing_else() {
    for stage in AgentStage::ALL {
        for reason in GoodbyeReason::ALL {
            let goodbye = ServerMessage::Goodbye { reason: reason.line(), retry_after_secs: 5 };
            let is_heard = agent_at(stage, held()).handle(goodbye, NOW).is_ok();
            let is_word = matches!(reason, GoodbyeReason::GenerationStale | GoodbyeReason::Fenced);
            assert_eq!(is_heard, !is_word || stage == AgentStage::Welcome, "{reason} at {stage:?}");
        }
    }
}

#[test]
fn the_server_takes_its_own_steps_in_order_only() {
    for stage in ServerStage::ALL {
        let hello = server_at(stage).hello(&claims("c1"), |_| true);
        assert_eq!(hello.is_ok(), stage == ServerStage::Hello, "hello at {stage:?}");
        let admitted = server_at(stage).admitted("g1".into(), 30, 1, NOW);
        assert_eq!(admitted.is_ok(), stage == ServerStage::Admission, "admitted at {stage:?}");
        let acknowledged = server_at(stage).acknowledged(config(version(0, 3), "d3"), &report());
        assert_eq!(acknowledged.is_ok(), stage == ServerStage::Commit, "acknowledged at {stage:?}");
        let changed = server_at(stage).config_changed(config(version(0, 4), "d4"));
        assert_eq!(changed.is_some(), stage >= ServerStage::Applied, "config at {stage:?}");
        let work = server_at(stage).dispatch(sample::dispatch(host(1), NOW));
        assert_eq!(work.is_some(), stage == ServerStage::Working, "work at {stage:?}");
        assert_eq!(server_at(stage).is_proved(), stage >= ServerStage::Acknowledgement);
        assert_eq!(server_at(stage).is_in_handshake(), stage < ServerStage::Applied);
    }
    for stage in AgentStage::ALL {
        let persisted = agent_at(stage, held()).generation_persisted(report());
        assert_eq!(persisted.is_ok(), stage == AgentStage::Persisting, "persisted at {stage:?}");
        assert_eq!(agent_at(stage, held()).is_proved(), stage == AgentStage::Proved);
    }
}

/// SECURITY B4: the hello names this host, answers this challenge and was signed for this server.
#[test]
fn b04_a_hello_for_anything_else_is_refused() {
    let ours = |url: &str| url == URL;
    let good = claims("c1");
    let foreign = [
        (muster_wire::channel::HelloClaims { host_id: host(2), ..good.clone() }, Violation::ForeignHost),
        (claims("c2"), Violation::ForeignChallenge),
        (claims(""), Violation::ForeignChallenge),
        (
            muster_wire::channel::HelloClaims { server_url: "https://evil.example/".into(), ..good.clone() },
            Violation::ForeignServer,
        ),
    ];
    for (claims, expected) in foreign {
        let mut channel = server_at(ServerStage::Hello);
        assert_eq!(channel.hello(&claims, ours), Err(expected));
        assert!(!channel.is_proved());
        assert!(channel.admitted("g1".into(), 30, 1, NOW).is_err(), "a refused hello opened the channel");
    }
    let mut channel = server_at(ServerStage::Hello);
    channel.hello(&good, ours).unwrap();
    assert_eq!(channel.hello(&good, ours), Err(Violation::OutOfOrder));
}

/// A recorded handshake played again, at once or later, meets another challenge and gets no frame but that.
#[test]
fn b29_a_replayed_hello_answers_a_challenge_that_is_gone() {
    let (mut first, opened) = ServerChannel::open(host(1), Protocol::BEST, "c1".into(), NOW);
    assert!(matches!(opened, ServerMessage::Challenge { .. }));
    let recorded = claims("c1");
    first.hello(&recorded, |_| true).unwrap();
    let (mut second, opened) = ServerChannel::open(host(1), Protocol::BEST, "c2".into(), NOW);
    assert!(matches!(opened, ServerMessage::Challenge { challenge, .. } if challenge == "c2"));
    assert_eq!(second.hello(&recorded, |_| true), Err(Violation::ForeignChallenge));
    for (name, message) in agent_messages() {
        assert!(second.handle(message).is_err(), "{name} passed after a replayed hello");
    }
    assert!(second.config_changed(config(version(0, 3), "d3")).is_none());
    assert!(second.dispatch(sample::dispatch(host(1), NOW)).is_none());
}

#[test]
fn only_the_issued_generation_is_acknowledged() {
    let acknowledged = |generation: &str| AgentMessage::GenerationAcknowledged {
        generation: generation.into(),
        report: report(),
    };
    let mut channel = server_at(ServerStage::Acknowledgement);
    assert_eq!(channel.handle(acknowledged("g0")), Err(Violation::ForeignGeneration));
    assert_eq!(channel.handle(acknowledged("")), Err(Violation::ForeignGeneration));
    let effects = channel.handle(acknowledged("g1")).unwrap();
    assert!(matches!(&effects[..], [Effect::CommitGeneration { generation, .. }] if generation == "g1"));
    assert_eq!(channel.handle(acknowledged("g1")), Err(Violation::OutOfOrder));
}

#[test]
fn another_version_of_the_channel_is_refused_before_anything_is_signed() {
    for protocol in [0, Protocol::BEST.number() + 1, u32::MAX] {
        let mut channel = agent_at(AgentStage::Challenge, held());
        let challenge = ServerMessage::Challenge { challenge: "c1".into(), protocol, server_time: NOW };
        assert_eq!(channel.handle(challenge, NOW), Err(agent::Violation::Protocol));
    }
}

#[test]
fn the_agent_signs_exactly_what_it_holds() {
    let held = agent::Held { generation: Some("g0".into()), ..held() };
    let mut channel = agent_at(AgentStage::Challenge, held);
    let effects = channel.handle(server_messages().remove(0).1, NOW).unwrap();
    let expected = muster_wire::channel::HelloClaims { generation: Some("g0".into()), ..claims("c1") };
    assert_eq!(effects, [agent::Effect::SignHello(expected)]);
}

#[test]
fn b08_a_log_line_is_bounded_and_obeyed_by_no_terminal() {
    let log = |text: String| {
        server_at(ServerStage::Working).handle(AgentMessage::JobLog { attempt: attempt(), text })
    };
    assert!(log("x".repeat(MAX_LOG_LINE)).is_ok());
    assert_eq!(log("x".repeat(MAX_LOG_LINE + 1)), Err(Violation::TooLong));
    let recorded = log("a\u{1b}[31m\u{0}b\r\nc\u{9b}0m ü".into()).unwrap();
    assert_eq!(recorded, [Effect::RecordLog(attempt(), "a [31m b  c 0m ü".into())]);
}
