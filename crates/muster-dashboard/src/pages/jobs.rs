//! `/jobs`: the work of the whole fleet, every filter in the address.

pub(crate) mod detail;
pub(crate) mod log;

use std::collections::{BTreeSet, HashMap};

use askama::Template;
use futures_util::future::try_join_all;
use muster_ids::HostId;
use muster_wire::host::Host;
use muster_wire::job::{Job, Work};
use muster_wire::page::Page;

use crate::markup;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

/// Parameters of the page that the list of the API takes.
const FILTERS: &[&str] = &["host_id", "kind", "limit", "cursor"];
/// Groups of states a person looks for: value, word, states of the API.
const STATES: &[(&str, &str, &str)] = &[
    ("open", "not ended", "queued,dispatched,running"),
    ("bad", "failed or lost", "failed,lost"),
    ("queued", "queued", "queued"),
    ("running", "running", "dispatched,running"),
    ("succeeded", "succeeded", "succeeded"),
    ("failed", "failed", "failed"),
    ("lost", "lost", "lost"),
    ("cancelled", "cancelled", "cancelled"),
];

#[derive(Template)]
#[template(path = "jobs.html")]
pub(crate) struct JobsPage {
    shell: Shell,
    query: Query,
    rows: Vec<JobRow>,
    /// The host whose jobs alone are shown.
    host: Option<Named>,
    /// What was typed for a host, when none is called so.
    unknown_host: Option<String>,
    next: Option<String>,
    first: Option<String>,
    is_narrowed: bool,
}

/// A host by its name.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) id: HostId,
    pub(crate) name: String,
}

/// A job as a row shows it.
#[derive(Debug, Clone)]
pub(crate) struct JobRow {
    pub(crate) job: Job,
    pub(crate) host: Option<Named>,
}

impl JobRow {
    pub(crate) fn new(job: Job, host: Option<Named>) -> Self {
        Self { job, host }
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.job.state.has_ended()
    }

    /// Says what it works on.
    pub(crate) fn about(&self) -> String {
        let Work::Backup(work) = &self.job.work;
        let mut paths = work.paths.iter().map(muster_wire::text::AbsolutePath::as_str);
        let first = paths.next().unwrap_or_default();
        match paths.count() {
            0 => first.to_owned(),
            1 => format!("{first} and one more"),
            more => format!("{first} and {more} more"),
        }
    }

    /// Says how long it took.
    pub(crate) fn took(&self) -> Option<String> {
        Some(markup::span(self.job.finished_at?.since(self.job.started_at?)))
    }

    /// Says what came of it.
    pub(crate) fn outcome(&self) -> String {
        if let Some(result) = &self.job.result {
            return format!(
                "snapshot {}: {} read, {} new",
                result.snapshot_id.as_str().chars().take(8).collect::<String>(),
                markup::bytes(result.bytes_processed),
                markup::bytes(result.bytes_added)
            );
        }
        self.job.failure.clone().unwrap_or_default()
    }

    pub(crate) fn percent(&self) -> Option<u64> {
        self.job.progress.as_ref().filter(|_| self.is_open()).map(|progress| progress.percent.get())
    }
}

/// `GET /jobs`
pub(crate) async fn list(visit: Visit) -> Answered {
    let (host, unknown) = chosen_host(&visit).await.map_err(|refusal| visit.refused(refusal))?;
    let path = asked(&visit.query, host.as_ref()).on("/v1/jobs");
    let jobs: Page<Job> = match unknown {
        Some(_) => Page { items: Vec::new(), next_cursor: None },
        None => visit.api.get(&path).await.map_err(|refusal| visit.refused(refusal))?,
    };
    let ids: BTreeSet<HostId> = jobs.items.iter().map(|job| job.host_id).collect();
    let names = names(&visit, &ids).await.map_err(|refusal| visit.refused(refusal))?;
    visit.page(&JobsPage::new(visit.shell("Jobs"), visit.query.clone(), jobs, &names, (host, unknown)))
}

/// Returns the query of the API: a group of states is its states, a name is a host.
fn asked(query: &Query, host: Option<&Named>) -> Query {
    let mut asked = query.only(FILTERS);
    let cursor = query.get("cursor");
    let state = query.get("state");
    let states = STATES.iter().find(|(value, _, _)| Some(*value) == state).map(|(_, _, states)| *states);
    if let Some(states) = states.or(state) {
        asked = asked.with("state", states);
    }
    if let Some(host) = host {
        asked = asked.with("host_id", &host.id.to_string());
    }
    cursor.map_or(asked.clone(), |cursor| asked.with("cursor", cursor))
}

/// Returns the host of the address, by id or by name; the second is a name that nobody has.
async fn chosen_host(visit: &Visit) -> Result<(Option<Named>, Option<String>), Refusal> {
    if let Some(id) = visit.query.get("host_id").and_then(|id| id.parse::<HostId>().ok()) {
        return Ok((Some(named(visit, id).await?), None));
    }
    let Some(name) = visit.query.get("host") else { return Ok((None, None)) };
    let list = Query::default().with("q", name).with("limit", "50").on("/v1/hosts");
    let hosts: Page<Host> = visit.api.get(&list).await?;
    let exact = hosts.items.iter().find(|host| host.name == name.trim());
    Ok(match exact.or(hosts.items.first()) {
        Some(host) => (Some(Named { id: host.id, name: host.name.clone() }), None),
        None => (None, Some(name.to_owned())),
    })
}

async fn named(visit: &Visit, id: HostId) -> Result<Named, Refusal> {
    let host: Option<Host> = visit.api.get_if_shown(&format!("/v1/hosts/{id}")).await?;
    Ok(Named { id, name: host.map_or_else(|| id.to_string(), |host| host.name) })
}

/// Returns what these hosts are called: one request for each of them, for the list of jobs does not tell.
pub(crate) async fn names(visit: &Visit, ids: &BTreeSet<HostId>) -> Result<HashMap<HostId, String>, Refusal> {
    let names = try_join_all(ids.iter().map(|id| named(visit, *id))).await?;
    Ok(names.into_iter().map(|host| (host.id, host.name)).collect())
}

impl JobsPage {
    fn new(
        shell: Shell,
        query: Query,
        jobs: Page<Job>,
        names: &HashMap<HostId, String>,
        (host, unknown_host): (Option<Named>, Option<String>),
    ) -> Self {
        let name = |id: HostId| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
        let rows = jobs.items.into_iter().map(|job| {
            let host = Named { id: job.host_id, name: name(job.host_id) };
            JobRow::new(job, Some(host))
        });
        Self {
            rows: rows.collect(),
            next: jobs.next_cursor.map(|cursor| query.with("cursor", &cursor).on("/jobs")),
            first: query.get("cursor").map(|_| query.without("cursor").on("/jobs")),
            is_narrowed: query.has_any(&["state", "kind", "host", "host_id"]),
            shell,
            query,
            host,
            unknown_host,
        }
    }

    fn states(&self) -> &'static [(&'static str, &'static str, &'static str)] {
        STATES
    }

    fn host_name(&self) -> &str {
        self.host.as_ref().map_or_else(|| self.query.text("host"), |host| &host.name)
    }

    fn is_busy(&self) -> bool {
        self.rows.iter().any(JobRow::is_open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::host::jobs::tests::job;
    use crate::samples::{self, HOSTILE};

    fn page(query: &str, jobs: Vec<Job>, host: (Option<Named>, Option<String>)) -> JobsPage {
        let names = HashMap::from([(samples::HOST.parse().unwrap(), HOSTILE.to_owned())]);
        let jobs = Page { items: jobs, next_cursor: Some("next".to_owned()) };
        JobsPage::new(Shell::sample("Jobs", "/jobs"), Query::parse(query), jobs, &names, host)
    }

    #[test]
    fn the_list_of_jobs() {
        let jobs = ["queued", "running", "succeeded", "failed", "cancelled", "lost"].map(job).to_vec();
        samples::check("jobs", &page("state=open", jobs, (None, None)));
    }

    #[test]
    fn a_group_of_states_is_asked_for_as_its_states() {
        let query = Query::parse("state=bad&host_id=x&columns=y&cursor=c");
        assert_eq!(asked(&query, None).on("/v1/jobs"), "/v1/jobs?host_id=x&state=failed%2Clost&cursor=c");
    }

    #[test]
    fn nothing_says_why_and_what_to_do() {
        assert!(page("", Vec::new(), (None, None)).render().unwrap().contains("No jobs yet"));
        let html = page("host=nobody", Vec::new(), (None, Some(HOSTILE.to_owned()))).render().unwrap();
        assert!(html.contains("No host is called") && html.contains("Show all jobs"), "{html}");
    }
}
