use muster_ids::KeyThumbprint;
use uuid::Uuid;

use super::*;

#[test]
fn what_may_not_have_happened_is_cut_plainly_and_nothing_more() {
    let host_id = HostId::from_uuid(Uuid::from_u128(1));
    let cut = |reason| Cut {
        host_id,
        key: KeyName::Pair(KeyThumbprint::from_digest([7; 32])),
        reason,
        decided_at: Timestamp::from_millis(1),
    };
    let ended = vec![Ended::Person(UserId::from_uuid(Uuid::from_u128(2)))];
    let effects = Effects {
        cuts: vec![cut(CutReason::Revoked { reason: "revoked" }), cut(CutReason::Suspended)],
        ended: ended.clone(),
        retired: vec![host_id],
        config_changed: vec![host_id],
        work_waiting: vec![host_id],
        set_up: Some(Vec::new()),
    };
    let expected = Effects {
        cuts: vec![cut(CutReason::Unsure), cut(CutReason::Unsure)],
        ended,
        config_changed: vec![host_id],
        work_waiting: vec![host_id],
        ..Effects::default()
    };
    assert_eq!(effects.if_unsure(), expected);
}
