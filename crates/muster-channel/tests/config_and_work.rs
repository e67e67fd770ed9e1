//! Configuration versions and dispatches on both sides (DESIGN §5, SECURITY B29).

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

mod sample;

use std::time::Duration;

use muster_channel::agent::{self, Held};
use muster_channel::server::{Effect, Violation};
use muster_wire::channel::{AgentMessage, ConfigVersion, Report, ServerMessage};
use sample::{
    AgentStage, NOW, ServerStage, agent_at, config, dispatch, held, host, report, server_at, version,
};

enum Expected {
    Refused,
    Confirmed,
    Applied,
}

#[track_caller]
fn check_agent(holds: Option<(ConfigVersion, &str)>, gets: (ConfigVersion, &str), expected: &Expected) {
    let held = Held { config: holds.map(|(version, digest)| (version, digest.to_owned())), ..held() };
    let mut channel = agent_at(AgentStage::Proved, held);
    let update = config(gets.0, gets.1);
    let effects = channel.handle(ServerMessage::ConfigUpdate { config: update.clone() }, NOW).unwrap();
    let expected = match expected {
        Expected::Refused => vec![],
        Expected::Confirmed => {
            vec![agent::Effect::Send(AgentMessage::ConfigApplied { version: gets.0, digest: gets.1.into() })]
        }
        Expected::Applied => vec![agent::Effect::PersistConfig(Box::new(update))],
    };
    assert_eq!(effects, expected);
}

#[test]
fn a_lower_version_is_refused_and_another_digest_is_applied() {
    let five = Some((version(1, 5), "d5"));
    check_agent(None, (version(0, 0), "d0"), &Expected::Applied);
    check_agent(five, (version(1, 4), "d4"), &Expected::Refused);
    check_agent(five, (version(1, 4), "d5"), &Expected::Refused);
    check_agent(five, (version(0, 9), "d9"), &Expected::Refused);
    check_agent(five, (version(1, 5), "d5"), &Expected::Confirmed);
    check_agent(five, (version(1, 5), "other"), &Expected::Applied);
    check_agent(five, (version(1, 6), "d5"), &Expected::Applied);
    check_agent(five, (version(2, 0), "d0"), &Expected::Applied);
}

#[test]
fn a_configuration_is_acknowledged_only_when_it_is_on_disk() {
    let mut channel = agent_at(AgentStage::Proved, held());
    let update = |n, digest| ServerMessage::ConfigUpdate { config: config(version(0, n), digest) };
    let effects = channel.handle(update(3, "d3"), NOW).unwrap();
    assert!(matches!(effects[..], [agent::Effect::PersistConfig(_)]));
    let again = channel.handle(update(3, "d3"), NOW).unwrap();
    assert!(matches!(again[..], [agent::Effect::PersistConfig(_)]), "it was confirmed before it was on disk");
    let sent = channel.config_persisted(version(0, 3), "d3".into());
    let applied = AgentMessage::ConfigApplied { version: version(0, 3), digest: "d3".into() };
    assert_eq!(sent, agent::Effect::Send(applied.clone()));
    assert_eq!(channel.handle(update(3, "d3"), NOW).unwrap(), [agent::Effect::Send(applied)]);
    assert_eq!(channel.handle(update(2, "d2"), NOW).unwrap(), []);
}

#[test]
fn the_report_names_the_configuration_on_disk() {
    let held = Held { config: Some((version(0, 3), "d3".into())), ..held() };
    let mut channel = agent_at(AgentStage::Persisting, held);
    let agent::Effect::Send(AgentMessage::GenerationAcknowledged { generation, report }) =
        channel.generation_persisted(report()).unwrap()
    else {
        panic!("the generation was not acknowledged")
    };
    assert_eq!(generation, "g1");
    assert_eq!((report.config_version, report.config_digest.as_deref()), (Some(version(0, 3)), Some("d3")));
}

#[track_caller]
fn check_server(reported: Option<(ConfigVersion, &str)>, has_it: bool) {
    let mut channel = server_at(ServerStage::Commit);
    let report = Report {
        config_version: reported.map(|(version, _)| version),
        config_digest: reported.map(|(_, digest)| digest.to_owned()),
        ..report()
    };
    let desired = config(version(1, 5), "d5");
    let effects = channel.acknowledged(desired.clone(), &report).unwrap();
    let expected = if has_it {
        vec![Effect::RecordApplied { version: version(1, 5) }, Effect::ReadyForWork]
    } else {
        vec![Effect::Send(ServerMessage::ConfigUpdate { config: desired })]
    };
    assert_eq!(effects, expected);
    assert_eq!(channel.dispatch(dispatch(host(1), NOW)).is_some(), has_it, "work before the configuration");
}

#[test]
fn a_configuration_is_sent_unless_that_very_one_was_reported() {
    check_server(Some((version(1, 5), "d5")), true);
    check_server(None, false);
    check_server(Some((version(1, 5), "other")), false);
    check_server(Some((version(1, 4), "d5")), false);
    check_server(Some((version(0, 5), "d5")), false);
    check_server(Some((version(1, 6), "d6")), false);
}

fn applied(n: u64, digest: &str) -> AgentMessage {
    AgentMessage::ConfigApplied { version: version(0, n), digest: digest.into() }
}

#[test]
fn only_what_was_sent_can_have_been_applied() {
    for (n, digest, expected) in [
        (2, "d2", Ok(vec![])),
        (3, "d3", Ok(vec![Effect::RecordApplied { version: version(0, 3) }, Effect::ReadyForWork])),
        (3, "other", Err(Violation::ForeignConfig)),
        (4, "d4", Err(Violation::ForeignConfig)),
    ] {
        assert_eq!(server_at(ServerStage::Applied).handle(applied(n, digest)), expected, "{n} {digest}");
    }
    for (n, digest, expected) in
        [(2, "d2", Ok(vec![])), (3, "d3", Ok(vec![])), (4, "d4", Err(Violation::ForeignConfig))]
    {
        assert_eq!(server_at(ServerStage::Working).handle(applied(n, digest)), expected, "{n} {digest}");
    }
}

#[test]
fn a_newer_push_overtakes_an_older_acknowledgement() {
    let mut channel = server_at(ServerStage::Applied);
    let newer = channel.config_changed(config(version(0, 4), "d4")).unwrap();
    assert!(matches!(newer, Effect::Send(ServerMessage::ConfigUpdate { .. })));
    assert_eq!(channel.handle(applied(3, "d3")), Ok(vec![]));
    assert!(channel.dispatch(dispatch(host(1), NOW)).is_none(), "work before the newer configuration");
    assert_eq!(channel.handle(applied(4, "d4")).unwrap().last(), Some(&Effect::ReadyForWork));
    assert!(channel.dispatch(dispatch(host(1), NOW)).is_some());
    channel.config_changed(config(version(0, 5), "d5")).unwrap();
    assert!(channel.dispatch(dispatch(host(1), NOW)).is_none(), "work while a configuration is on its way");
}

#[test]
fn b29_a_lapsed_dispatch_does_nothing_and_a_foreign_one_closes() {
    let run = |to, expires_at| {
        let message = ServerMessage::JobRun { dispatch: dispatch(host(to), expires_at) };
        agent_at(AgentStage::Proved, held()).handle(message, NOW)
    };
    let soon = NOW.plus(Duration::from_millis(1));
    assert!(matches!(run(1, soon).unwrap()[..], [agent::Effect::RunAttempt(_)]));
    assert_eq!(run(1, NOW).unwrap(), []);
    assert_eq!(run(1, NOW.minus(Duration::from_secs(3600))).unwrap(), []);
    assert_eq!(run(2, soon), Err(agent::Violation::ForeignHost));
    assert_eq!(run(2, NOW), Err(agent::Violation::ForeignHost));
}
