//! What stands around every page of one host: who it is, how it is, the way to the other pages, what is wrong.

use muster_ids::{HostId, Timestamp};
use muster_wire::host::{Host, HostState, Presence};
use muster_wire::permission::Permission;
use muster_wire::site::Site;

use crate::markup::{self, Markup};
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::visit::Visit;
use crate::words::{self, Tone, Worded};

/// Below so many percent of free space somebody should look.
const DISK_LOW_PERCENT: u8 = 10;
/// A clock so far off makes proofs fail before long.
const CLOCK_OFF_MS: u32 = 30_000;

/// The pages of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    Overview,
    Activity,
    Keys,
    Secrets,
    Jobs,
    Manage,
}

impl Tab {
    const ALL: [Self; 6] =
        [Self::Overview, Self::Activity, Self::Keys, Self::Secrets, Self::Jobs, Self::Manage];

    const fn label(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Activity => "Activity",
            Self::Keys => "Keys",
            Self::Secrets => "Secrets",
            Self::Jobs => "Jobs",
            Self::Manage => "Manage",
        }
    }

    const fn folder(self) -> &'static str {
        match self {
            Self::Overview => "",
            Self::Activity => "/activity",
            Self::Keys => "/keys",
            Self::Secrets => "/secrets",
            Self::Jobs => "/jobs",
            Self::Manage => "/manage",
        }
    }
}

/// What a person may do with the host; the API judges again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct May {
    pub(crate) operate: bool,
    pub(crate) manage: bool,
    pub(crate) set_secrets: bool,
    pub(crate) run_jobs: bool,
    pub(crate) read_events: bool,
    pub(crate) read_audit: bool,
}

impl May {
    pub(crate) fn of(visit: &Visit) -> Self {
        Self::by(|permission| visit.may(permission))
    }

    pub(crate) fn by(may: impl Fn(Permission) -> bool) -> Self {
        Self {
            operate: may(Permission::OperateHosts),
            manage: may(Permission::ManageHosts),
            set_secrets: may(Permission::ManageSecrets),
            run_jobs: may(Permission::RunJobs),
            read_events: may(Permission::ReadEvents),
            read_audit: may(Permission::ReadAudit),
        }
    }
}

/// One thing that is wrong, with the way to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) tone: Tone,
    pub(crate) what: &'static str,
    pub(crate) says: String,
    pub(crate) since: Option<Timestamp>,
    pub(crate) way: Option<(String, &'static str)>,
}

/// A host with what stands around its pages.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) host: Host,
    pub(crate) site: String,
    pub(crate) tab: Tab,
    pub(crate) may: May,
    pub(crate) done: Option<&'static str>,
    /// Why what was asked for on this page was refused.
    pub(crate) refused: Option<String>,
}

impl Frame {
    pub(crate) async fn load(visit: &Visit, id: HostId, tab: Tab) -> Result<Self, Refusal> {
        let host: Host = visit.api.get(&format!("/v1/hosts/{id}")).await?;
        let site = visit.api.get_if_shown::<Site>(&format!("/v1/sites/{}", host.site_id)).await?;
        let site = site.map_or_else(|| "another site".to_owned(), |site| site.name);
        let done = visit.query.get("done").and_then(words::fleet::done);
        Ok(Self { host, site, tab, may: May::of(visit), done, refused: None })
    }

    /// Says on this page why what was asked for was refused.
    pub(crate) fn refuse(&mut self, refusal: &Refusal) {
        self.refused = Some(refusal.says());
    }

    /// Returns the path of a page of this host.
    pub(crate) fn path(&self, folder: &str) -> String {
        format!("/hosts/{}{folder}", self.host.id)
    }

    pub(crate) fn tabs(&self) -> Vec<(String, &'static str, bool)> {
        let tabs = Tab::ALL.into_iter();
        tabs.map(|tab| (self.path(tab.folder()), tab.label(), tab == self.tab)).collect()
    }

    pub(crate) fn is(&self, state: HostState) -> bool {
        self.host.state == state
    }

    pub(crate) fn is_active(&self) -> bool {
        self.is(HostState::Active)
    }

    pub(crate) fn state(&self) -> &'static str {
        self.host.state.word()
    }

    /// Shows whether it can be reached, as far as that is a question.
    pub(crate) fn presence(&self) -> Option<Markup> {
        (self.host.state == HostState::Active).then(|| markup::pill(&self.host.presence.status))
    }

    /// Returns what is wrong, most pressing first.
    pub(crate) fn troubles(&self) -> Vec<Trouble> {
        let standing = [self.held(), self.standing(), self.keyless(), self.presence_trouble()];
        let config = [self.exposed(), self.drifted()];
        standing.into_iter().chain(config).flatten().chain(self.vital_troubles()).collect()
    }

    fn keyless(&self) -> Option<Trouble> {
        if self.host.state != HostState::Active || !self.host.keys.is_empty() {
            return None;
        }
        Some(Trouble {
            tone: Tone::Bad,
            what: "No key",
            says: "Nothing proves this host any more: its machine is refused until it rejoins with a token made for it.".to_owned(),
            since: None,
            way: Some((self.path("/manage"), "Make a token to rejoin")),
        })
    }

    fn held(&self) -> Option<Trouble> {
        let held = self.host.held?;
        let way = match held.claim_id {
            Some(claim) => (format!("/approvals/{claim}"), "Look at the claim and decide"),
            None => (self.path("/manage"), "Resume the host"),
        };
        Some(Trouble {
            tone: Tone::Bad,
            what: "Held",
            says: "Two machines show this identity. Neither gets anything, and no job runs, before a person says which is genuine.".to_owned(),
            since: Some(held.held_at),
            way: Some(way),
        })
    }

    fn standing(&self) -> Option<Trouble> {
        let (tone, what, says, since, way) = match self.host.state {
            HostState::Active => return None,
            HostState::Suspended => (
                Tone::Warn,
                "Suspended",
                "It keeps its keys and is refused everything until it is resumed.",
                None,
                Some("Resume it"),
            ),
            HostState::Invited => (
                Tone::Busy,
                "Invited",
                "Its machine has not come yet. It joins with the registration token of this host.",
                Some(self.host.created_at),
                Some("Make a new token"),
            ),
            HostState::Retired => (
                Tone::Quiet,
                "Retired",
                "It is gone for good: its keys are revoked, its secrets destroyed. What it did stays to be read.",
                self.host.retired_at,
                None,
            ),
        };
        let way = way.map(|label| (self.path("/manage"), label));
        Some(Trouble { tone, what, says: says.to_owned(), since, way })
    }

    fn presence_trouble(&self) -> Option<Trouble> {
        if self.host.state != HostState::Active {
            return None;
        }
        let (tone, what, says) = match self.host.presence.status {
            Presence::Online => return None,
            Presence::Unreachable => (
                Tone::Bad,
                "Unreachable",
                "Its heartbeats are missing. Look whether the machine runs and has a network; there, muster-agent doctor says what stands in the way.",
            ),
            Presence::Offline => (
                Tone::Quiet,
                "Offline",
                "It said goodbye, or was not heard of for a day. It comes back by itself when its agent runs.",
            ),
            Presence::NeverSeen => (
                Tone::Warn,
                "Never seen",
                "It was admitted but never connected. Look there whether the agent runs: muster-agent doctor.",
            ),
        };
        let since = self.host.presence.last_seen_at;
        Some(Trouble { tone, what, says: says.to_owned(), since, way: None })
    }

    fn exposed(&self) -> Option<Trouble> {
        if self.host.exposed_secrets.is_empty() {
            return None;
        }
        let names = self.host.exposed_secrets.join(", ");
        Some(Trouble {
            tone: Tone::Bad,
            what: "Exposed secrets",
            says: format!(
                "{names}: a key nobody trusts any more received it. Change it where it is used, then set the new value here."
            ),
            since: None,
            way: Some((self.path("/secrets"), "Set a new value")),
        })
    }

    fn drifted(&self) -> Option<Trouble> {
        let config = self.host.config.as_ref()?;
        let since = config.drifted_since?;
        let has = config.applied.map_or_else(|| "none".to_owned(), version);
        Some(Trouble {
            tone: Tone::Warn,
            what: "Configuration drifted",
            says: format!(
                "It should have configuration {} and last confirmed {has}. It is sent again by itself when the host connects.",
                version(config.wanted)
            ),
            since: Some(since),
            way: None,
        })
    }

    fn vital_troubles(&self) -> Vec<Trouble> {
        let Some(vitals) = self.host.vitals.filter(|_| self.host.state == HostState::Active) else {
            return Vec::new();
        };
        let low = vitals.disk_free_percent.filter(|free| *free < DISK_LOW_PERCENT);
        let disk =
            low.map(|free| ("Disk nearly full", format!("{free} % of its root file system are free.")));
        let off = vitals.clock_ahead_ms.filter(|ahead| ahead.unsigned_abs() > CLOCK_OFF_MS);
        let clock = off.map(|ahead| {
            (
                "Clock is off",
                format!(
                    "Its clock is {}. Set it by NTP: proofs of a key hold for minutes only.",
                    clock(ahead)
                ),
            )
        });
        let troubles = [disk, clock].into_iter().flatten();
        troubles
            .map(|(what, says)| Trouble { tone: Tone::Warn, what, says, since: Some(vitals.at), way: None })
            .collect()
    }
}

/// Says a version of a configuration.
pub(crate) fn version(version: muster_wire::channel::ConfigVersion) -> String {
    if version.epoch <= 1 { format!("{}", version.n) } else { format!("{}.{}", version.epoch, version.n) }
}

/// Says how far a clock is off.
pub(crate) fn clock(ahead_ms: i32) -> String {
    let off = ahead_ms.unsigned_abs();
    let span = if off < 1000 {
        format!("{off} ms")
    } else {
        markup::span(std::time::Duration::from_millis(off.into()))
    };
    match ahead_ms.signum() {
        0 => "exact".to_owned(),
        1 => format!("{span} ahead"),
        _ => format!("{span} behind"),
    }
}

/// Returns the shell of a page of this host.
pub(crate) fn shell(visit: &Visit, frame: &Frame) -> Shell {
    let mut shell = visit.shell(&frame.host.name);
    if !visit.is_of_page {
        // What is live is fetched from the page, not from where its form went.
        shell.path = frame.path(frame.tab.folder());
    }
    shell
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples::{self, ago};

    impl Frame {
        pub(crate) fn sample(tab: Tab) -> Self {
            Self::of(samples::host(), tab)
        }

        pub(crate) fn of(mut host: Host, tab: Tab) -> Self {
            host.keys = vec![samples::KEY.parse().unwrap()];
            let site = "Bremen".to_owned();
            Self { host, site, tab, may: May::by(|_| true), done: None, refused: None }
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "a table reads better so")]
    fn check(changes: serde_json::Value, expected: &[&str]) {
        let mut json = serde_json::to_value(samples::host()).unwrap();
        json.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let troubles = Frame::of(samples::of(json), Tab::Overview).troubles();
        let what: Vec<&str> = troubles.iter().map(|trouble| trouble.what).collect();
        assert_eq!(what, expected, "{changes}");
    }

    #[test]
    fn what_is_wrong_comes_first_and_nothing_is_wrong_with_a_host_that_is_well() {
        check(json!({}), &[]);
        check(json!({ "held": { "held_at": ago(9), "claim_id": null } }), &["Held"]);
        check(
            json!({ "state": "suspended", "presence": { "status": "offline", "last_seen_at": null } }),
            &["Suspended"],
        );
        check(json!({ "state": "invited", "config": null }), &["Invited"]);
        check(json!({ "presence": { "status": "unreachable", "last_seen_at": ago(900) } }), &["Unreachable"]);
        check(json!({ "presence": { "status": "never_seen", "last_seen_at": null } }), &["Never seen"]);
        check(json!({ "exposed_secrets": ["repo"] }), &["Exposed secrets"]);
        let vitals = json!({ "at": ago(9), "load_percent": 10, "disk_free_gb": 1, "disk_free_percent": 2, "clock_ahead_ms": -90_000 });
        check(json!({ "vitals": vitals }), &["Disk nearly full", "Clock is off"]);
        let config = json!({ "wanted": { "epoch": 1, "n": 4 }, "applied": null, "applied_at": null, "drifted_since": ago(80), "sent_times": 2, "sent_at": ago(8) });
        check(json!({ "config": config }), &["Configuration drifted"]);
    }

    #[test]
    fn a_host_without_a_key_is_told_to_rejoin() {
        let mut frame = Frame::sample(Tab::Overview);
        frame.host.keys.clear();
        assert_eq!(frame.troubles()[0].what, "No key");
    }

    #[test]
    fn a_held_host_leads_to_its_claim() {
        let host = samples::hosts().pop().unwrap();
        let troubles = Frame::of(host, Tab::Overview).troubles();
        assert_eq!(troubles[0].way.as_ref().unwrap().0, format!("/approvals/{}", samples::CLAIM));
    }

    #[test]
    fn a_clock_is_told_in_words() {
        assert_eq!([0, 120, -3_000].map(clock), ["exact", "120 ms ahead", "3 s behind"]);
    }
}
