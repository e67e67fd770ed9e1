//! `/hosts/{host_id}`: one host: what is wrong first, then how it is, and what it says of itself.

pub(crate) mod activity;
pub(crate) mod frame;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod manage;
pub(crate) mod minted;
pub(crate) mod retire;
pub(crate) mod secrets;

use askama::Template;
use muster_ids::{HostId, Timestamp};
use muster_wire::channel::ConfigVersion;
use muster_wire::enroll::Disposition;
use muster_wire::host::Presence;
use muster_wire::job::Job;
use muster_wire::overview::{FactChange, HostHistory, Vitals, VitalsSample};
use muster_wire::page::Page;

use self::frame::{Frame, Tab};
use crate::api::Api;
use crate::markup::{self, Markup};
use crate::path::Named;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::strip::{Line, Strip};
use crate::visit::{Answered, Visit};
use crate::words;

/// Changes of facts that are shown.
const CHANGES: usize = 12;
/// Pages of the list of jobs that are looked through for the last good backup.
const LOOKS: usize = 3;

#[derive(Template)]
#[template(path = "host.html")]
pub(crate) struct HostPage {
    shell: Shell,
    frame: Frame,
    kind: &'static str,
    days: String,
    strip: Strip,
    outages: Vec<(Option<Timestamp>, Option<String>, Presence)>,
    figures: Vec<Figure>,
    graphs: Vec<Graph>,
    changes: Vec<FactChange>,
    last_good: Option<Job>,
    open_jobs: Vec<Job>,
}

/// A number with its name.
pub(crate) struct Figure {
    label: &'static str,
    value: String,
    note: String,
}

/// A line over the days, with its name and its least and greatest.
pub(crate) struct Graph {
    label: &'static str,
    range: String,
    svg: Markup,
}

/// `GET /hosts/{host_id}`
pub(crate) async fn get(visit: Visit, Named(id): Named<HostId>) -> Answered {
    let frame = Frame::load(&visit, id, Tab::Overview).await?;
    let id = frame.host.id;
    let (history, last_good, open) = (
        format!("/v1/hosts/{id}/history"),
        last_good_backup(&visit.api, id),
        format!("/v1/jobs?host_id={id}&state=queued,dispatched,running&limit=3"),
    );
    let (history, last_good, open) =
        tokio::join!(visit.api.get::<HostHistory>(&history), last_good, visit.api.get::<Page<Job>>(&open));
    let history = history?;
    let last_good = last_good?;
    let open = open?;
    visit.page(&HostPage::new(frame::shell(&visit, &frame), frame, &history, last_good, open.items))
}

/// Finds the last backup that succeeded: a page of the list may be short, and says then where to go on.
pub(crate) async fn last_good_backup(api: &Api, host_id: HostId) -> Result<Option<Job>, Refusal> {
    let list = format!("/v1/jobs?host_id={host_id}&state=succeeded&kind=backup&limit=1");
    let mut path = list.clone();
    for _ in 0..LOOKS {
        let mut page: Page<Job> = api.get(&path).await?;
        if let Some(job) = page.items.pop() {
            return Ok(Some(job));
        }
        let Some(cursor) = page.next_cursor else { break };
        path = format!("{list}&cursor={cursor}");
    }
    Ok(None)
}

impl HostPage {
    fn new(
        shell: Shell,
        frame: Frame,
        history: &HostHistory,
        last_good: Option<Job>,
        open_jobs: Vec<Job>,
    ) -> Self {
        let strip = Strip::new(history);
        Self {
            kind: words::fleet::host_kind(frame.host.kind),
            days: markup::span(history.to.since(history.from)),
            outages: strip.outages(),
            strip,
            figures: figures(frame.host.vitals, cores(&frame)),
            graphs: graphs(history),
            changes: history.facts.iter().take(CHANGES).cloned().collect(),
            shell,
            frame,
            last_good,
            open_jobs,
        }
    }

    fn memory(&self, mib: u64) -> String {
        markup::bytes(mib.saturating_mul(1024 * 1024))
    }

    fn bytes(&self, count: &u64) -> String {
        markup::bytes(*count)
    }

    fn door(&self, door: &u8) -> &'static str {
        words::door(*door)
    }

    fn disposition(&self, disposition: &Disposition) -> &'static str {
        words::disposition(*disposition)
    }

    fn version(&self, version: &ConfigVersion) -> String {
        frame::version(*version)
    }
}

fn cores(frame: &Frame) -> Option<u64> {
    frame.host.reported.as_ref().map(|reported| reported.facts.cpu_cores.get())
}

fn figures(vitals: Option<Vitals>, cores: Option<u64>) -> Vec<Figure> {
    let unknown = || ("–".to_owned(), "not said".to_owned());
    let load = vitals.and_then(|vitals| vitals.load_percent).map(|load| {
        let note =
            cores.map_or_else(|| "of one minute".to_owned(), |cores| format!("of one minute, {cores} cores"));
        (format!("{}.{:02}", load / 100, load % 100), note)
    });
    let disk = vitals.and_then(|vitals| {
        let share = vitals.disk_free_percent.map(|free| format!("{free} % of the root file system"));
        let share = share.unwrap_or_else(|| "of the root file system".to_owned());
        Some((format!("{} GiB", vitals.disk_free_gb?), share))
    });
    let clock = vitals.and_then(|vitals| vitals.clock_ahead_ms);
    let clock = clock.map(|ahead| (frame::clock(ahead), "against the server’s, the way included".to_owned()));
    let figures = [("Load", load), ("Disk free", disk), ("Clock", clock)];
    let figures = figures.map(|(label, said)| {
        let (value, note) = said.unwrap_or_else(unknown);
        Figure { label, value, note }
    });
    figures.into()
}

fn graphs(history: &HostHistory) -> Vec<Graph> {
    let of = |value: fn(&VitalsSample) -> Option<u64>| {
        history.vitals.iter().filter_map(|sample| Some((sample.at, value(sample)?))).collect::<Vec<_>>()
    };
    let load = Line::new(history, of(|sample| sample.load_percent.map(u64::from)), 100);
    let share = Line::new(history, of(|sample| sample.disk_free_percent.map(u64::from)), 100);
    let disk = Line::new(history, of(|sample| sample.disk_free_gb.map(u64::from)), 0);
    let (disk, disk_word) = if share.is_empty() { (disk, "GiB") } else { (share, "%") };
    let graph = |label: &'static str, line: &Line, say: &dyn Fn(u64) -> String| {
        let (least, most) = line.range()?;
        let (least, most) = (say(least), say(most));
        let range = if least == most { least } else { format!("{least} to {most}") };
        let svg = line.svg(&format!("{label} over the last days: {range}"));
        Some(Graph { label, range, svg })
    };
    let load = graph("Highest load of each hour", &load, &|load| format!("{}.{:02}", load / 100, load % 100));
    let disk = graph("Free disk", &disk, &|free| format!("{free} {disk_word}"));
    load.into_iter().chain(disk).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples::{self, HOSTILE, ago, of};

    pub(crate) fn history() -> HostHistory {
        let vitals: Vec<_> = (0..150).filter(|hour| !(40..52).contains(hour)).map(|hour: u64| {
            json!({ "at": ago((150 - hour) * 3600), "load_percent": 40 + (hour * 37) % 90, "disk_free_gb": 90 - hour / 5, "disk_free_percent": 56 - hour / 8 })
        }).collect();
        of(json!({
            "host_id": samples::HOST, "from": ago(604_800), "to": ago(0),
            "spans": [
                { "from": ago(604_800), "to": ago(400_000), "status": "online" },
                { "from": ago(400_000), "to": ago(360_000), "status": "unreachable" },
                { "from": ago(360_000), "to": null, "status": "online" },
            ],
            "vitals": vitals,
            "facts": [
                { "at": ago(90_000), "fact": "versions.kernel", "was": "6.0.9", "is": "6.1.0" },
                { "at": ago(200_000), "fact": "hostname", "was": HOSTILE, "is": null },
            ],
        }))
    }

    impl HostPage {
        pub(crate) fn sample() -> Self {
            let mut json = serde_json::to_value(samples::host()).unwrap();
            json["vitals"] = json!({ "at": ago(12), "load_percent": 73, "disk_free_gb": 60, "disk_free_percent": 38, "clock_ahead_ms": 14 });
            json["policy"] = json!(["backup"]);
            json["policy_at"] = json!(ago(800_000));
            let frame = Frame::of(of(json), Tab::Overview);
            let good = jobs::tests::job("succeeded");
            Self::new(
                Shell::sample("web-01", &frame.path("")),
                frame,
                &history(),
                Some(good),
                vec![jobs::tests::job("running")],
            )
        }

        fn in_trouble() -> Self {
            let mut json = serde_json::to_value(samples::hosts().pop().unwrap()).unwrap();
            json["exposed_secrets"] = json!(["repo"]);
            let frame = Frame::of(of(json), Tab::Overview);
            let empty = of(
                json!({ "host_id": samples::HOST, "from": ago(604_800), "to": ago(0), "spans": [], "vitals": [], "facts": [] }),
            );
            Self::new(Shell::sample(HOSTILE, "/hosts/x"), frame, &empty, None, Vec::new())
        }
    }

    #[test]
    fn the_page_of_a_host() {
        samples::check("host", &HostPage::sample());
        samples::check("host_in_trouble", &HostPage::in_trouble());
    }

    #[test]
    fn what_was_not_said_is_not_a_number() {
        let figures = figures(None, None);
        assert!(figures.iter().all(|figure| figure.value == "–" && figure.note == "not said"));
    }
}
