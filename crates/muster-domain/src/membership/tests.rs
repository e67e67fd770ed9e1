use muster_wire::permission::Permission;

use super::*;

const PLATFORM: bool = true;
const TEAM: bool = false;

fn whole(role: Role) -> Reach {
    Reach { role, scopes: None }
}

fn member(role: Role) -> Member {
    Member { role, is_self: false, has_peers: true }
}

#[test]
fn who_may_be_invited_by_whom_and_where() {
    use Refusal::{BeyondReach, RoleDoesNotFit};
    use Role::{Admin, Operator, Owner, Viewer};
    let check = |by, role, team_is_platform, expected| {
        assert_eq!(invite(&whole(by), role, team_is_platform), expected, "{by:?} invites {role:?}");
    };
    check(Admin, Admin, PLATFORM, Ok(()));
    check(Admin, Operator, PLATFORM, Ok(()));
    check(Admin, Viewer, PLATFORM, Ok(()));
    check(Admin, Owner, PLATFORM, Err(RoleDoesNotFit));
    check(Admin, Owner, TEAM, Ok(()));
    check(Admin, Admin, TEAM, Err(RoleDoesNotFit));
    check(Owner, Owner, TEAM, Ok(()));
    check(Owner, Viewer, TEAM, Ok(()));
    check(Owner, Admin, TEAM, Err(RoleDoesNotFit));
    // An admin's token that is bound to the platform's team acts there as an owner would.
    check(Owner, Admin, PLATFORM, Err(BeyondReach));
    check(Operator, Owner, TEAM, Err(BeyondReach));
    check(Viewer, Operator, TEAM, Err(BeyondReach));
}

#[test]
fn a_tombstone_has_a_name_nobody_can_take() {
    let user_id = UserId::from_uuid(uuid::Uuid::nil());
    let name = tombstone("a", user_id, Timestamp::from_millis(0));
    assert_eq!(name, "a (removed 1970-01-01T00:00:00.000Z, user_00000000000000000000000000000000)");
    assert!(muster_wire::text::Name::parse(&name).is_err());
}

#[test]
fn scopes_make_nobody() {
    let scoped = Reach { role: Role::Owner, scopes: Some(vec![Permission::ManagePeople]) };
    for role in [Role::Owner, Role::Operator, Role::Viewer] {
        assert_eq!(invite(&scoped, role, TEAM), Err(Refusal::BeyondReach));
        assert_eq!(set_role(&scoped, &member(role), role, TEAM), Err(Refusal::BeyondReach));
        assert_eq!(remove(&scoped, &member(role)), Err(Refusal::BeyondReach));
        assert_eq!(revoke_credential(&scoped, role), Ok(()), "taking away is no gain");
    }
    assert_eq!(revoke_credential(&scoped, Role::Admin), Err(Refusal::BeyondReach));
    let all = Reach { role: Role::Owner, scopes: Some(Permission::ALL.to_vec()) };
    assert_eq!(invite(&all, Role::Owner, TEAM), Ok(()));
    assert_eq!(set_role(&all, &member(Role::Admin), Role::Viewer, PLATFORM), Err(Refusal::BeyondReach));
}

#[test]
fn nobody_sets_their_own_role_and_somebody_always_stays() {
    use Refusal::{BeyondReach, LastAdmin, LastOwner, OwnRole};
    use Role::{Admin, Operator, Owner, Viewer};
    let own = |role| Member { is_self: true, ..member(role) };
    let last = |role| Member { has_peers: false, ..member(role) };
    let last_own = |role| Member { is_self: true, has_peers: false, role };
    for (by, whom, to, team_is_platform, expected) in [
        (Admin, member(Admin), Operator, PLATFORM, Ok(())),
        (Admin, last(Admin), Operator, PLATFORM, Err(LastAdmin)),
        (Admin, last(Admin), Admin, PLATFORM, Ok(())),
        (Admin, own(Admin), Operator, PLATFORM, Err(OwnRole)),
        (Admin, last(Owner), Viewer, TEAM, Ok(())),
        (Owner, member(Owner), Viewer, TEAM, Ok(())),
        (Owner, last(Owner), Viewer, TEAM, Err(LastOwner)),
        (Owner, own(Owner), Viewer, TEAM, Err(OwnRole)),
        (Owner, own(Owner), Owner, TEAM, Ok(())),
        (Owner, last(Operator), Viewer, TEAM, Ok(())),
        (Owner, member(Operator), Owner, TEAM, Ok(())),
        (Operator, member(Viewer), Operator, TEAM, Ok(())),
        (Operator, member(Viewer), Owner, TEAM, Err(BeyondReach)),
        (Operator, member(Owner), Viewer, TEAM, Err(BeyondReach)),
        (Viewer, own(Viewer), Owner, TEAM, Err(BeyondReach)),
    ] {
        let found = set_role(&whole(by), &whom, to, team_is_platform);
        assert_eq!(found, expected, "{by:?} makes {whom:?} {to:?}");
    }
    for (by, whom, expected) in [
        (Admin, member(Admin), Ok(())),
        (Admin, own(Admin), Ok(())),
        (Admin, last_own(Admin), Err(LastAdmin)),
        (Admin, last(Owner), Ok(())),
        (Owner, own(Owner), Ok(())),
        (Owner, last_own(Owner), Err(LastOwner)),
        (Owner, last(Viewer), Ok(())),
        (Operator, member(Owner), Err(BeyondReach)),
    ] {
        assert_eq!(remove(&whole(by), &whom), expected, "{by:?} removes {whom:?}");
    }
}

#[test]
fn an_invitation_is_open_until_something_ends_it() {
    let at = Timestamp::from_millis;
    let check = |accepted_at, revoked_at, now, expected| {
        assert_eq!(invitation_status(accepted_at, revoked_at, at(100), at(now)), expected, "at {now}");
    };
    check(None, None, 99, InvitationStatus::Open);
    check(None, None, 100, InvitationStatus::Expired);
    check(None, Some(at(5)), 6, InvitationStatus::Revoked);
    check(None, Some(at(5)), 200, InvitationStatus::Revoked);
    check(Some(at(4)), None, 200, InvitationStatus::Accepted);
}
