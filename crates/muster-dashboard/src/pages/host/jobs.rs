//! `/hosts/{host_id}/jobs`: the work of a host, and *back up now*.

use askama::Template;
use http::HeaderMap;
use muster_ids::HostId;
use muster_wire::job::{Job, Work};
use muster_wire::page::Page;
use muster_wire::secret::SecretMetadata;
use serde_json::{Value, json};

use super::frame::{self, Frame, Tab};
use super::last_good_backup;
use crate::form::Form;
use crate::pages::jobs::JobRow;
use crate::path::Named;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

#[derive(Template)]
#[template(path = "host_jobs.html")]
pub(crate) struct HostJobsPage {
    shell: Shell,
    frame: Frame,
    jobs: Vec<JobRow>,
    next: Option<String>,
    first: Option<String>,
    last_good: Option<Job>,
    /// Names of the host's secrets: one of them says where a backup goes.
    secrets: Vec<String>,
    form: Backup,
}

/// The form of a backup.
#[derive(Debug, Default)]
struct Backup {
    paths: String,
    tags: String,
    secret: String,
    hours: String,
    refusal: Option<Refusal>,
}

/// `GET /hosts/{host_id}/jobs`
pub(crate) async fn get(visit: Visit, Named(id): Named<HostId>) -> Answered {
    let frame = Frame::load(&visit, id, Tab::Jobs).await?;
    show(&visit, frame, None).await
}

async fn show(visit: &Visit, frame: Frame, form: Option<Backup>) -> Answered {
    let id = frame.host.id;
    let of_host = crate::query::Query::parse(&format!("host_id={id}&limit=20"));
    let page = visit.query.get("cursor").map_or(of_host.clone(), |cursor| of_host.with("cursor", cursor));
    let (jobs, secrets) = (page.on("/v1/jobs"), format!("/v1/hosts/{id}/secrets?limit=200"));
    let (jobs, secrets, last_good) = tokio::join!(
        visit.api.get::<Page<Job>>(&jobs),
        visit.api.get::<Page<SecretMetadata>>(&secrets),
        last_good_backup(&visit.api, id)
    );
    let jobs = jobs?;
    let secrets = secrets?.items;
    let last_good = last_good?;
    let is_later = visit.query.get("cursor").is_some();
    let shell = frame::shell(visit, &frame);
    visit.page(&HostJobsPage::new(shell, frame, (jobs, is_later), last_good, secrets, form))
}

/// `POST /hosts/{host_id}/jobs`: backs up now.
pub(crate) async fn create(visit: Visit, Named(id): Named<HostId>, form: Form) -> Answered {
    let mut frame = Frame::load(&visit, id, Tab::Jobs).await?;
    let path = format!("/v1/hosts/{}/jobs", frame.host.id);
    match visit.api.post::<Job>(&path, &order(&form)).await {
        Ok(job) => Ok(see_other(&format!("/jobs/{}", job.id), &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => {
            frame.refuse(&refusal);
            show(&visit, frame, Some(Backup::typed(&form, refusal))).await
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Makes the order of a form.
fn order(form: &Form) -> Value {
    let lines = form.raw("paths").lines().map(str::trim).filter(|line| !line.is_empty());
    let mut work =
        json!({ "kind": "backup", "paths": lines.collect::<Vec<_>>(), "tags": form.words("tags") });
    if let Some(secret) = form.text("secret") {
        work["secret"] = secret.into();
    }
    let mut order = json!({ "work": work });
    if let Some(hours) = form.number("hours") {
        order["time_limit_secs"] = hours.as_u64().map_or(hours, |hours| hours.saturating_mul(3600).into());
    }
    order
}

impl Backup {
    fn typed(form: &Form, refusal: Refusal) -> Self {
        Self {
            paths: form.raw("paths").to_owned(),
            tags: form.raw("tags").to_owned(),
            secret: form.raw("secret").to_owned(),
            hours: form.raw("hours").to_owned(),
            refusal: Some(refusal),
        }
    }

    /// Offers what was backed up last.
    fn like(job: Option<&Job>) -> Self {
        let Some(Job { work: Work::Backup(work), .. }) = job else {
            return Self { secret: "repo".to_owned(), ..Self::default() };
        };
        let paths: Vec<&str> = work.paths.iter().map(muster_wire::text::AbsolutePath::as_str).collect();
        let tags: Vec<&str> = work.tags.iter().map(muster_wire::text::Tag::as_str).collect();
        let secret = work.secret.as_str().to_owned();
        Self { paths: paths.join("\n"), tags: tags.join(" "), secret, ..Self::default() }
    }

    fn error(&self, pointer: &str) -> Option<String> {
        let refusal = self.refusal.as_ref()?;
        let is_unknown = refusal.problem.iter().flat_map(|problem| &problem.errors);
        let mut unknown =
            is_unknown.filter(|error| error.pointer == pointer && error.code == "unknown_secret");
        if unknown.next().is_some() {
            return Some(
                "This host has no secret of this name. Set it on the page Secrets first.".to_owned(),
            );
        }
        refusal.of_field(pointer)
    }
}

impl HostJobsPage {
    fn new(
        shell: Shell,
        frame: Frame,
        (jobs, is_later): (Page<Job>, bool),
        last_good: Option<Job>,
        secrets: Vec<SecretMetadata>,
        form: Option<Backup>,
    ) -> Self {
        let form = form.unwrap_or_else(|| Backup::like(last_good.as_ref().or(jobs.items.first())));
        let next = jobs.next_cursor.map(|cursor| frame.path(&format!("/jobs?cursor={cursor}")));
        let mut secrets: Vec<String> = secrets.into_iter().map(|secret| secret.name).collect();
        if !form.secret.is_empty() && !secrets.contains(&form.secret) && !secrets.is_empty() {
            secrets.push(form.secret.clone());
        }
        Self {
            next,
            first: is_later.then(|| frame.path("/jobs")),
            jobs: jobs.items.into_iter().map(|job| JobRow::new(job, None)).collect(),
            shell,
            frame,
            last_good,
            secrets,
            form,
        }
    }

    /// Whether something changes by itself: then the list is looked at every second.
    fn is_busy(&self) -> bool {
        self.jobs.iter().any(JobRow::is_open)
    }

    /// Whether the machine's own policy stands against a backup.
    fn is_denied(&self) -> bool {
        let policy = self.frame.host.policy.as_ref();
        policy.is_some_and(|policy| policy.iter().all(|kind| kind.as_str() != "backup"))
    }

    fn bytes(&self, count: &u64) -> String {
        crate::markup::bytes(*count)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::pages::host::secrets::tests::secrets;
    use crate::samples::{self, HOSTILE, JOB, ago, of};

    pub(crate) fn job(state: &str) -> Job {
        let ended = !matches!(state, "queued" | "dispatched" | "running");
        of(json!({
            "id": JOB, "host_id": samples::HOST, "state": state, "attempt": u32::from(state != "queued"), "late": false,
            "work": { "kind": "backup", "paths": ["/etc", "/home/<b>x</b>"], "tags": ["nightly"], "secret": "repo" },
            "progress": (state == "running").then(|| json!({ "percent": 42, "bytes_done": 450_000_000, "bytes_total": 1_070_000_000 })),
            "result": (state == "succeeded").then(|| json!({ "snapshot_id": "4f1c2a9be0", "bytes_processed": 1_070_000_000, "bytes_added": 52_000_000, "files": 18_234 })),
            "failure": (state == "failed").then(|| format!("the repository refused the password {HOSTILE}: set the secret repo anew")),
            "created_at": ago(700), "started_at": (state != "queued").then(|| ago(690)), "finished_at": ended.then(|| ago(600)),
        }))
    }

    fn page(jobs: Vec<Job>, secrets: Vec<SecretMetadata>, form: Option<Backup>) -> HostJobsPage {
        let frame = Frame::sample(Tab::Jobs);
        let shell = Shell::sample("web-01", &frame.path("/jobs"));
        let good = jobs.iter().find(|job| job.result.is_some()).cloned();
        HostJobsPage::new(shell, frame, (Page { items: jobs, next_cursor: None }, false), good, secrets, form)
    }

    #[test]
    fn the_jobs_of_a_host() {
        let jobs = ["running", "succeeded", "failed"].map(job).to_vec();
        samples::check("host_jobs", &page(jobs, secrets(), None));
    }

    #[test]
    fn without_a_repository_the_way_to_one_is_shown() {
        let html = page(Vec::new(), Vec::new(), None).render().unwrap();
        assert!(html.contains("/secrets#set-repo") && !html.contains("name=\"paths\""), "{html}");
    }

    #[test]
    fn a_machine_that_lets_no_backup_run_is_said_beforehand() {
        let mut view = page(Vec::new(), secrets(), None);
        view.frame.host.policy = Some(Vec::new());
        assert!(view.render().unwrap().contains("does not let backups run"));
    }

    #[test]
    fn an_order_says_what_was_typed_and_no_more() {
        let form = Form::of(&[
            ("paths", " /etc \r\n\r\n/srv"),
            ("tags", "a, b"),
            ("secret", "repo"),
            ("hours", "2"),
        ]);
        let expected = json!({
            "work": { "kind": "backup", "paths": ["/etc", "/srv"], "tags": ["a", "b"], "secret": "repo" },
            "time_limit_secs": 7200,
        });
        assert_eq!(order(&form), expected);
        let odd = order(&Form::of(&[("hours", "soon")]));
        assert_eq!(odd["time_limit_secs"], "soon", "the API says what is wrong with it");
    }
}
