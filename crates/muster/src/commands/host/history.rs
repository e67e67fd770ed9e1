use muster_ids::HostId;
use muster_wire::overview::{FactChange, HistoryDays, HostHistory, PresenceSpan, VitalsSample};

use crate::failure::Failure;
use crate::operator::Operator;
use crate::output::table;
use crate::words::{moment, optional_moment, word};

pub(super) const HELP: &str = "\
Shows since when it could be reached and when it could not, its load and free disk hour by hour, and what its machine
said about itself and then said differently.

Examples:
  muster host history web-1
  muster host history web-1 --days 1 -o json";

/// Shows what was seen of a host.
pub(super) async fn run(operator: &Operator, host_id: HostId, days: Option<u64>) -> Result<(), Failure> {
    let history = operator.client.host_history(host_id, days.map(HistoryDays::clamped)).await?;
    operator.output.show(&history, |history| history.host_id.to_string(), describe)
}

fn describe(history: &HostHistory) -> String {
    let spans = table(&["FROM", "TO", "PRESENCE"], history.spans.iter().map(span));
    let vitals = table(&["HOUR", "LOAD", "DISK FREE"], history.vitals.iter().map(vitals));
    let facts = table(&["AT", "FACT", "WAS", "IS"], history.facts.iter().map(fact));
    let parts = [
        Some(spans),
        (!history.vitals.is_empty()).then_some(vitals),
        (!history.facts.is_empty()).then(|| format!("reported by the machine itself:\n{facts}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn span(span: &PresenceSpan) -> Vec<String> {
    vec![moment(span.from), optional_moment(span.to), word(&span.status)]
}

fn vitals(sample: &VitalsSample) -> Vec<String> {
    let load = sample.load_percent.map(load).unwrap_or_default();
    let disk = sample.disk_free_gb.map(|free| disk_free(free, sample.disk_free_percent));
    vec![moment(sample.at), load, disk.unwrap_or_default()]
}

/// Words a load average that is given in hundredths.
pub(super) fn load(percent: u32) -> String {
    format!("{}.{:02}", percent / 100, percent % 100)
}

/// Words free space, with its part of the whole where that is known.
pub(super) fn disk_free(free_gb: u32, percent: Option<u8>) -> String {
    let part = percent.map(|part| format!(" ({part} %)")).unwrap_or_default();
    format!("{free_gb} GiB{part}")
}

fn fact(change: &FactChange) -> Vec<String> {
    let said = |value: &Option<String>| value.clone().unwrap_or_default();
    vec![moment(change.at), change.fact.clone(), said(&change.was), said(&change.is)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HISTORY: &str = r#"{
        "host_id": "host_0192f0c1a2b37c4d8e5f60718293a4b1",
        "from": "2026-01-01T00:00:00.000Z", "to": "2026-01-02T00:00:00.000Z",
        "spans": [
            {"from": "2026-01-01T00:00:00.000Z", "to": "2026-01-01T10:00:00.000Z", "status": "online"},
            {"from": "2026-01-01T10:00:00.000Z", "to": null, "status": "unreachable"}
        ],
        "vitals": [
            {"at": "2026-01-01T08:00:00.000Z", "load_percent": 107, "disk_free_gb": 10, "disk_free_percent": 50},
            {"at": "2026-01-01T09:00:00.000Z", "load_percent": null, "disk_free_gb": 9, "disk_free_percent": null}
        ],
        "facts": [{"at": "2026-01-01T07:00:00.000Z", "fact": "hostname", "was": "web\u001b[2J", "is": null}]
    }"#;

    #[test]
    fn what_was_seen_stands_under_what_a_machine_says() {
        let history: HostHistory = serde_json::from_str(HISTORY).expect("a history");
        insta::assert_snapshot!(describe(&history));
    }
}
