//! `/jobs`: the work of the whole fleet, every filter in the address.

pub(crate) mod detail;
pub(crate) mod log;

use std::collections::HashMap;

use askama::Template;
use muster_ids::HostId;
use muster_wire::host::Host;
use muster_wire::job::{Job, Work};
use muster_wire::page::Page;

use crate::markup;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::telling::host_names;
use crate::visit::{Answered, Visit};

/// Parameters of the page that the list of the API takes.
const FILTERS: &[&str] = &["kind", "limit", "cursor"];
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
    /// The host whose jobs alone are shown, or why none are.
    chosen: Chosen,
    next: Option<String>,
    first: Option<String>,
    is_narrowed: bool,
}

/// A host by its name.
#[derive(Debug, Clone)]
pub(crate) struct NamedHost {
    pub(crate) id: HostId,
    pub(crate) name: String,
}

/// A job as a row shows it.
#[derive(Debug, Clone)]
pub(crate) struct JobRow {
    pub(crate) job: Job,
    pub(crate) host: Option<NamedHost>,
}

impl JobRow {
    pub(crate) fn new(job: Job, host: Option<NamedHost>) -> Self {
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
    let chosen = Chosen::of(&visit).await?;
    let path = asked(&visit.query, chosen.one()).on("/v1/jobs");
    let jobs: Page<Job> = match chosen {
        Chosen::Any | Chosen::One(_) => visit.api.get(&path).await?,
        Chosen::Like(_) | Chosen::Unknown(_) => Page { items: Vec::new(), next_cursor: None },
    };
    let names = host_names(&visit, jobs.items.iter().map(|job| job.host_id)).await?;
    visit.page(&JobsPage::new(visit.shell("Jobs"), visit.query.clone(), jobs, &names, chosen))
}

/// Returns the query of the API: a group of states is its states, a name is a host.
fn asked(query: &Query, host: Option<&NamedHost>) -> Query {
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

/// Which hosts a page of jobs is about.
#[derive(Debug, Default)]
enum Chosen {
    /// All of them.
    #[default]
    Any,
    One(NamedHost),
    /// None is called as was typed, or several are: these are meant, perhaps.
    Like(Vec<NamedHost>),
    /// Nobody has the name, nor one like it.
    Unknown(String),
}

impl Chosen {
    /// Reads the host of the address, by id or by name.
    async fn of(visit: &Visit) -> Result<Self, Refusal> {
        if let Some(id) = visit.query.get("host_id") {
            let Ok(id) = id.parse::<HostId>() else { return Ok(Self::Unknown(id.to_owned())) };
            let name = host_names(visit, [id]).await?.remove(&id).unwrap_or_else(|| id.to_string());
            // Whoever types another name means another host.
            if visit.query.get("host").is_none_or(|typed| typed.trim() == name) {
                return Ok(Self::One(NamedHost { id, name }));
            }
        }
        let Some(name) = visit.query.get("host") else { return Ok(Self::Any) };
        let found = async |filter: &str| -> Result<Vec<Host>, Refusal> {
            let list = Query::default().with(filter, name.trim()).with("limit", "200").on("/v1/hosts");
            Ok(visit.api.get::<Page<Host>>(&list).await?.items)
        };
        let exact = found("name").await?;
        let hosts = if exact.is_empty() { found("q").await? } else { exact };
        Ok(Self::by_name(name.trim(), hosts))
    }

    /// Takes the one host of exactly this name; of several, or of others that are found by it, a person chooses.
    fn by_name(name: &str, found: Vec<Host>) -> Self {
        let named = |host: Host| NamedHost { id: host.id, name: host.name };
        let (mut exact, others): (Vec<Host>, Vec<Host>) =
            found.into_iter().partition(|host| host.name == name);
        match (exact.len(), others.len()) {
            (0, 0) => Self::Unknown(name.to_owned()),
            (0, _) => Self::Like(others.into_iter().map(named).collect()),
            (1, _) => exact.pop().map_or(Self::Any, |host| Self::One(named(host))),
            _ => Self::Like(exact.into_iter().map(named).collect()),
        }
    }

    fn one(&self) -> Option<&NamedHost> {
        match self {
            Self::One(host) => Some(host),
            Self::Any | Self::Like(_) | Self::Unknown(_) => None,
        }
    }
}

impl JobsPage {
    fn new(
        shell: Shell,
        query: Query,
        jobs: Page<Job>,
        names: &HashMap<HostId, String>,
        chosen: Chosen,
    ) -> Self {
        let name = |id: HostId| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
        let rows = jobs.items.into_iter().map(|job| {
            let host = NamedHost { id: job.host_id, name: name(job.host_id) };
            JobRow::new(job, Some(host))
        });
        let (next, first) = query.ways("/jobs", jobs.next_cursor.as_deref());
        Self {
            rows: rows.collect(),
            next,
            first,
            is_narrowed: query.has_any(&["state", "kind", "host", "host_id"]),
            shell,
            query,
            chosen,
        }
    }

    fn states(&self) -> &'static [(&'static str, &'static str, &'static str)] {
        STATES
    }

    fn host_name(&self) -> &str {
        self.chosen.one().map_or_else(|| self.query.text("host"), |host| &host.name)
    }

    /// The page of the jobs of one of those that are meant, perhaps.
    fn jobs_of(&self, host: &NamedHost) -> String {
        let query = self.query.without("host").without("cursor");
        query.with("host_id", &host.id.to_string()).on("/jobs")
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

    fn page(query: &str, jobs: Vec<Job>, chosen: Chosen) -> JobsPage {
        let names = HashMap::from([(samples::HOST.parse().unwrap(), HOSTILE.to_owned())]);
        let jobs = Page { items: jobs, next_cursor: Some("next".to_owned()) };
        JobsPage::new(Shell::sample("Jobs", "/jobs"), Query::parse(query), jobs, &names, chosen)
    }

    #[test]
    fn the_list_of_jobs() {
        let jobs = ["queued", "running", "succeeded", "failed", "cancelled", "lost"].map(job).to_vec();
        samples::check("jobs", &page("state=open", jobs, Chosen::Any));
    }

    #[test]
    fn a_group_of_states_is_asked_for_as_its_states() {
        let query = Query::parse("state=bad&host_id=x&columns=y&cursor=c");
        assert_eq!(
            asked(&query, None).on("/v1/jobs"),
            "/v1/jobs?state=failed%2Clost&cursor=c",
            "no host is x"
        );
    }

    #[test]
    fn only_the_exact_name_is_taken_and_a_person_chooses_among_others() {
        let named =
            |name: &str, id: &str| Host { name: name.to_owned(), id: id.parse().unwrap(), ..samples::host() };
        let (db, more) = (named("db", samples::HOST), named("db-02", samples::OTHER_HOST));
        let chosen = |name, found: &[&Host]| Chosen::by_name(name, found.iter().copied().cloned().collect());
        assert!(matches!(chosen("db", &[&more, &db]), Chosen::One(host) if host.id == db.id));
        assert!(matches!(chosen("db", &[]), Chosen::Unknown(name) if name == "db"));
        assert!(
            matches!(chosen("db", &[&db, &named("db", samples::OTHER_HOST)]), Chosen::Like(hosts) if hosts.len() == 2)
        );
        let view = page("host=d&state=bad&cursor=c", Vec::new(), chosen("d", &[&db, &more]));
        let html = view.render().unwrap();
        assert!(html.contains(&format!("/jobs?state=bad&#38;host_id={}", samples::OTHER_HOST)), "{html}");
    }

    #[test]
    fn nothing_says_why_and_what_to_do() {
        assert!(page("", Vec::new(), Chosen::Any).render().unwrap().contains("No jobs yet"));
        let html = page("host=nobody", Vec::new(), Chosen::Unknown(HOSTILE.to_owned())).render().unwrap();
        assert!(html.contains("No host is called") && html.contains("Show all jobs"), "{html}");
    }
}
