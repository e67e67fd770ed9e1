//! What the demo shows: one plain line a step, or one JSON document.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use muster_edge::Clock;
use muster_ids::HostId;
use muster_wire::claim::{ClaimReason, ClaimState};
use muster_wire::enroll::Disposition;
use muster_wire::host::{Host, HostState, Presence};
use serde::Serialize;

/// One step.
#[derive(Debug, Serialize)]
struct Step {
    name: String,
    ok: bool,
    ms: u64,
}

/// One host of the demo.
#[derive(Debug, Serialize)]
struct ShownHost {
    id: HostId,
    door: Option<u8>,
    disposition: Option<Disposition>,
    state: HostState,
    presence: Presence,
}

/// The claim of the demo.
#[derive(Debug, Serialize)]
struct ShownClaim {
    reason: ClaimReason,
    resolution: ClaimState,
}

/// The backup of the demo.
#[derive(Debug, Serialize)]
struct ShownBackup {
    snapshot_id: String,
    bytes: u64,
}

#[derive(Debug, Default, Serialize)]
struct Document {
    ok: bool,
    steps: Vec<Step>,
    hosts: Vec<ShownHost>,
    claim: Option<ShownClaim>,
    backup: Option<ShownBackup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What the demo shows.
pub(super) struct Report {
    clock: Clock,
    as_json: bool,
    bar: Option<ProgressBar>,
    document: Document,
}

impl Report {
    pub(super) fn new(as_json: bool) -> Self {
        let bar = (!as_json && std::io::stdout().is_terminal()).then(waiting_bar);
        Self { clock: Clock::system(), as_json, bar, document: Document::default() }
    }

    /// Runs a step and shows how it went.
    pub(super) async fn step<T>(
        &mut self,
        name: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let started = self.clock.monotonic();
        if let Some(bar) = &self.bar {
            bar.reset_elapsed();
            bar.set_message(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        let result = work.await;
        if let Some(bar) = &self.bar {
            bar.disable_steady_tick();
            bar.set_position(0);
        }
        let took = self.clock.monotonic().saturating_sub(started);
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let mark = if result.is_ok() { "ok  " } else { "FAIL" };
        self.line(&format!("  {mark} {name}  ({ms} ms)"));
        self.document.steps.push(Step { name: name.to_owned(), ok: result.is_ok(), ms });
        result
    }

    /// Shows a heading.
    pub(super) fn scene(&self, title: &str) {
        self.line(&format!("\n{title}"));
    }

    /// Shows what came of a step.
    pub(super) fn detail(&self, text: &str) {
        self.line(&format!("       {text}"));
    }

    /// The bar that a step may move, from 0 to 100.
    pub(super) fn bar(&self) -> Option<ProgressBar> {
        self.bar.clone()
    }

    pub(super) fn host(&mut self, host: &Host) {
        self.document.hosts.push(ShownHost {
            id: host.id,
            door: host.door,
            disposition: host.disposition,
            state: host.state,
            presence: host.presence.status,
        });
    }

    pub(super) fn claim(&mut self, reason: ClaimReason, resolution: ClaimState) {
        self.document.claim = Some(ShownClaim { reason, resolution });
    }

    pub(super) fn backup(&mut self, snapshot_id: &str, bytes: u64) {
        self.document.backup = Some(ShownBackup { snapshot_id: snapshot_id.to_owned(), bytes });
    }

    pub(super) fn fail(&mut self, error: &anyhow::Error) {
        let reason = format!("{error:#}");
        if self.as_json {
            self.document.error = Some(reason);
        } else {
            self.line(&format!("\nThe demo stopped: {reason}"));
        }
    }

    pub(super) fn finish(&mut self, held: bool) -> anyhow::Result<()> {
        self.document.ok = held;
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if self.as_json {
            println!("{}", serde_json::to_string_pretty(&self.document)?);
        }
        Ok(())
    }

    fn line(&self, text: &str) {
        match &self.bar {
            _ if self.as_json => {}
            Some(bar) => bar.println(text),
            None => println!("{text}"),
        }
    }
}

fn waiting_bar() -> ProgressBar {
    let bar = ProgressBar::new(100);
    let style = ProgressStyle::with_template("  {spinner} {msg}  [{bar:24}] {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar
}
