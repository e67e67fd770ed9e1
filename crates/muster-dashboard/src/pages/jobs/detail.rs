//! `/jobs/{job_id}`: one job: how far it is, what came of it, its log as it grows.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use muster_ids::JobId;
use muster_wire::host::{Host, Presence};
use muster_wire::job::{CreateJob, Job, JobState, Work};
use muster_wire::permission::Permission;

use super::log::{self, Log};
use crate::form::Form;
use crate::markup;
use crate::path::Named;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};
use crate::words;

#[derive(Template)]
#[template(path = "job.html")]
pub(crate) struct JobPage {
    shell: Shell,
    job: Job,
    host: Option<Host>,
    log: Log,
    /// The line from which on the log is shown, when it is not its end.
    from: Option<u64>,
    may_run: bool,
    done: Option<&'static str>,
    refused: Option<String>,
}

/// `GET /jobs/{job_id}`
pub(crate) async fn get(visit: Visit, Named(id): Named<JobId>) -> Answered {
    show(&visit, id, None).await
}

async fn show(visit: &Visit, id: JobId, refused: Option<String>) -> Answered {
    let number = |name: &str| visit.query.get(name).and_then(|text| text.parse::<u64>().ok());
    let from = number("from");
    let path = format!("/v1/jobs/{id}");
    let log = async {
        match from {
            Some(from) => log::read(&visit.api, id, from.saturating_sub(1)).await,
            None => log::tail(&visit.api, id, number("seen").unwrap_or_default()).await,
        }
    };
    let (job, log) = tokio::join!(visit.api.get::<Job>(&path), log);
    let job = job?;
    let log = log?;
    let host = visit.api.get_if_shown(&format!("/v1/hosts/{}", job.host_id)).await?;
    let mut page = JobPage {
        shell: visit.shell(""),
        job,
        host,
        log,
        from,
        may_run: visit.may(Permission::RunJobs),
        done: visit.query.get("done").and_then(words::fleet::done),
        refused,
    };
    page.shell.title = page.heading();
    visit.page(&page)
}

/// `GET /jobs/{job_id}/log.txt`: the whole log.
pub(crate) async fn download(visit: Visit, Named(id): Named<JobId>) -> Answered {
    let text = log::whole(&visit.api, id).await?;
    let name = format!("attachment; filename=\"{id}.log\"");
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, name)];
    Ok((headers, text).into_response())
}

/// `POST /jobs/{job_id}/cancel`
pub(crate) async fn cancel(visit: Visit, Named(id): Named<JobId>, _: Form) -> Answered {
    match visit.api.post::<Job>(&format!("/v1/jobs/{id}/cancel"), &()).await {
        Ok(_) => Ok(to(&format!("/jobs/{id}?done=cancelled"))),
        Err(refusal) if refusal.is_of_form() => show(&visit, id, Some(refusal.says())).await,
        Err(refusal) => Err(refusal.into()),
    }
}

/// `POST /jobs/{job_id}/again`: makes another job that does the same.
pub(crate) async fn again(visit: Visit, Named(id): Named<JobId>, _: Form) -> Answered {
    let job: Job = visit.api.get(&format!("/v1/jobs/{id}")).await?;
    let order = CreateJob { work: job.work, time_limit_secs: None };
    match visit.api.post::<Job>(&format!("/v1/hosts/{}/jobs", job.host_id), &order).await {
        Ok(next) => Ok(to(&format!("/jobs/{}", next.id))),
        Err(refusal) if refusal.is_of_form() => show(&visit, id, Some(refusal.says())).await,
        Err(refusal) => Err(refusal.into()),
    }
}

fn to(path: &str) -> Response {
    see_other(path, &HeaderMap::new())
}

impl JobPage {
    fn is_open(&self) -> bool {
        !self.job.state.has_ended()
    }

    /// Whether it can still be taken back: what was sent cannot.
    fn may_cancel(&self) -> bool {
        self.may_run && self.job.state == JobState::Queued
    }

    fn is_sent(&self) -> bool {
        matches!(self.job.state, JobState::Dispatched | JobState::Running)
    }

    /// Returns how often it is looked at anew: not at all once it ended.
    fn every(&self) -> Option<u32> {
        (self.is_open() && self.from.is_none()).then_some(1)
    }

    /// The address its live part is fetched from: it says what was seen, so that only the end is read.
    fn live_path(&self) -> String {
        format!("/jobs/{}?seen={}", self.job.id, self.log.last())
    }

    /// Says where it stands, and what comes next.
    fn says(&self) -> String {
        let online = self.host.as_ref().is_some_and(|host| host.presence.status == Presence::Online);
        let held = self.host.as_ref().is_some_and(|host| host.held.is_some());
        let says = match self.job.state {
            JobState::Queued if held => {
                "It waits: its host is held until a person says which machine is genuine."
            }
            JobState::Queued if !online => {
                "It waits for its host, which is not online. It begins by itself when the host connects."
            }
            JobState::Queued => {
                "It waits for its turn: for another job of the host to end, or for the host to confirm the secret it needs."
            }
            JobState::Dispatched => "It was sent to the host, which has not said yet that it runs.",
            JobState::Running if !online => {
                "It ran when the host was last heard of. The host is not online: how it goes on is told when it comes back."
            }
            JobState::Running => "It runs.",
            JobState::Succeeded => "It did what it should.",
            JobState::Failed => "It did not do what it should.",
            JobState::Cancelled => "A person took it back before it was sent. Nothing was done.",
            JobState::Lost => {
                "Nobody knows how it ended: the agent went away while it ran. Look at the log, and run it again if its work is not done."
            }
        };
        says.to_owned()
    }

    fn heading(&self) -> String {
        let Work::Backup(_) = &self.job.work;
        format!("Backup of {}", self.host_name())
    }

    fn host_name(&self) -> &str {
        self.host.as_ref().map_or("a host that is not shown", |host| &host.name)
    }

    fn took(&self) -> Option<String> {
        let started = self.job.started_at?;
        Some(markup::span(self.job.finished_at.unwrap_or(self.shell.now).since(started)))
    }

    fn bytes(&self, count: &u64) -> String {
        markup::bytes(*count)
    }

    fn backup(&self) -> &muster_wire::job::BackupWork {
        let Work::Backup(work) = &self.job.work;
        work
    }

    fn earlier(&self) -> Option<String> {
        let first = self.log.first();
        (self.log.has_before && first > 1)
            .then(|| format!("/jobs/{}?from={}#log", self.job.id, first.saturating_sub(log::TAIL).max(1)))
    }

    fn later(&self) -> Option<String> {
        self.log.has_after.then(|| format!("/jobs/{}?from={}#log", self.job.id, self.log.last() + 1))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pages::host::jobs::tests::job;
    use crate::samples::{self, HOSTILE, ago, of};

    fn page(state: &str) -> JobPage {
        let line = |n: u64, text: &str| of(json!({ "n": n, "at": ago(600 - n), "text": text }));
        let lines =
            vec![line(401, "repository opened"), line(402, HOSTILE), line(403, "snapshot 4f1c2a9b saved")];
        JobPage {
            shell: Shell::sample("backup of web-01", "/jobs/x"),
            job: job(state),
            host: Some(samples::host()),
            log: Log { lines, has_before: true, has_after: false },
            from: None,
            may_run: true,
            done: None,
            refused: None,
        }
    }

    #[test]
    fn the_page_of_a_job() {
        for state in ["running", "succeeded", "failed"] {
            samples::check(&format!("job_{state}"), &page(state));
        }
    }

    #[test]
    fn a_job_that_runs_is_followed_and_one_that_ended_is_not() {
        let html = page("running").render().unwrap();
        assert!(
            html.contains("data-live-every=\"1\"")
                && html.contains("seen=403")
                && html.contains("data-follow")
        );
        for state in ["succeeded", "failed", "cancelled"] {
            let html = page(state).render().unwrap();
            assert!(!html.contains("data-live-every") && !html.contains("data-follow"), "{state}");
        }
    }

    #[test]
    fn only_what_waits_can_be_taken_back() {
        assert!(page("queued").render().unwrap().contains("/cancel\""));
        let running = page("running").render().unwrap();
        assert!(!running.contains("/cancel\"") && running.contains("cannot be taken back"));
        assert!(page("failed").render().unwrap().contains("/again\""));
        let queued = page("queued").render().unwrap();
        assert!(
            queued.find("id=\"job\"") < queued.find("/cancel\""),
            "it goes with the state that allows it"
        );
    }

    #[test]
    fn what_it_waits_for_is_said() {
        let mut view = page("queued");
        view.host.as_mut().unwrap().presence.status = muster_wire::host::Presence::Offline;
        assert!(view.says().contains("not online"));
        assert!(page("queued").says().contains("its turn"));
    }

    #[test]
    fn the_lines_before_are_led_to() {
        assert_eq!(page("failed").earlier().unwrap(), format!("/jobs/{}?from=1#log", samples::JOB));
    }
}
