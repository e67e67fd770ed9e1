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
        cuts: vec![cut(CutReason::Revoked { reason: RevokedReason::Revoked }), cut(CutReason::Suspended)],
        ended: ended.clone(),
        logged: vec![1, 2],
        retired: vec![host_id],
        config_changed: vec![host_id],
        work_waiting: vec![host_id],
        rotation_asked: vec![host_id],
        server_keys_changed: true,
        set_up: Some(Vec::new()),
    };
    let expected = Effects {
        cuts: vec![cut(CutReason::Unsure), cut(CutReason::Unsure)],
        ended,
        config_changed: vec![host_id],
        work_waiting: vec![host_id],
        rotation_asked: vec![host_id],
        server_keys_changed: true,
        ..Effects::default()
    };
    assert_eq!(effects.if_unsure(), expected);
}

#[test]
fn whoever_is_written_to_the_log_is_read_back_from_it() {
    use muster_ids::{AgentKeyId, PublicId};
    let (uuid, id) = (Uuid::from_u128(7), PublicId::from_entropy([7; 16]));
    for ended in [
        Ended::Person(UserId::from_uuid(uuid)),
        Ended::Token(TokenId::new(id)),
        Ended::WebSession(WebSessionId::new(id)),
        Ended::Invitation(InvitationId::new(id)),
        Ended::Key(KeyName::Pair(KeyThumbprint::from_digest([7; 32]))),
        Ended::Key(KeyName::Agent(AgentKeyId::new(id))),
        Ended::Host(HostId::from_uuid(uuid)),
        Ended::Ticket(TicketId::new(id)),
        Ended::Endpoint(EndpointId::from_uuid(uuid)),
    ] {
        assert_eq!(ended.to_string().parse(), Ok(ended), "{ended}");
    }
    assert!("tea".parse::<Ended>().is_err());
}
