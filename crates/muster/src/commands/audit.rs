mod export;
mod verify;

use clap::{Args, Subcommand};
use muster_client::api::{Answer, AuditFilter, collect};
use muster_ids::Timestamp;
use muster_wire::audit::AuditEntry;
use muster_wire::happening::Happening;
use muster_wire::page::{Order, Page};

use crate::cli::Global;
use crate::failure::Failure;
use crate::follow::follow;
use crate::operator::Operator;
use crate::output::visible;
use crate::span::moment_or_ago;
use crate::words::{joined, moment};

const EXAMPLES: &str = "\
Examples:
  muster audit list
  muster audit tail -f
  muster audit export --out audit.jsonl
  muster audit verify";

/// The audit trail: who did what, to what, from where
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Audit {
    /// List what was done and refused, the newest last
    #[command(
        after_help = "Examples:\n  muster audit list\n  muster audit list --action claim.decided --all\n  muster audit list --host web-1 --since 24h\n  muster audit list --follow -o json | jq ."
    )]
    List(List),
    /// Show the newest entries, one line each, and go on with -f
    #[command(
        after_help = "Examples:\n  muster audit tail\n  muster audit tail -f --action login.failed\n  muster audit tail -f -o json | jq ."
    )]
    Tail(Tail),
    /// Download entries as JSON lines; that is written to the trail as well
    #[command(
        after_help = "Examples:\n  muster audit export --out audit.jsonl\n  muster audit export --all-teams --since 30d --out month.jsonl"
    )]
    Export(export::Export),
    /// Verify that nothing was changed, removed, moved or slipped in
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::Verify),
}

/// Which entries.
#[derive(Debug, Clone, Args)]
pub(crate) struct Which {
    /// Only this action, such as host.enrolled; repeat for several
    #[arg(long = "action", value_name = "ACTION", value_delimiter = ',', value_parser = action)]
    actions: Vec<Happening>,
    /// Only what was done to this id
    #[arg(long, value_name = "ID")]
    target: Option<String>,
    /// Only what is about this host, by name or id
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Only what this one did: the id of a person or a host, or system
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Only what ended like this: ok, or the code of a refusal
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// Only what was done since: a moment like 2026-01-31T12:00:00Z, or how long ago, like 24h
    #[arg(long, value_name = "WHEN", value_parser = moment_or_ago)]
    since: Option<Timestamp>,
    /// Only what was done before: a moment, or how long ago
    #[arg(long, value_name = "WHEN", value_parser = moment_or_ago)]
    until: Option<Timestamp>,
}

/// Which part of the trail.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    which: Which,
    /// Show the newest N entries
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Show every entry
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Go on with every new entry, one line each, until Ctrl-C; starts with all there are
    #[arg(long, short, conflicts_with_all = ["limit", "all"])]
    follow: bool,
}

/// The end of the trail.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    #[command(flatten)]
    which: Which,
    /// Begin with the newest N entries
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: u64,
    /// Go on with every new entry until Ctrl-C
    #[arg(long, short)]
    follow: bool,
}

const HEADER: [&str; 7] = ["POSITION", "AT", "ACTOR", "FROM", "ACTION", "TARGET", "OUTCOME"];

impl Audit {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Verify(verify) => verify.run(global).await,
            Self::List(list) => list.run(&Operator::connect(global).await?).await,
            Self::Tail(tail) => tail.run(&Operator::connect(global).await?).await,
            Self::Export(export) => export.run(&Operator::connect(global).await?).await,
        }
    }
}

impl Which {
    /// Writes the filter the way the API takes it.
    async fn filter(&self, operator: &Operator) -> Result<AuditFilter, Failure> {
        let host_id = match &self.host {
            Some(host) => Some(operator.host(host).await?.to_string()),
            None => None,
        };
        Ok(AuditFilter {
            action: (!self.actions.is_empty())
                .then(|| self.actions.iter().map(|action| action.as_str()).collect::<Vec<_>>().join(",")),
            target: self.target.clone(),
            host_id,
            actor: self.actor.clone(),
            outcome: self.outcome.clone(),
            after: None,
            since: self.since.map(|since| since.to_string()),
            until: self.until.map(|until| until.to_string()),
        })
    }
}

impl List {
    async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let filter = self.which.filter(operator).await?;
        if self.follow {
            return go_on(operator, &filter).await;
        }
        let page = newest(operator, &filter, (!self.all).then_some(self.limit)).await?;
        operator.output.list(&page, |entry| entry.id.to_string(), &HEADER, row, "no entries")
    }
}

impl Tail {
    async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let mut filter = self.which.filter(operator).await?;
        // One entry at least, to know where to go on.
        let page = newest(operator, &filter, Some(self.lines.max(1))).await?;
        let shown =
            page.items.iter().skip(page.items.len().saturating_sub(usize::try_from(self.lines).unwrap_or(0)));
        for entry in shown {
            show_line(operator, entry)?;
        }
        if !self.follow {
            return Ok(());
        }
        filter.after = page.items.last().map(|entry| entry.position);
        go_on(operator, &filter).await
    }
}

/// Reads back from the end of the trail, and turns round what it read.
async fn newest(
    operator: &Operator,
    filter: &AuditFilter,
    most: Option<u64>,
) -> Result<Page<Answer<AuditEntry>>, Failure> {
    let client = &operator.client;
    let mut page = collect(most, async |page| client.audit(filter, Order::Desc, &page).await).await?;
    page.items.reverse();
    // The cursor leads to older entries, which are not what comes after these.
    page.next_cursor = None;
    Ok(page)
}

async fn go_on(operator: &Operator, filter: &AuditFilter) -> Result<(), Failure> {
    let client = &operator.client;
    follow(
        async |page| client.audit(filter, Order::Asc, &page).await,
        |entry| entry.position,
        |entry| show_line(operator, entry),
        async || Ok(false),
    )
    .await
}

fn show_line(operator: &Operator, entry: &Answer<AuditEntry>) -> Result<(), Failure> {
    let output = operator.output;
    output.show(entry, |entry| entry.id.to_string(), |entry| visible(&row(entry).join("  ")))
}

fn row(entry: &AuditEntry) -> Vec<String> {
    vec![
        entry.position.to_string(),
        moment(entry.at),
        entry.actor.clone(),
        entry.source.clone(),
        entry.action.clone(),
        entry.target.clone(),
        entry.outcome.clone(),
    ]
}

fn action(text: &str) -> Result<Happening, String> {
    let audited = || Happening::ALL.iter().filter(|what| what.is_audited());
    let found = audited().find(|what| what.as_str() == text).copied();
    found.ok_or_else(|| format!("expected one of {}", joined(audited())))
}

#[cfg(test)]
mod tests;
