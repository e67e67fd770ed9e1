use clap::Args;
use muster_client::api::Answer;
use muster_ids::{TicketId, Timestamp};
use muster_wire::leak::{LeakPreview, LeakReported, LeakedHost, PreviewLeak, ReportLeak};
use muster_wire::text::Line;

use crate::failure::Failure;
use crate::input::ask;
use crate::lookup::id;
use crate::operator::Operator;
use crate::output::{record, table};
use crate::span::moment_or_ago;
use crate::words::{moment, relative, word};

/// Hosts of a preview that are named.
const NAMED: u64 = 50;

/// Which ticket leaked, and what to do.
#[derive(Debug, Args)]
pub(crate) struct Leaked {
    /// The ticket's id
    ticket: String,
    /// Only what it admitted since: a moment like 2026-01-31T12:00:00Z, or how long ago, like 2d [default: everything]
    #[arg(long, value_name = "WHEN", value_parser = moment_or_ago)]
    since: Option<Timestamp>,
    /// Revoke the ticket and leave its hosts as they are
    #[arg(long)]
    keep_hosts: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Show what would be suspended and stop
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

impl Leaked {
    pub(super) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let ticket_id: TicketId = id("ticket", &self.ticket)?;
        let now = operator.now();
        let since = self.since;
        let asked = PreviewLeak { since, limit: muster_wire::page::PageLimit::new(NAMED), cursor: None };
        let preview = operator.client.leak_preview(ticket_id, &asked).await?;
        if self.dry_run {
            let ids = |preview: &LeakPreview| {
                preview.hosts.items.iter().map(|host| host.host_id.to_string()).collect::<Vec<_>>().join("\n")
            };
            return operator.output.show(&preview, ids, |preview| describe(preview, now));
        }
        if !self.yes && !confirmed(&preview, now, self.keep_hosts)? {
            return Err(Failure::plain("nothing was changed: you did not say yes"));
        }
        let seen = Line::parse(&preview.preview)
            .map_err(|_| Failure::plain("the server's preview has no version that can be sent back"))?;
        let report = ReportLeak { since, preview: seen, suspend: !self.keep_hosts };
        let done = operator.client.report_leak(ticket_id, &report).await.map_err(|error| {
            Failure::from(error).advise(
                "preview_stale",
                "the ticket is revoked and admits nobody any more; its hosts changed meanwhile: run the command \
                 again to suspend them",
            )
        })?;
        operator.output.show(&done, |done| done.ticket.id.to_string(), outcome)?;
        operator.output.hint("undo a suspension with: muster host resume HOST");
        Ok(())
    }
}

fn confirmed(preview: &Answer<LeakPreview>, now: Timestamp, keep_hosts: bool) -> Result<bool, Failure> {
    eprintln!("{}\n", describe(preview, now));
    let question = if keep_hosts {
        "revoke this ticket?".to_owned()
    } else {
        format!("revoke this ticket and suspend {} hosts?", preview.active)
    };
    ask(&question)?.ok_or_else(|| {
        Failure::usage(
            "nobody can be asked: this is no terminal",
            "read the preview above, then repeat with --yes",
        )
    })
}

fn outcome(done: &LeakReported) -> String {
    let remaining = if done.remaining > 0 {
        format!(
            "{}; `muster ticket leaked {} --dry-run` shows how many are left",
            done.remaining, done.ticket.id
        )
    } else {
        String::new()
    };
    record(&[
        ("Ticket", done.ticket.id.to_string()),
        ("Status", word(&done.ticket.status)),
        ("Suspended", done.suspended.to_string()),
        ("Following", remaining),
    ])
}

fn describe(preview: &LeakPreview, now: Timestamp) -> String {
    let facts = record(&[
        ("Ticket", preview.ticket_id.to_string()),
        ("Since", preview.since.map_or("it was made".to_owned(), moment)),
        ("Hosts it admitted", preview.admitted.to_string()),
        ("Active now", preview.active.to_string()),
        ("Claims to close", preview.waiting_claims.to_string()),
    ]);
    if preview.hosts.items.is_empty() {
        return facts;
    }
    let row = |host: &LeakedHost| {
        vec![
            host.name.clone(),
            host.host_id.to_string(),
            word(&host.state),
            relative(host.admitted_at, now),
            host.last_seen_at.map_or("never".to_owned(), |at| relative(at, now)),
            host.secrets.join(", "),
        ]
    };
    let header = ["NAME", "ID", "STATE", "ADMITTED", "LAST SEEN", "SECRETS EXPOSED"];
    let hosts = table(&header, preview.hosts.items.iter().map(row));
    let more = if preview.hosts.next_cursor.is_some() { "\n…" } else { "" };
    format!("{facts}\n\n{hosts}{more}")
}
