//! The scale card: each goal with its value, its denominator of the same run, and whether it is met.

mod goals;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::figures::Histogram;
use crate::proc::ThisMachine;

pub(crate) use goals::GoalKind;
#[cfg(test)]
pub(crate) use goals::{Bound, GOALS};

/// Seconds that a line of the histogram stands for.
const SECONDS_A_LINE: usize = 10;

/// A goal as it was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Goal {
    pub(crate) name: &'static str,
    pub(crate) database: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// What it is measured against; none where the goal is a plain figure.
    pub(crate) denominator: Option<f64>,
    pub(crate) denominator_is: &'static str,
    pub(crate) ratio: Option<f64>,
    pub(crate) must: String,
    pub(crate) extreme: String,
    pub(crate) met: bool,
    pub(crate) extreme_met: bool,
}

/// A goal that could not be measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Missing {
    pub(crate) what: &'static str,
    pub(crate) database: &'static str,
    pub(crate) why: String,
}

/// A figure beside the goals.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) database: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

/// All that a run measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Card {
    pub(crate) version: &'static str,
    pub(crate) measured_at: String,
    /// Whether numbers were small: such a card compares nothing.
    pub(crate) is_quick: bool,
    pub(crate) took_secs: f64,
    pub(crate) machine: ThisMachine,
    pub(crate) goals: Vec<Goal>,
    pub(crate) missing: Vec<Missing>,
    pub(crate) figures: Vec<Figure>,
    /// Connects in each second after the server was killed, by database.
    pub(crate) reconnects: BTreeMap<&'static str, Histogram>,
}

impl Card {
    pub(crate) fn new(machine: ThisMachine, measured_at: String, is_quick: bool) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            measured_at,
            is_quick,
            took_secs: 0.0,
            machine,
            goals: Vec::new(),
            missing: Vec::new(),
            figures: Vec::new(),
            reconnects: BTreeMap::new(),
        }
    }

    /// Adds a goal and says it aloud.
    pub(crate) fn goal(
        &mut self,
        kind: GoalKind,
        database: &'static str,
        value: f64,
        denominator: Option<f64>,
    ) {
        let goal = kind.rule().judge(database, value, denominator);
        eprintln!("    {}", goal.line());
        self.goals.push(goal);
    }

    /// Adds a figure and says it aloud.
    pub(crate) fn figure(
        &mut self,
        name: impl Into<String>,
        database: &'static str,
        value: f64,
        unit: &'static str,
    ) {
        let figure = Figure { name: name.into(), database, value, unit };
        eprintln!("    {} ({database}): {} {unit}", figure.name, shown(value));
        self.figures.push(figure);
    }

    /// Notes what could not be measured: a card with a hole is not met.
    pub(crate) fn missing(&mut self, what: &'static str, database: &'static str, error: &anyhow::Error) {
        eprintln!("    {what} ({database}) was not measured: {error:#}");
        self.missing.push(Missing { what, database, why: format!("{error:#}") });
    }

    /// Writes the card for people.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from("# Scale card\n\n");
        let machine = &self.machine;
        let _ = writeln!(
            text,
            "Muster {}, measured {} in {:.0} s by `make bench`. How each figure is measured and what stands in the \
             way of each extreme: [performance.md](performance.md).\n\n\
             {} cores ({}), {} GiB, Linux {}, {}, {} descriptors a process; load before the run {}. Clients, server \
             and database share this machine: ratios carry over to another one, absolute figures do not.\n",
            self.version,
            self.measured_at,
            self.took_secs,
            machine.cores,
            machine.processor,
            machine.memory_gib,
            machine.kernel,
            machine.file_system,
            machine.descriptors,
            machine.load_before,
        );
        let met = self.goals.iter().filter(|goal| goal.met).count();
        let extreme = self.goals.iter().filter(|goal| goal.extreme_met).count();
        let _ = writeln!(text, "**{met} of {} musts are met, {extreme} extremes.**\n", self.goals.len());
        text.push_str("| goal | database | value | measured against | ratio | must | extreme | met |\n");
        text.push_str("|---|---|---|---|---|---|---|---|\n");
        for goal in &self.goals {
            let _ = writeln!(text, "{}", goal.row());
        }
        for missing in &self.missing {
            let why = missing.why.replace(['|', '\n'], " ");
            let _ = writeln!(
                text,
                "| {} | {} | not measured: {why} | | | | | **no** |",
                missing.what, missing.database
            );
        }
        text.push_str("\n## Figures\n\n| figure | database | value |\n|---|---|---|\n");
        for figure in &self.figures {
            let value = shown(figure.value);
            let _ = writeln!(text, "| {} | {} | {value} {} |", figure.name, figure.database, figure.unit);
        }
        text.push_str("\n## Connects after kill -9, by the second they came\n\n```text\n");
        for (database, histogram) in &self.reconnects {
            let _ = writeln!(text, "{database}");
            let spans: Vec<usize> =
                histogram.per_second.chunks(SECONDS_A_LINE).map(|span| span.iter().sum()).collect();
            let most = spans.iter().copied().max().unwrap_or(0).max(1);
            for (line, count) in spans.iter().enumerate() {
                let (from, bar) = (line * SECONDS_A_LINE, "#".repeat(count * 60 / most));
                let _ = writeln!(text, "{from:>4} s {count:>6} {bar}");
            }
        }
        text.push_str("```\n");
        text
    }
}

impl Goal {
    fn line(&self) -> String {
        let verdict = match (self.met, self.extreme_met) {
            (_, true) => "extreme",
            (true, false) => "met",
            (false, false) => "NOT MET",
        };
        let against = self.denominator.map_or_else(String::new, |denominator| {
            format!(" / {} = {}", shown(denominator), shown(self.ratio.unwrap_or_default()))
        });
        format!(
            "{} ({}): {} {}{against}, must {}, extreme {}: {verdict}",
            self.name,
            self.database,
            shown(self.value),
            self.unit,
            self.must,
            self.extreme
        )
    }

    fn row(&self) -> String {
        let met = match (self.met, self.extreme_met) {
            (_, true) => "yes, extreme",
            (true, false) => "yes",
            (false, false) => "**no**",
        };
        let against = self.denominator.map_or_else(String::new, |denominator| {
            format!("{} {}", shown(denominator), self.denominator_is)
        });
        let ratio = self.ratio.map_or_else(String::new, shown);
        format!(
            "| {} | {} | {} {} | {against} | {ratio} | {} | {} | {met} |",
            self.name,
            self.database,
            shown(self.value),
            self.unit,
            self.must,
            self.extreme
        )
    }
}

/// A number as short as it may be: three digits that count.
pub(crate) fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests;
