use clap::Args;
use muster_ids::Timestamp;
use muster_wire::overview::{Attention, Overview as Shown, OverviewHours};

use crate::failure::Failure;
use crate::operator::Operator;
use crate::output::{record, table};
use crate::words::{joined, moment, relative};

const EXAMPLES: &str = "\
Examples:
  muster overview
  muster overview --hours 168 -o json";

/// Show the fleet at a glance: how many hosts, how many can be reached, what needs attention
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Overview {
    /// How many hours of the fleet's presence the document holds, 1 to 168 [default: 24]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=168))]
    hours: Option<u64>,
}

impl Overview {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let shown = operator.client.overview(self.hours.map(OverviewHours::clamped)).await?;
        let now = operator.now();
        operator.output.show(&shown, |shown| shown.hosts.active.to_string(), |shown| describe(shown, now))
    }
}

/// Lays out an overview.
fn describe(shown: &Shown, now: Timestamp) -> String {
    let (hosts, presence) = (&shown.hosts, &shown.presence);
    let counts = record(&[
        ("Active hosts", hosts.active.to_string()),
        ("Online", presence.online.to_string()),
        ("Unreachable", presence.unreachable.to_string()),
        ("Offline", presence.offline.to_string()),
        ("Never seen", presence.never_seen.to_string()),
        ("Invited", hosts.invited.to_string()),
        ("Suspended", hosts.suspended.to_string()),
        ("Held", hosts.held.to_string()),
        ("Open claims", shown.claims_open.to_string()),
        ("Open jobs", shown.jobs_open.to_string()),
        ("Failed in a day", shown.jobs_failed_day.to_string()),
        ("Counted", moment(shown.at)),
    ]);
    if shown.attention.is_empty() {
        return format!("{counts}\n\nnothing needs attention");
    }
    let rows = shown.attention.iter().map(|attention| row(attention, now));
    format!("{counts}\n\n{}", table(&["ATTENTION", "COUNT", "SINCE", "FOR EXAMPLE"], rows))
}

fn row(attention: &Attention, now: Timestamp) -> Vec<String> {
    let more = if attention.more { "+" } else { "" };
    let first = attention.items.first().map(|item| relative(item.since, now));
    vec![
        attention.kind.to_string(),
        format!("{}{more}", attention.count),
        first.unwrap_or_default(),
        joined(attention.items.iter().map(|item| &item.name)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVERVIEW: &str = r#"{
        "at": "2026-01-02T03:04:05.000Z",
        "hosts": {"invited": 1, "active": 8, "suspended": 2, "retired": 3, "held": 1},
        "presence": {"online": 5, "unreachable": 1, "offline": 1, "never_seen": 1},
        "claims_open": 1, "jobs_open": 4, "jobs_failed_day": 2000,
        "attention": [
            {"kind": "claims_waiting", "count": 1, "more": false, "items": [
                {"id": "claim_1", "name": "web\u001b[2J-9", "since": "2026-01-02T02:04:05.000Z"}]},
            {"kind": "jobs_failed", "count": 1000, "more": true, "items": [
                {"id": "job_1", "name": "web-1", "since": "2026-01-02T03:00:05.000Z"},
                {"id": "job_2", "name": "web-2", "since": "2026-01-02T02:59:05.000Z"}]}
        ],
        "presence_history": []
    }"#;

    #[test]
    fn what_needs_attention_stands_below_the_counts() {
        let shown: Shown = serde_json::from_str(OVERVIEW).expect("an overview");
        insta::assert_snapshot!(describe(&shown, shown.at));
        let well = Shown { attention: Vec::new(), ..shown };
        assert!(describe(&well, well.at).ends_with("nothing needs attention"));
    }
}
