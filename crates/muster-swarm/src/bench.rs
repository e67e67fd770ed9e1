//! Measures every goal, each against its floor in the same run, and fills the scale card.
//!
//! What fails to be measured is a hole in the card and stops nothing else. To add a goal: a line in `card::goals`, and a
//! measurement here.

mod agent;
mod dashboard;
mod durable;
mod fleet;
mod lists;
mod server;
mod store;

use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_edge::Clock;

use crate::card::Card;
use crate::proc::ThisMachine;
use crate::server::Backend;

/// What is run, and where.
pub(crate) struct Bench {
    pub(crate) muster: PathBuf,
    /// The agent, linked statically; none: its goals are holes.
    pub(crate) agent: Option<PathBuf>,
    pub(crate) sizes: Sizes,
    /// Only parts whose name holds this.
    pub(crate) only: Option<String>,
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) is_quick: bool,
    pub(crate) joins: usize,
    pub(crate) bearers: usize,
    pub(crate) plain: usize,
    pub(crate) tls: usize,
    pub(crate) revoked: usize,
    pub(crate) listed: u64,
    pub(crate) shown: u64,
    pub(crate) changed: usize,
    pub(crate) runs: usize,
    pub(crate) run_for: Duration,
    pub(crate) idle_for: Duration,
}

impl Sizes {
    /// The whole fleet on the embedded database; a fifth of it on the other one, which would be as long on its way back.
    pub(crate) fn fleet(&self, backend: Backend) -> usize {
        match backend {
            Backend::Sqlite => self.tls,
            Backend::Postgres => self.tls / 5,
        }
    }

    /// The hosts of the lists, likewise.
    pub(crate) fn listed(&self, backend: Backend) -> u64 {
        match backend {
            Backend::Sqlite => self.listed,
            Backend::Postgres => self.listed / 5,
        }
    }

    /// As the goals ask for.
    pub(crate) const FULL: Self = Self {
        is_quick: false,
        joins: 10_000,
        bearers: 4096,
        plain: 4000,
        tls: 10_000,
        revoked: 200,
        listed: 1_000_000,
        shown: 100_000,
        changed: 30,
        runs: 3,
        run_for: Duration::from_secs(3),
        idle_for: Duration::from_secs(20),
    };
    /// To see that everything is measured.
    pub(crate) const QUICK: Self = Self {
        is_quick: true,
        joins: 2000,
        bearers: 512,
        plain: 1000,
        tls: 1000,
        revoked: 50,
        listed: 50_000,
        shown: 10_000,
        changed: 5,
        runs: 1,
        run_for: Duration::from_secs(2),
        idle_for: Duration::from_secs(5),
    };
}

/// Runs everything and returns the card.
pub(crate) async fn run(bench: &Bench, descriptors: u64) -> Card {
    let clock = Clock::system();
    let began = clock.monotonic();
    let machine = ThisMachine::look(descriptors);
    let mut card = Card::new(machine, clock.now().to_string(), bench.sizes.is_quick);
    for backend in [Backend::Sqlite, Backend::Postgres] {
        if bench.wants("store") {
            store::measure(&mut card, backend, &bench.sizes).await;
        }
        if bench.wants("server") {
            server::measure(&mut card, backend, bench).await;
        }
        if bench.wants("durable") {
            durable::measure(&mut card, backend, bench).await;
        }
        if bench.wants("lists") {
            lists::measure(&mut card, backend, bench).await;
        }
        if bench.wants("dashboard") {
            dashboard::measure(&mut card, backend, bench).await;
        }
    }
    if bench.wants("agent") {
        agent::measure(&mut card, bench).await;
    }
    card.took_secs = (clock.monotonic() - began).as_secs_f64();
    card
}

impl Bench {
    fn wants(&self, part: &str) -> bool {
        let wanted = self.only.as_ref().is_none_or(|only| part.contains(only.as_str()));
        if wanted {
            eprintln!("{part}");
        }
        wanted
    }
}

/// Writes the card for people and for programs.
pub(crate) fn write(card: &Card, folder: &Path) -> anyhow::Result<()> {
    std::fs::write(folder.join("scale-card.md"), card.markdown())?;
    std::fs::write(folder.join("scale-card.json"), serde_json::to_string_pretty(card)? + "\n")?;
    Ok(())
}
