//! `/`: the fleet at a glance.

mod attention;

use std::time::Duration;

use askama::Template;
use muster_wire::event::Event;
use muster_wire::host::Presence;
use muster_wire::overview::{HostCounts, Overview, PresenceSample};
use muster_wire::page::Page;
use muster_wire::permission::Permission;

use self::attention::Pressing;
use crate::chart::{self, PresenceChart};
use crate::markup::{self, Markup};
use crate::query::Query;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::telling::{Names, Told};
use crate::visit::{Answered, Visit};
use crate::words::{Tone, Worded};

const DAY: u64 = 24;
const WEEK: u64 = 168;
const LATEST: &str = "/v1/events?order=desc&limit=10";
/// What changes this page as it happens; the rest is seen within seconds.
const CHANGES: &str =
    "host. site. claim. claims. clone. job. endpoint. secret. key. ticket. token. audit. installation.";

#[derive(Template)]
#[template(path = "overview.html")]
pub(crate) struct OverviewPage {
    shell: Shell,
    hours: u64,
    path: String,
    overview: Overview,
    chart: PresenceChart,
    shows_numbers: bool,
    attention: Vec<Pressing>,
    /// Nothing, when this person may not read events.
    latest: Option<Vec<Told>>,
    may_add: bool,
}

/// `GET /`
pub(crate) async fn get(visit: Visit) -> Answered {
    let hours = hours(&visit.query);
    let path = format!("/v1/overview?hours={hours}");
    let (overview, latest) = tokio::join!(visit.api.get::<Overview>(&path), latest(&visit));
    let overview = overview?;
    let latest = latest?;
    let may = |permission| visit.may(permission);
    let may_add =
        may(Permission::MintTokens) || may(Permission::ManageSiteKeys) || may(Permission::ManageHosts);
    let page = OverviewPage {
        may_add,
        ..OverviewPage::new(visit.shell("Overview"), &visit.query, overview, latest)
    };
    visit.page(&page)
}

async fn latest(visit: &Visit) -> Result<Option<Vec<Told>>, Refusal> {
    if !visit.may(Permission::ReadEvents) {
        return Ok(None);
    }
    let events: Page<Event> = visit.api.get(LATEST).await?;
    let names = Names::of_events(visit, &events.items).await?;
    Ok(Some(events.items.into_iter().map(|event| Told::new(event, &names)).collect()))
}

fn hours(query: &Query) -> u64 {
    if query.is("hours", "168") { WEEK } else { DAY }
}

impl OverviewPage {
    fn new(shell: Shell, query: &Query, overview: Overview, latest: Option<Vec<Told>>) -> Self {
        let hours = hours(query);
        Self {
            chart: PresenceChart::new(&overview.presence_history, hours, shell.now),
            shows_numbers: query.is("numbers", "yes"),
            attention: overview.attention.iter().map(Pressing::new).collect(),
            path: query.only(&["hours", "numbers"]).on("/"),
            shell,
            hours,
            overview,
            latest,
            may_add: false,
        }
    }

    /// Whether no host was ever made.
    fn is_first_run(&self) -> bool {
        let HostCounts { invited, active, suspended, retired, .. } = self.overview.hosts;
        invited + active + suspended + retired == 0 && self.overview.claims_open == 0
    }

    /// The big figures: count, word, the hosts they are of.
    fn presence(&self) -> [(u64, Presence); 4] {
        let counts = self.overview.presence;
        [
            (counts.online, Presence::Online),
            (counts.unreachable, Presence::Unreachable),
            (counts.offline, Presence::Offline),
            (counts.never_seen, Presence::NeverSeen),
        ]
    }

    fn states(&self) -> [(u64, &'static str, &'static str); 5] {
        let counts = self.overview.hosts;
        [
            (counts.active, "active", "/hosts?state=active"),
            (counts.invited, "invited", "/hosts?state=invited"),
            (counts.suspended, "suspended", "/hosts?state=suspended"),
            (counts.held, "held", "/hosts?held=true"),
            (counts.retired, "retired", "/hosts?state=retired"),
        ]
    }

    fn legend(&self) -> [Presence; 4] {
        [Presence::Online, Presence::Unreachable, Presence::Offline, Presence::NeverSeen]
    }

    fn class(&self, presence: &Presence) -> &'static str {
        chart::class(*presence)
    }

    fn all_well(&self) -> Markup {
        markup::tinted("all well", Tone::Good)
    }

    fn swatch(&self, presence: &Presence) -> Markup {
        chart::swatch(*presence)
    }

    fn changes(&self) -> &'static str {
        CHANGES
    }

    /// What stands under the chart, oldest first, at even distances.
    fn marks(&self) -> &'static [&'static str] {
        if self.hours == WEEK {
            &["7 d ago", "6 d", "5 d", "4 d", "3 d", "2 d", "1 d", "now"]
        } else {
            &["24 h ago", "18 h", "12 h", "6 h", "now"]
        }
    }

    fn span(&self) -> &'static str {
        if self.hours == WEEK { "7 days" } else { "24 hours" }
    }

    fn chart_label(&self) -> String {
        format!("Hosts by presence in the last {}", self.span())
    }

    fn numbers(&self) -> Vec<&PresenceSample> {
        self.chart.rows(Duration::from_secs(if self.hours == WEEK { 6 * 3600 } else { 3600 }))
    }

    fn link(&self, hours: u64, numbers: bool) -> String {
        let query = Query::parse(if hours == WEEK { "hours=168" } else { "" });
        if numbers { query.with("numbers", "yes").on("/") } else { query.on("/") }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples::{self, CLAIM, HOSTILE, OTHER_HOST, ago};
    use crate::telling;

    fn overview() -> Overview {
        let history: Vec<serde_json::Value> = (0..280u64)
            .filter(|index| !(90..110).contains(index))
            .map(|index| {
                let down = if (30..60).contains(&index) { 9 } else { 2 };
                json!({ "at": ago((280 - index) * 300), "online": 40 + index / 40 - down, "unreachable": down,
                        "offline": 3, "never_seen": 1 })
            })
            .collect();
        samples::of(json!({
            "at": ago(3),
            "hosts": { "invited": 2, "active": 50, "suspended": 1, "retired": 7, "held": 1 },
            "presence": { "online": 44, "unreachable": 2, "offline": 3, "never_seen": 1 },
            "claims_open": 3, "jobs_open": 2, "jobs_failed_day": 1,
            "attention": [
                { "kind": "hosts_held", "count": 1, "more": false, "items": [{ "id": OTHER_HOST, "name": HOSTILE, "since": ago(3000) }] },
                { "kind": "claims_waiting", "count": 3, "more": false, "items": [
                    { "id": CLAIM, "name": "web-01.example", "since": ago(900) },
                    { "id": CLAIM, "name": HOSTILE, "since": ago(300) } ] },
                { "kind": "secrets_unreadable", "count": 1000, "more": true, "items": [{ "id": HOSTILE, "name": HOSTILE, "since": ago(60) }] },
                { "kind": "hosts_unreachable", "count": 2, "more": false, "items": [{ "id": OTHER_HOST, "name": "db-02", "since": ago(4000) }] },
                { "kind": "site_keys_expiring", "count": 1, "more": false, "items": [
                    { "id": "4fGh7kLm2nPq", "name": "Bremen", "since": samples::NOW.plus(Duration::from_secs(260_000)) } ] },
            ],
            "presence_history": history,
        }))
    }

    impl OverviewPage {
        pub(crate) fn sample() -> Self {
            let shell = Shell::sample("Overview", "/");
            let latest = Some(telling::tests::told());
            Self { may_add: true, ..Self::new(shell, &Query::default(), overview(), latest) }
        }

        fn empty() -> Self {
            let zeros = json!({
                "at": ago(2), "hosts": HostCounts::default(), "claims_open": 0, "jobs_open": 0, "jobs_failed_day": 0,
                "presence": { "online": 0, "unreachable": 0, "offline": 0, "never_seen": 0 },
                "attention": [], "presence_history": [],
            });
            let shell = Shell::sample("Overview", "/");
            Self {
                may_add: true,
                ..Self::new(shell, &Query::default(), samples::of(zeros), Some(Vec::new()))
            }
        }
    }

    #[test]
    fn the_fleet_at_a_glance() {
        samples::check("overview", &OverviewPage::sample());
    }

    #[test]
    fn a_new_installation_leads_to_the_first_host() {
        samples::check("overview_first_run", &OverviewPage::empty());
        let stranger = OverviewPage { may_add: false, ..OverviewPage::empty() };
        assert!(!stranger.render().unwrap().contains("href=\"/hosts/add\""));
    }

    #[test]
    fn the_numbers_behind_the_chart_are_a_table_for_who_asks() {
        let page = OverviewPage::new(
            Shell::sample("Overview", "/"),
            &Query::parse("hours=168&numbers=yes"),
            overview(),
            None,
        );
        let html = page.render().unwrap();
        assert!(html.contains("<caption") && html.contains("7 days"));
        assert!(!html.contains("Latest events"));
    }
}
