//! The dashboard over a large fleet: how soon a page begins, what the first one weighs, how soon a change is seen.

mod browser;
mod live;

use std::collections::BTreeSet;

use anyhow::Context;
use muster_ids::HostId;
use muster_wire::host::Host;
use muster_wire::page::Page;

use self::browser::Browser;
use super::lists::deep_cursor;
use super::{Bench, fleet};
use crate::card::{Card, GoalKind};
use crate::figures::Spread;
use crate::play::Play;
use crate::server::Backend;

const WARM: usize = 5;
const VISITS: usize = 100;
/// Machines that wait for a person: more than a page of approvals shows, and each is an event.
const WAITING: usize = 50;

/// Somebody who is signed in at a server with a large fleet.
struct Scene {
    play: Play,
    browser: Browser,
    hosts: u64,
    /// A host of the first page of the list.
    host_id: HostId,
}

pub(super) async fn measure(card: &mut Card, backend: Backend, bench: &Bench) {
    let name = backend.name();
    let scene = match Scene::make(backend, bench).await {
        Ok(scene) => scene,
        Err(error) => return card.missing("the dashboard", name, &error),
    };
    card.figure("hosts in the dashboard", name, scene.hosts as f64, "");
    if let Err(error) = scene.pages(card).await {
        card.missing("dashboard, pages", name, &error);
    }
    if let Err(error) = scene.weight(card).await {
        card.missing("dashboard, first page", name, &error);
    }
    if let Err(error) = scene.live(card, bench.sizes.changed).await {
        card.missing("dashboard, live update", name, &error);
    }
}

impl Scene {
    async fn make(backend: Backend, bench: &Bench) -> anyhow::Result<Self> {
        let hosts = bench.sizes.shown;
        let mut play = fleet::begin(&bench.muster, backend, hosts).await?;
        play.open_claims(WAITING).await?;
        let browser = Browser::sign_in(&play.stage).await?;
        let first: Page<Host> = play.stage.owner.get("/v1/hosts?state=active&limit=1").await?;
        let host_id = first.items.first().context("there is no host")?.id;
        Ok(Self { play, browser, hosts, host_id })
    }

    fn database(&self) -> &'static str {
        self.play.stage.server.backend.name()
    }

    async fn pages(&self, card: &mut Card) -> anyhow::Result<()> {
        let cursor = deep_cursor(&self.play, self.hosts / 2).await?;
        let pages = [
            ("overview", "/".to_owned()),
            ("hosts", "/hosts".to_owned()),
            ("hosts from the middle on", format!("/hosts?cursor={cursor}")),
            ("hosts whose name begins like one", "/hosts?q=fleet-0000777".to_owned()),
            ("a host", format!("/hosts/{}", self.host_id)),
            ("approvals", "/approvals".to_owned()),
            ("events", "/events".to_owned()),
        ];
        let mut slowest: f64 = 0.0;
        for (what, path) in pages {
            let first_byte = self.first_byte(&path).await.context(what)?;
            for (share, value) in [("p50", first_byte.p50_ms()), ("p99", first_byte.p99_ms())] {
                card.figure(format!("dashboard, {what}, first byte, {share}"), self.database(), value, "ms");
            }
            slowest = slowest.max(first_byte.p99_ms());
        }
        card.goal(GoalKind::DashboardPages, self.database(), slowest, None);
        Ok(())
    }

    async fn first_byte(&self, path: &str) -> anyhow::Result<Spread> {
        for _ in 0..WARM {
            self.browser.visit(path).await?;
        }
        let mut first_bytes = Vec::with_capacity(VISITS);
        for _ in 0..VISITS {
            first_bytes.push(self.browser.visit(path).await?.first_byte);
        }
        Ok(Spread::of(first_bytes))
    }

    async fn weight(&self, card: &mut Card) -> anyhow::Result<()> {
        let page = self.browser.read("/hosts", &[]).await?;
        let mut bytes = self.browser.visit("/hosts").await?.bytes;
        card.figure("dashboard, first page without its files", self.database(), bytes as f64 / 1e3, "kB");
        for file in files(&page) {
            bytes += self.browser.visit(file).await?.bytes;
        }
        card.goal(GoalKind::DashboardWeight, self.database(), bytes as f64 / 1e3, None);
        Ok(())
    }

    async fn live(&self, card: &mut Card, changes: usize) -> anyhow::Result<()> {
        let seen = live::changes(&self.browser, &self.play.stage.owner, self.host_id, changes).await?;
        card.figure("dashboard, live update, p50", self.database(), seen.p50_ms(), "ms");
        card.goal(GoalKind::DashboardLive, self.database(), seen.p99_ms(), None);
        Ok(())
    }
}

/// The files that a page names: no file names another one.
fn files(page: &str) -> BTreeSet<&str> {
    page.split('"').filter(|value| value.starts_with("/assets/")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_a_page_names_is_weighed_once() {
        let page = "<link href=\"/assets/1/app.css\"><script src=\"/assets/2/live.js\"></script>\
                    <a href=\"/hosts\"><link href=\"/assets/1/app.css\">";
        assert_eq!(files(page), BTreeSet::from(["/assets/1/app.css", "/assets/2/live.js"]));
    }
}
