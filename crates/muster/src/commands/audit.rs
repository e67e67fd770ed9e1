use clap::{Args, Subcommand};
use muster_client::api::{Answer, AuditFilter, collect};
use muster_wire::audit::AuditEntry;
use muster_wire::page::{Order, Page};

use crate::failure::Failure;
use crate::follow::follow;
use crate::operator::Operator;
use crate::output::visible;
use crate::words::moment;

const EXAMPLES: &str = "\
Examples:
  muster audit list
  muster audit list --all -o json > audit.json
  muster audit list --follow";

/// The audit trail: who did what, to what, from where
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Audit {
    /// List what was done and refused, the newest last
    #[command(
        after_help = "Examples:\n  muster audit list\n  muster audit list --action claim.decided --all\n  muster audit list --follow -o json | jq ."
    )]
    List(List),
}

/// Which part of the trail.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only this action, such as host.enrolled
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only what was done to this id
    #[arg(long, value_name = "ID")]
    target: Option<String>,
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

const HEADER: [&str; 7] = ["POSITION", "AT", "ACTOR", "FROM", "ACTION", "TARGET", "OUTCOME"];

impl Audit {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let Self::List(list) = self;
        let filter = AuditFilter { action: list.action.clone(), target: list.target.clone() };
        if list.follow {
            return list.follow(operator, &filter).await;
        }
        let page = list.newest(operator, &filter).await?;
        operator.output.list(&page, |entry| entry.id.to_string(), &HEADER, row, "nothing was done yet")
    }
}

impl List {
    /// Reads back from the end of the trail, and turns round what it read.
    async fn newest(
        &self,
        operator: &Operator,
        filter: &AuditFilter,
    ) -> Result<Page<Answer<AuditEntry>>, Failure> {
        let most = (!self.all).then_some(self.limit);
        let client = &operator.client;
        let mut page = collect(most, async |page| client.audit(filter, Order::Desc, &page).await).await?;
        page.items.reverse();
        // The cursor leads to older entries, which are not what comes after these.
        page.next_cursor = None;
        Ok(page)
    }

    async fn follow(&self, operator: &Operator, filter: &AuditFilter) -> Result<(), Failure> {
        let client = &operator.client;
        let show = |entry: &Answer<AuditEntry>| show_line(operator, entry);
        follow(
            async |page| client.audit(filter, Order::Asc, &page).await,
            |entry| entry.position,
            show,
            async || Ok(false),
        )
        .await
    }
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

#[cfg(test)]
mod tests;
