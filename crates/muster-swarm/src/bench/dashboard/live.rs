//! A page that is open while something happens: it hears of events and fetches its live part anew, as `live.js` does.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Context;
use http::HeaderName;
use http::header::ACCEPT;
use muster_client::{Download, OperatorClient};
use muster_edge::Entropy;
use muster_ids::HostId;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::browser::Browser;
use crate::figures::Spread;

/// From an event to the look at what it changed, as the script has it.
const GATHER: Duration = Duration::from_millis(40);
/// For how long a look puts the next one off, as the script has it: after a silence, and at most.
const QUICK: Duration = Duration::from_millis(500);
const SLOW: Duration = Duration::from_secs(2);
/// Between two changes: the look at one does not put off the look at the next.
const PAUSE: Duration = Duration::from_millis(2100);
const SEEN_WITHIN: Duration = Duration::from_secs(20);
const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");
const SHOWN_TEAM: HeaderName = HeaderName::from_static("muster-shown-team");

/// Suspends and resumes a host while somebody else has the list of hosts open; returns from before each change was asked
/// for until the list that shows it was there.
pub(super) async fn changes(
    browser: &Browser,
    owner: &OperatorClient,
    host_id: HostId,
    count: usize,
) -> anyhow::Result<Spread> {
    let (shown, list) = watch::channel(String::new());
    let mut page = OpenPage::open(browser, "/hosts", shown).await?;
    tokio::select! {
        closed = page.stay_true() => match closed.context("the page went stale")? {},
        seen = seen(owner, host_id, count, list) => seen,
    }
}

async fn seen(
    owner: &OperatorClient,
    host_id: HostId,
    count: usize,
    mut list: watch::Receiver<String>,
) -> anyhow::Result<Spread> {
    let mut took = Vec::with_capacity(count);
    for (change, state) in [("suspend", "suspended"), ("resume", "active")].into_iter().cycle().take(count) {
        sleep(PAUSE).await;
        let began = Instant::now();
        let _: Value = owner.post_empty(&format!("/v1/hosts/{host_id}/{change}")).await?;
        let is_seen = list.wait_for(|page| says(page, host_id, state));
        timeout(SEEN_WITHIN, is_seen).await.with_context(|| format!("{state} was not seen"))??;
        took.push(began.elapsed());
    }
    Ok(Spread::of(took))
}

/// Whether the row of a host says that state.
fn says(page: &str, host_id: HostId, state: &str) -> bool {
    let row = page.split_once(&format!("<tr id=\"{host_id}\">")).map(|(_, row)| row);
    let row = row.and_then(|row| row.split("</tr>").next());
    row.is_some_and(|row| row.contains(&format!("</svg>{state}</span>")))
}

/// A page with one live part.
struct OpenPage<'a> {
    browser: &'a Browser,
    part: Part,
    events: Download,
    /// What was told and is not read yet.
    told: String,
    shown: watch::Sender<String>,
}

impl<'a> OpenPage<'a> {
    async fn open(browser: &'a Browser, path: &str, shown: watch::Sender<String>) -> anyhow::Result<Self> {
        let page = browser.read(path, &[]).await?;
        let part = Part::of(&page).context("the page has no live part")?;
        let events = browser.open(&part.stream, &[(ACCEPT, "text/event-stream")]).await?;
        shown.send_replace(page);
        Ok(Self { browser, part, events, told: String::new(), shown })
    }

    /// Fetches the part after each event that changes it, and every so often.
    async fn stay_true(&mut self) -> anyhow::Result<Infallible> {
        let mut unasked_at = Instant::now() + self.part.every;
        let mut pace = Pace { slow: SLOW.min(self.part.every.mul_f64(0.9)), ease: QUICK, last: None };
        loop {
            match timeout_at(unasked_at, self.change()).await {
                Ok(told) => told?,
                Err(_) => unasked_at += self.part.every,
            }
            let look_at = pace.next_look(Instant::now(), Entropy.fraction());
            // Whatever is told meanwhile is seen by the same look.
            while let Ok(told) = timeout_at(look_at, self.change()).await {
                told?;
            }
            let began = Instant::now();
            let headers = [(HX_REQUEST, "true"), (SHOWN_TEAM, self.part.team.as_str())];
            self.shown.send_replace(self.browser.read(&self.part.path, &headers).await?);
            pace.last = Some((began, began.elapsed()));
        }
    }

    /// Waits until an event is told that changes the part.
    async fn change(&mut self) -> anyhow::Result<()> {
        loop {
            while let Some(end) = self.told.find("\n\n") {
                let event: String = self.told.drain(..end + 2).collect();
                let kind = event.lines().find_map(|line| line.strip_prefix("event: "));
                if kind.is_some_and(|kind| self.part.is_changed_by(kind)) {
                    return Ok(());
                }
            }
            let piece = self.events.next().await?.context("the stream of events ended")?;
            self.told.push_str(std::str::from_utf8(&piece)?);
        }
    }
}

/// When a part is fetched that may have changed: soon after a silence, less often while events keep coming.
struct Pace {
    /// The longest that a look puts the next one off.
    slow: Duration,
    ease: Duration,
    /// When the last look began, and how long it took.
    last: Option<(Instant, Duration)>,
}

impl Pace {
    /// `spread` is a number from 0 to 1, so that not all pages look at the same moment.
    fn next_look(&mut self, now: Instant, spread: f64) -> Instant {
        if let Some((began, took)) = self.last {
            let ease = self.slow.min(self.ease.max(took * 2));
            if began + ease > now {
                self.ease = self.slow.min(self.ease.mul_f64(1.5));
                return began + ease + ease.mul_f64(spread / 4.0);
            }
        }
        self.ease = QUICK;
        now + GATHER
    }
}

/// The live part of a page, as its attributes say.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    path: String,
    kinds: Vec<String>,
    every: Duration,
    team: String,
    stream: String,
}

impl Part {
    fn of(page: &str) -> Option<Self> {
        let said = |name: &str| page.split_once(&format!(" {name}=\""))?.1.split('"').next();
        Some(Self {
            path: said("hx-get")?.to_owned(),
            kinds: said("data-live")?.split(' ').map(str::to_owned).collect(),
            every: Duration::from_secs(said("data-live-every")?.parse().ok()?),
            team: said("data-team")?.to_owned(),
            stream: said("data-live-stream")?.to_owned(),
        })
    }

    fn is_changed_by(&self, kind: &str) -> bool {
        self.kinds.iter().any(|word| if word.ends_with('.') { kind.starts_with(word) } else { kind == word })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<body data-live-stream=\"/live?after=7\" data-team=\"own\"><div id=\"rows\" data-hold \
                        data-live=\"host. claim.decided\" data-live-every=\"15\" hx-get=\"/hosts\">";

    #[test]
    fn a_part_says_where_it_is_and_what_changes_it() {
        let part = Part::of(PAGE).unwrap();
        assert_eq!((part.path.as_str(), part.stream.as_str()), ("/hosts", "/live?after=7"));
        assert_eq!((part.team.as_str(), part.every.as_secs()), ("own", 15));
        for (kind, changes) in
            [("host.suspended", true), ("claim.decided", true), ("claim.opened", false), ("hostile", false)]
        {
            assert_eq!(part.is_changed_by(kind), changes, "{kind}");
        }
        assert_eq!(Part::of("<p>"), None);
    }

    #[test]
    fn a_row_says_its_own_state() {
        let (one, other): (HostId, HostId) = (
            "host_01890a5dac96774bbcceb302099a8001".parse().unwrap(),
            "host_01890a5dac96774bbcceb302099a8002".parse().unwrap(),
        );
        let row = |id, state| format!("<tr id=\"{id}\"><td><svg></svg>{state}</span></td></tr>");
        let page = row(one, "suspended") + &row(other, "active");
        assert!(says(&page, one, "suspended") && !says(&page, one, "active"));
        assert!(says(&page, other, "active") && !says("", other, "active"));
    }

    #[test]
    fn a_look_is_put_off_longer_while_events_keep_coming() {
        let ms = Duration::from_millis;
        let began = Instant::now();
        let mut pace = Pace { slow: SLOW, ease: QUICK, last: None };
        assert_eq!(pace.next_look(began, 0.5), began + GATHER);
        pace.last = Some((began, ms(10)));
        assert_eq!(pace.next_look(began + ms(600), 0.5), began + ms(600) + GATHER, "it is quiet");
        for (spread, waits) in
            [(0.0, 500.0), (1.0, 750.0 * 1.25), (0.0, 1125.0), (0.0, 1687.5), (0.0, 2000.0)]
        {
            let look_at = pace.next_look(began + ms(100), spread);
            assert_eq!(look_at, began + Duration::from_secs_f64(waits / 1000.0), "{spread}");
        }
        let mut pace = Pace { slow: SLOW, ease: QUICK, last: Some((began, ms(400))) };
        assert_eq!(pace.next_look(began + ms(600), 0.0), began + ms(800), "a look takes long");
    }

    #[test]
    fn the_script_waits_as_the_bench_does() {
        let script = include_str!("../../../../muster-dashboard/assets/live.js");
        for wanted in [
            format!("const GATHER = {};", GATHER.as_millis()),
            format!("const QUICK = {};", QUICK.as_millis()),
            format!("const SLOW = {};", SLOW.as_millis()),
            "Math.min(SLOW, Number(part.dataset.liveEvery ?? 30) * 900)".to_owned(),
            "Math.min(slow, Math.max(look.ease, look.took * 2))".to_owned(),
            "look.ease = isQuiet ? QUICK : Math.min(slow, look.ease * 1.5)".to_owned(),
            "isQuiet ? GATHER : ease - since + (Math.random() * ease) / 4".to_owned(),
        ] {
            assert!(script.contains(&wanted), "{wanted}");
        }
    }
}
