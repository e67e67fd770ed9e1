use std::time::Duration;

use muster_ids::JobId;
use muster_wire::bounds::Whole;
use muster_wire::channel::{AgentMessage, Attempt};
use muster_wire::job::Progress;

use super::failed;
use super::reports::Reports;

fn attempt(n: u128) -> Attempt {
    Attempt { job_id: JobId::from_uuid(uuid::Uuid::from_u128(n)), attempt: 1 }
}

fn line(n: usize) -> AgentMessage {
    AgentMessage::JobLog { attempt: attempt(1), text: n.to_string() }
}

#[test]
fn c22_a_server_that_is_away_costs_log_lines_and_never_an_end() {
    let mut reports = Reports::default();
    reports.say(AgentMessage::JobStarted { attempt: attempt(1) });
    (0..2000).for_each(|n| reports.say(line(n)));
    reports.say(AgentMessage::JobFinished { attempt: attempt(2), end: failed("no") });
    let untold = vec![(attempt(1), failed("why"))];
    let mut told = Vec::new();
    while let Some(message) = reports.next(untold.clone()) {
        told.push(message);
    }
    assert_eq!(told.len(), 512 + 2);
    assert!(matches!(told[0], AgentMessage::JobStarted { .. }));
    assert!(matches!(told[512], AgentMessage::JobFinished { .. }));
    assert!(matches!(told[513], AgentMessage::JobFinished { .. }));
    reports.say(line(0));
    let Some(AgentMessage::JobLog { text, .. }) = reports.next(Vec::new()) else { panic!("no line") };
    assert!(text.starts_with("1489 lines were left out"), "{text}");
}

#[test]
fn an_end_is_told_once_on_each_channel() {
    let mut reports = Reports::default();
    let untold = || vec![(attempt(1), failed("why"))];
    assert!(reports.next(untold()).is_some());
    assert!(reports.next(untold()).is_none());
    reports.begin_telling();
    assert!(reports.next(untold()).is_some());
}

#[test]
fn progress_is_told_at_most_twice_a_second_and_not_after_the_end() {
    let mut reports = Reports::default();
    let progress = || Progress { percent: Whole::clamped(5), bytes_done: 1, bytes_total: 2 };
    let at = Duration::from_millis;
    assert!(reports.progress(attempt(1), progress(), at(0)));
    assert!(!reports.progress(attempt(1), progress(), at(499)));
    assert!(reports.progress(attempt(1), progress(), at(500)));
    reports.forget_progress(attempt(2));
    assert!(matches!(reports.next(Vec::new()), Some(AgentMessage::JobProgress { .. })));
    assert!(reports.progress(attempt(1), progress(), at(2000)));
    reports.forget_progress(attempt(1));
    assert!(reports.next(Vec::new()).is_none());
}
