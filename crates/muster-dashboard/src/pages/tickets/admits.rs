//! What a ticket admits, as people read it: who gets in, who waits for them, who is turned away.

use muster_wire::explanation::{Case, Explanation, Fate, Situation};
use muster_wire::ticket::TicketKind;

use crate::words::Tone;
use crate::words::joining;

/// An explanation of the API, grouped by what becomes of a machine.
#[derive(Debug, Clone)]
pub(crate) struct Admits {
    pub(crate) explanation: Explanation,
    pub(crate) groups: [Group; 3],
}

/// Machines that meet the same end.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) heading: &'static str,
    pub(crate) tone: Tone,
    pub(crate) rows: Vec<Row>,
}

/// One kind of machine, and what becomes of it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) machine: &'static str,
    pub(crate) fate: String,
}

impl Admits {
    pub(crate) fn new(explanation: Explanation) -> Self {
        let rows = |is_one: fn(&Fate) -> bool| {
            let cases = explanation.cases.iter().filter(move |case| is_one(&case.fate));
            cases.map(move |case: &Case| Row {
                machine: joining::situation(case.machine, explanation.kind),
                fate: joining::fate(case.fate),
            })
        };
        let waits = |fate: &Fate| matches!(fate, Fate::Waits { .. });
        let refused = |fate: &Fate| matches!(fate, Fate::Refused { .. });
        let admitted = |fate: &Fate| !matches!(fate, Fate::Waits { .. } | Fate::Refused { .. });
        let groups = [
            Group { heading: "Admitted", tone: Tone::Good, rows: rows(admitted).collect() },
            Group { heading: "Waits for you", tone: Tone::Warn, rows: rows(waits).collect() },
            Group { heading: "Turned away", tone: Tone::Bad, rows: rows(refused).collect() },
        ];
        Self { explanation, groups }
    }

    /// What the invitation of a host that is not made yet admits, of the one-time token with the same demands: whoever
    /// became a new host by that becomes the invited one, which no machine is before.
    pub(crate) fn of_invitation(mut explanation: Explanation) -> Self {
        explanation.kind = TicketKind::RegistrationToken;
        explanation.cases.retain(|case| case.machine != Situation::SameHost);
        for case in explanation.cases.iter_mut().filter(|case| case.fate == Fate::NewHost) {
            case.fate = Fate::Registered;
        }
        Self::new(explanation)
    }

    /// Says how many hosts it may still make.
    pub(crate) fn how_many(&self) -> String {
        match (self.explanation.closed_by, self.explanation.hosts_left) {
            (Some(cause), _) => format!("no new host: {}", joining::cause_short(cause)),
            (None, Some(1)) => "one host".to_owned(),
            (None, Some(many)) => format!("{many} hosts"),
            (None, None) => "any number of hosts".to_owned(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples;

    pub(crate) fn admits(kind: &str) -> Admits {
        Admits::new(samples::of(json!({
            "kind": kind, "site_id": samples::SITE, "closed_by": null, "hosts_left": 1,
            "until": samples::NOW.plus(std::time::Duration::from_secs(3_600)), "surge_per_hour": 100,
            "key_pair_required": true,
            "gives": { "host_id": null, "rejoin": false, "host_name": samples::HOSTILE, "tags": ["web"],
                       "secrets": ["repo"], "ephemeral_hours": 48 },
            "cases": [
                { "machine": "new", "fate": { "outcome": "new_host" } },
                { "machine": "same_host", "fate": { "outcome": "same" } },
                { "machine": "new_in_surge", "fate": { "outcome": "waits", "reason": "surge" } },
                { "machine": "reimaged", "fate": { "outcome": "waits", "reason": "reimage" } },
                { "machine": "copy", "fate": { "outcome": "waits", "reason": "collision" } },
                { "machine": "foreign_host", "fate": { "outcome": "refused", "cause": "key_in_use" } },
                { "machine": "revoked_key", "fate": { "outcome": "refused", "cause": "key_revoked" } },
            ],
        })))
    }

    #[test]
    fn every_case_stands_in_the_group_of_its_fate() {
        let admits = admits("site_key");
        let counts: Vec<usize> = admits.groups.iter().map(|group| group.rows.len()).collect();
        assert_eq!(counts, [2, 3, 2]);
        assert_eq!(admits.how_many(), "one host");
        let mut closed = admits.explanation;
        closed.closed_by = Some(muster_wire::refusal::RefusalCause::Expired);
        assert_eq!(Admits::new(closed).how_many(), "no new host: the ticket expired");
    }
}
