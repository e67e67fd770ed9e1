use muster_ids::AgentKeyId;
use uuid::Uuid;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn host(n: u128) -> HostId {
    HostId::from_uuid(Uuid::from_u128(n))
}

fn thumbprint(n: u8) -> KeyThumbprint {
    KeyThumbprint::from_digest([n; 32])
}

fn pair(n: u8) -> KeyName {
    KeyName::Pair(thumbprint(n))
}

#[test]
fn only_an_active_host_with_a_key_pair_is_asked() {
    use HostState::{Active, Invited, Retired, Suspended};
    let agent: AgentKeyId = "000000000001".parse().expect("an id");
    let agent = KeyName::Agent(agent);
    for (state, active, expected) in [
        (Active, &[pair(1)][..], Ok(())),
        (Active, &[agent], Err(NotAsked::AgentKeys)),
        (Active, &[agent, agent], Err(NotAsked::AgentKeys)),
        (Active, &[], Err(NotAsked::NoKey)),
        (Invited, &[], Err(NotAsked::NotActive)),
        (Suspended, &[pair(1)], Err(NotAsked::NotActive)),
        (Retired, &[], Err(NotAsked::NotActive)),
    ] {
        assert_eq!(ask(state, active), expected, "{state:?} {active:?}");
    }
}

#[test]
fn keys_age_unless_they_are_said_not_to() {
    assert_eq!(too_old_before(0, NOW), None);
    assert_eq!(too_old_before(1, NOW), Some(NOW.minus(DAY)));
    assert_eq!(too_old_before(90, NOW), Some(NOW.minus(DAY * 90)));
}

#[track_caller]
fn check(change: impl FnOnce(&mut NextKeyClaims), key: u8, known: Known, expected: Result<Taken, NotTaken>) {
    let offered =
        Offered { host_id: host(1), key: pair(1), challenge: "challenge", unused_since: None, now: NOW };
    let mut claims =
        NextKeyClaims { host_id: host(1), former: thumbprint(1), challenge: "challenge".to_owned() };
    change(&mut claims);
    assert_eq!(take(&offered, &claims, thumbprint(key), known), expected, "{claims:?} {key} {known:?}");
}

#[test]
fn b24_every_way_to_offer_a_key() {
    check(|_| (), 2, Known::Unknown, Ok(Taken::Store));
    check(|_| (), 2, Known::NextOf(host(1)), Ok(Taken::Again));
    check(|claims| claims.host_id = host(2), 2, Known::Unknown, Err(NotTaken::ForeignHost));
    check(|claims| claims.former = thumbprint(3), 2, Known::Unknown, Err(NotTaken::ForeignKey));
    check(|claims| claims.challenge.push('x'), 2, Known::Unknown, Err(NotTaken::ForeignChallenge));
    check(|claims| claims.challenge.clear(), 2, Known::Unknown, Err(NotTaken::ForeignChallenge));
    check(|_| (), 2, Known::NextOf(host(2)), Err(NotTaken::KnownKey));
    check(|_| (), 2, Known::Of(host(1)), Err(NotTaken::KnownKey));
    check(|_| (), 2, Known::Of(host(2)), Err(NotTaken::KnownKey));
    check(|_| (), 1, Known::Of(host(1)), Err(NotTaken::KnownKey));
    check(|_| (), 1, Known::Unknown, Err(NotTaken::KnownKey));
    // What is wrong with the claims is said first: a foreign key teaches nothing about itself.
    check(|claims| claims.host_id = host(2), 2, Known::Of(host(2)), Err(NotTaken::ForeignHost));
}

#[test]
fn b14_a_next_key_stands_for_a_while_before_another_takes_its_place() {
    let claims = NextKeyClaims { host_id: host(1), former: thumbprint(1), challenge: "challenge".to_owned() };
    let shown_after = |span: Duration, known| {
        let unused_since = Some(NOW);
        let now = NOW.plus(span);
        let offered = Offered { host_id: host(1), key: pair(1), challenge: "challenge", unused_since, now };
        take(&offered, &claims, thumbprint(2), known)
    };
    let almost = NEXT_KEY_STANDS - Duration::from_millis(1);
    assert_eq!(shown_after(almost, Known::Unknown), Err(NotTaken::TooSoon));
    assert_eq!(shown_after(almost, Known::NextOf(host(1))), Ok(Taken::Again), "the answer was lost");
    assert_eq!(shown_after(NEXT_KEY_STANDS, Known::Unknown), Ok(Taken::Store));
}
