use uuid::Uuid;

use super::*;

fn host(number: u128) -> LockKey {
    LockKey::Host(HostId::from_uuid(Uuid::from_u128(number)))
}

#[test]
fn locks_are_taken_by_kind_then_id_whatever_order_they_are_asked_in() {
    let user = LockKey::User(UserId::from_uuid(Uuid::from_u128(9)));
    let ticket = LockKey::Ticket("0123456789ab".parse().unwrap());
    let site = LockKey::Site(SiteId::from_uuid(Uuid::from_u128(3)));
    let key = LockKey::Key("agk:0123456789ab".parse().unwrap());
    let endpoint = LockKey::Endpoint(EndpointId::from_uuid(Uuid::from_u128(3)));
    let (a, b) = (LockKey::Named("a"), LockKey::Named("b"));
    let ordered = [user, ticket, site, host(1), host(2), key, endpoint, a, b];
    let mut asked = ordered.map(Lock::shared);
    asked.reverse();
    assert_eq!(in_order(&asked).0, ordered.map(|key| key.hash64()));
}

#[test]
fn a_key_asked_for_twice_is_locked_once_and_exclusively() {
    let asked = [Lock::shared(host(1)), Lock::exclusive(host(1)), Lock::shared(host(2))];
    assert_eq!(in_order(&asked), (vec![host(1).hash64(), host(2).hash64()], vec![true, false]));
}

#[test]
fn kinds_with_the_same_id_are_different_locks() {
    let uuid = Uuid::from_u128(1);
    let user = LockKey::User(UserId::from_uuid(uuid));
    let site = LockKey::Site(SiteId::from_uuid(uuid));
    assert_ne!(user.hash64(), site.hash64());
    assert_ne!(user.hash64(), host(1).hash64());
}
