//! Jobs and their logs.

use muster_ids::JobId;
use muster_store::rows::{JOBS_LOOKED_AT, JobFilter, JobRow};
use muster_store::{Store, StoreError, Tx};
use muster_wire::bounds::Whole;
use muster_wire::channel::Attempt;
use muster_wire::job::{JobState, Progress, Work, WorkKind};
use uuid::Uuid;

use crate::backends::both;
use crate::rows::{at, host, host_id, key, team_id, told};

fn work() -> Work {
    serde_json::from_str(r#"{"kind":"backup","paths":["/etc"]}"#).unwrap()
}

pub(crate) fn job(n: u128, host: u128) -> JobRow {
    JobRow {
        id: JobId::from_uuid(Uuid::from_u128(n)),
        team_id: team_id(1),
        host_id: host_id(host),
        work: work(),
        state: JobState::Queued,
        attempt: 0,
        attempt_key: None,
        secret_version: 1,
        time_limit_secs: 60,
        progress: None,
        result: None,
        failure: None,
        late: false,
        log_lines: 0,
        log_bytes: 0,
        created_by: "user_x".to_owned(),
        created_at: at(0),
        dispatched_at: None,
        started_at: None,
        renewed_at: None,
        finished_at: None,
    }
}

fn begin(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    for n in [1, 2] {
        tx.host_insert(&host(n))?;
    }
    for (n, host) in [(1, 1), (2, 1), (3, 2)] {
        tx.job_insert(&job(n, host))?;
    }
    Ok(())
}

fn ids(rows: &[JobRow]) -> Vec<u128> {
    rows.iter().map(|row| row.id.uuid().as_u128()).collect()
}

both! {
    async fn jobs_are_found_by_team_host_and_state(store: Store) {
        told(&store, |tx| {
            begin(tx)?;
            assert_eq!(tx.job(team_id(1), job(1, 1).id)?, Some(job(1, 1)));
            assert_eq!(tx.job(team_id(2), job(1, 1).id)?, None);
            let all = JobFilter::default();
            assert_eq!(ids(&tx.jobs(team_id(1), &all, 2)?), [3, 2]);
            let any = JobFilter::default;
            assert_eq!(ids(&tx.jobs(team_id(1), &JobFilter { before: Some(job(2, 1).id), ..any() }, 9)?), [1]);
            let of_host = JobFilter { host_id: Some(host_id(1)), ..any() };
            assert_eq!(ids(&tx.jobs(team_id(1), &of_host, 9)?), [2, 1]);
            assert_eq!(ids(&tx.jobs(team_id(1), &of_host, 1)?), [2], "the newest first");
            assert!(tx.jobs(team_id(2), &of_host, 9)?.is_empty(), "a host of another team");
            let running = JobFilter { states: vec![JobState::Running, JobState::Lost], ..any() };
            assert!(tx.jobs(team_id(1), &running, 9)?.is_empty());
            let open = vec![JobState::Running, JobState::Queued];
            let open = JobFilter { states: open, kind: Some(WorkKind::Backup), ..any() };
            assert_eq!(ids(&tx.jobs(team_id(1), &open, 9)?), [3, 2, 1]);
            assert_eq!(ids(&tx.jobs(team_id(1), &JobFilter { host_id: Some(host_id(1)), ..open }, 1)?), [2]);
            assert!(tx.jobs(team_id(2), &all, 9)?.is_empty());
            assert_eq!(ids(&tx.jobs_open(host_id(1), 9)?), [1, 2]);
            Ok(())
        })
        .await;
    }

    async fn many_jobs_that_are_sorted_out_are_looked_through_some_at_a_time(store: Store) {
        told(&store, |tx| {
            begin(tx)?;
            for n in 10..10 + JOBS_LOOKED_AT as u128 {
                tx.job_insert(&job(n, 1))?;
            }
            for host in [None, Some(host_id(1))] {
                let lost = JobFilter { states: vec![JobState::Lost], host_id: host, ..JobFilter::default() };
                assert!(tx.jobs(team_id(1), &lost, 9)?.is_empty());
                let through = tx.jobs_looked_through(team_id(1), &lost)?;
                assert_eq!(through, Some(job(10, 1).id));
                let rest = JobFilter { before: through, ..lost };
                assert_eq!(tx.jobs_looked_through(team_id(1), &rest)?, None);
                assert_eq!(tx.jobs_looked_through(team_id(2), &rest)?, None);
            }
            let foreign = JobFilter { states: vec![JobState::Lost], host_id: Some(host_id(1)), ..JobFilter::default() };
            assert_eq!(tx.jobs_looked_through(team_id(2), &foreign)?, None, "nothing is said of another team");
            assert_eq!(tx.jobs_looked_through(team_id(1), &JobFilter::default())?, None);
            Ok(())
        })
        .await;
    }

    async fn an_attempt_is_sent_once_and_moved_from_where_it_was_read(store: Store) {
        told(&store, |tx| {
            begin(tx)?;
            assert!(tx.job_dispatch(&job(1, 1), &key(1), at(1))?);
            assert!(!tx.job_dispatch(&job(1, 1), &key(1), at(1))?);
            let sent = tx.job(team_id(1), job(1, 1).id)?.unwrap();
            assert_eq!((sent.state, sent.attempt, sent.attempt_key), (JobState::Dispatched, 1, Some(key(1))));
            assert_eq!((sent.dispatched_at, sent.renewed_at), (Some(at(1)), Some(at(1))));
            let ended = JobRow {
                state: JobState::Failed,
                failure: Some("no".to_owned()),
                finished_at: Some(at(3)),
                late: true,
                ..sent.clone()
            };
            assert!(!tx.job_move(&ended, JobState::Running)?);
            assert!(!tx.job_move(&JobRow { attempt: 2, ..ended.clone() }, JobState::Dispatched)?);
            assert!(tx.job_move(&ended, JobState::Dispatched)?);
            assert_eq!(tx.job(team_id(1), ended.id)?, Some(ended));
            assert_eq!(ids(&tx.jobs_open(host_id(1), 9)?), [2]);
            Ok(())
        })
        .await;
    }

    async fn only_the_attempt_of_a_key_is_renewed_and_goes_on(store: Store) {
        told(&store, |tx| {
            begin(tx)?;
            tx.job_dispatch(&job(1, 1), &key(1), at(1))?;
            let attempt = Attempt { job_id: job(1, 1).id, attempt: 1 };
            let older = Attempt { attempt: 0, ..attempt };
            assert_eq!(tx.jobs_renew(host_id(1), &[attempt, older], &key(1), at(5))?, 1);
            assert_eq!(tx.jobs_renew(host_id(1), &[attempt], &key(2), at(6))?, 0);
            assert_eq!(tx.jobs_renew(host_id(2), &[attempt], &key(1), at(6))?, 0);
            assert!(tx.jobs_unrenewed(at(5), 9)?.is_empty());
            let lapsed = tx.jobs_unrenewed(at(6), 9)?;
            assert_eq!(lapsed.iter().map(|job| (job.id, job.host_id)).collect::<Vec<_>>(), [(job(1, 1).id, host_id(1))]);
            assert_eq!((tx.jobs_renewed_after(at(5))?, tx.jobs_clamp(at(5), 9)?), (false, 0));
            assert_eq!((tx.jobs_renewed_after(at(4))?, tx.jobs_clamp(at(4), 0)?), (true, 0));
            assert_eq!((tx.jobs_clamp(at(4), 9)?, tx.jobs_unrenewed(at(5), 9)?.len()), (1, 1));
            tx.jobs_renew(host_id(1), &[attempt], &key(1), at(5))?;
            assert!(tx.job_exists(job(1, 1).id)?);
            assert!(!tx.job_exists(job(9, 1).id)?);
            let progress = Progress { percent: Whole::clamped(40), bytes_done: 4, bytes_total: 10 };
            assert!(!tx.job_progress(host_id(1), attempt, &key(1), &progress, at(7))?, "it does not run yet");
            let sent = tx.job(team_id(1), attempt.job_id)?.unwrap();
            tx.job_move(&JobRow { state: JobState::Running, ..sent.clone() }, sent.state)?;
            assert!(!tx.job_progress(host_id(1), attempt, &key(2), &progress, at(7))?);
            assert!(tx.job_progress(host_id(1), attempt, &key(1), &progress, at(7))?);
            let running = tx.job(team_id(1), attempt.job_id)?.unwrap();
            assert_eq!((running.progress, running.renewed_at), (Some(progress), Some(at(7))));
            Ok(())
        })
        .await;
    }

    async fn a_log_takes_room_before_its_lines(store: Store) {
        told(&store, |tx| {
            begin(tx)?;
            assert!(tx.job_log_take(&job(1, 1), 2, 10)?);
            assert!(!tx.job_log_take(&job(1, 1), 2, 10)?, "somebody wrote meanwhile");
            for n in 1..=3 {
                tx.job_log_insert(job(1, 1).id, n, at(n), &format!("line {n}"))?;
            }
            let lines = tx.job_log(team_id(1), job(1, 1).id, 1, 1)?;
            assert_eq!((lines.len(), lines[0].n, lines[0].text.as_str(), lines[0].at), (1, 2, "line 2", at(2)));
            assert!(tx.job_log(team_id(2), job(1, 1).id, 0, 9)?.is_empty());
            let row = tx.job(team_id(1), job(1, 1).id)?.unwrap();
            assert_eq!((row.log_lines, row.log_bytes), (2, 10));
            Ok(())
        })
        .await;
    }
}
