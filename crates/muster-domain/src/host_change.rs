//! What a change of many hosts does to each of them.

use std::collections::BTreeSet;

use muster_ids::SiteId;
use muster_wire::host::{HostState, MOST_TAGS};
use muster_wire::host_change::HostChange;
use muster_wire::text::Tag;

use crate::host_life::{Life, NotMoved, relocate};

/// What is known of a host that is to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing<'a> {
    /// Where it stands in its life.
    pub state: HostState,
    /// The site it stands at.
    pub site_id: SiteId,
    /// Its tags, in order.
    pub tags: &'a [Tag],
    /// Whether it is held.
    pub is_held: bool,
    /// Whether a claim of a copy of it waits.
    pub copy_waits: bool,
}

/// What becomes of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// It gets these tags.
    Tagged(Vec<Tag>),
    /// It is suspended, resumed, moved or retired.
    Changes,
    /// It is as it would become.
    Stays,
    /// It cannot change so.
    Refused(NotChanged),
}

/// Why a host cannot change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    /// It does not stand where this is possible.
    #[error("the host does not stand where this is possible")]
    NotPossible,
    /// A copy of it waits, and says first which of both is genuine.
    #[error("a copy of the host waits")]
    CopyWaits,
    /// It would have more tags than a host may.
    #[error("the host would have too many tags")]
    TooManyTags,
}

/// Decides what a change does to a host.
pub fn plan(host: &Standing<'_>, change: &HostChange) -> Planned {
    match change {
        HostChange::Tags { add, remove } => {
            let mut tags: BTreeSet<Tag> = host.tags.iter().chain(add.iter()).cloned().collect();
            tags.retain(|tag| !remove.iter().any(|removed| removed == tag));
            retagged(host, tags)
        }
        HostChange::Suspend {} if host.state == HostState::Suspended => Planned::Stays,
        HostChange::Suspend {} => possible(host.state.suspend().is_ok()),
        HostChange::Resume {} if host.state == HostState::Active => match (host.is_held, host.copy_waits) {
            (true, true) => Planned::Refused(NotChanged::CopyWaits),
            (true, false) => Planned::Changes,
            (false, _) => Planned::Stays,
        },
        HostChange::Resume {} => possible(host.state.resume().is_ok()),
        HostChange::Move { site_id } => match relocate(host.state, host.site_id, *site_id) {
            Ok(()) => Planned::Changes,
            Err(NotMoved::AlreadyThere) => Planned::Stays,
            Err(NotMoved::Retired) => Planned::Refused(NotChanged::NotPossible),
        },
        HostChange::Retire {} if host.state == HostState::Retired => Planned::Stays,
        HostChange::Retire {} => possible(host.state.retire().is_ok()),
    }
}

fn retagged(host: &Standing<'_>, tags: BTreeSet<Tag>) -> Planned {
    if host.state == HostState::Retired {
        Planned::Refused(NotChanged::NotPossible)
    } else if tags.iter().eq(host.tags.iter().collect::<BTreeSet<_>>()) {
        Planned::Stays
    } else if tags.len() > MOST_TAGS {
        Planned::Refused(NotChanged::TooManyTags)
    } else {
        Planned::Tagged(tags.into_iter().collect())
    }
}

const fn possible(is_possible: bool) -> Planned {
    if is_possible { Planned::Changes } else { Planned::Refused(NotChanged::NotPossible) }
}

#[cfg(test)]
mod tests {
    use HostState::{Active, Invited, Retired, Suspended};
    use uuid::Uuid;

    use super::*;

    fn tags(words: &[&str]) -> Vec<Tag> {
        words.iter().map(|word| Tag::parse(word).unwrap()).collect()
    }

    fn site(n: u128) -> SiteId {
        SiteId::from_uuid(Uuid::from_u128(n))
    }

    fn change(json: serde_json::Value) -> HostChange {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn every_change_from_every_state() {
        let possible = |is| if is { Planned::Changes } else { Planned::Refused(NotChanged::NotPossible) };
        let table = [
            ("suspend", [possible(false), Planned::Changes, Planned::Stays, possible(false)]),
            ("resume", [possible(false), Planned::Stays, Planned::Changes, possible(false)]),
            ("retire", [Planned::Changes, Planned::Changes, Planned::Changes, Planned::Stays]),
        ];
        for (kind, expected) in table {
            for (state, expected) in [Invited, Active, Suspended, Retired].into_iter().zip(expected) {
                let host = Standing { state, site_id: site(1), tags: &[], is_held: false, copy_waits: false };
                assert_eq!(
                    plan(&host, &change(serde_json::json!({ "kind": kind }))),
                    expected,
                    "{kind} {state:?}"
                );
            }
        }
    }

    #[test]
    fn a_host_moves_once_and_a_retired_one_never() {
        let host = Standing { state: Active, site_id: site(1), tags: &[], is_held: false, copy_waits: false };
        let to = |n| HostChange::Move { site_id: site(n) };
        assert_eq!(plan(&host, &to(2)), Planned::Changes);
        assert_eq!(plan(&host, &to(1)), Planned::Stays);
        let gone = Standing { state: Retired, ..host };
        assert_eq!(plan(&gone, &to(2)), Planned::Refused(NotChanged::NotPossible));
    }

    #[test]
    fn a_held_host_resumes_once_no_copy_waits() {
        let resume = change(serde_json::json!({ "kind": "resume" }));
        let held = Standing { state: Active, site_id: site(1), tags: &[], is_held: true, copy_waits: true };
        assert_eq!(plan(&held, &resume), Planned::Refused(NotChanged::CopyWaits));
        assert_eq!(plan(&Standing { copy_waits: false, ..held }, &resume), Planned::Changes);
    }

    #[test]
    fn tags_are_added_and_removed_up_to_what_a_host_may_have() {
        let has = tags(&["a", "b"]);
        let host =
            Standing { state: Active, site_id: site(1), tags: &has, is_held: false, copy_waits: false };
        let tagged = |add: &[&str], remove: &[&str]| {
            plan(&host, &change(serde_json::json!({ "kind": "tags", "add": add, "remove": remove })))
        };
        assert_eq!(tagged(&["c"], &["a", "x"]), Planned::Tagged(tags(&["b", "c"])));
        assert_eq!(tagged(&["a"], &["x"]), Planned::Stays);
        assert_eq!(tagged(&[], &["a", "b"]), Planned::Tagged(Vec::new()));
        let many: Vec<String> = (0..31).map(|n| format!("t{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(tagged(&many, &[]), Planned::Refused(NotChanged::TooManyTags));
        assert!(matches!(tagged(&many, &["a"]), Planned::Tagged(tags) if tags.len() == MOST_TAGS));
        let gone = Standing { state: Retired, ..host };
        let add = change(serde_json::json!({ "kind": "tags", "add": ["c"] }));
        assert_eq!(plan(&gone, &add), Planned::Refused(NotChanged::NotPossible));
    }
}
