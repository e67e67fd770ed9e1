use super::*;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + secs * 1000)
}

fn thumbprint(n: u8) -> KeyThumbprint {
    KeyThumbprint::from_digest([n; 32])
}

fn keys(current: &[&str], next: &[&str], instruction: u8, next_instruction: Option<u8>) -> ServerKeys {
    let texts = |pins: &[&str]| pins.iter().map(|pin| (*pin).to_owned()).collect();
    ServerKeys {
        current: texts(current),
        next: texts(next),
        instruction: thumbprint(instruction),
        next_instruction: next_instruction.map(thumbprint),
    }
}

fn times(said: &Said) -> (Timestamp, Timestamp, Timestamp) {
    (said.issued_at, said.next_since, said.next_instruction_since)
}

#[test]
fn a_statement_is_made_when_something_changed_and_never_twice_at_one_moment() {
    let first = say(None, &keys(&["a"], &["b"], 1, None), at(0)).expect("first");
    assert_eq!(times(&first), (at(0), at(0), at(0)));
    assert_eq!(say(Some(&first), &first.keys, at(50)), None);

    let announced = say(Some(&first), &keys(&["a"], &["b"], 1, Some(2)), at(10)).expect("announced");
    assert_eq!(times(&announced), (at(10), at(0), at(10)));

    let rotated = say(Some(&announced), &keys(&["b"], &["c"], 1, Some(2)), at(20)).expect("rotated");
    assert_eq!(times(&rotated), (at(20), at(20), at(10)));

    // A clock that went back, and one that stands still.
    for now in [at(5), at(20)] {
        let switched = say(Some(&rotated), &keys(&["b"], &["c"], 2, None), now).expect("switched");
        let just_after = Timestamp::from_millis(at(20).as_millis() + 1);
        assert_eq!(times(&switched), (just_after, at(20), just_after));
    }
    // A pin that is taken away makes no new announcement of the others.
    let fewer = say(Some(&rotated), &keys(&["b"], &[], 1, Some(2)), at(30)).expect("fewer");
    assert_eq!(times(&fewer), (at(30), at(20), at(10)));
}

#[test]
fn each_agent_gets_the_signature_it_accepts() {
    let overlap = Some(Overlap { announced_at: at(10), switched_at: at(20) });
    let heard = |kept: Option<i64>, told| Heard { pins_issued_at: kept.map(at), told_at: at(told) };
    for (overlap, heard, expected) in [
        (None, heard(None, 0), Signer::Current),
        (overlap, heard(None, 0), Signer::Former),
        (overlap, heard(Some(9), 0), Signer::Former),
        (overlap, heard(Some(10), 0), Signer::Current),
        (overlap, heard(Some(25), 0), Signer::Current),
        // A join string of the time between names the former key alone.
        (overlap, heard(None, 15), Signer::Former),
        (overlap, heard(None, 20), Signer::Current),
        (overlap, heard(Some(9), 20), Signer::Current),
    ] {
        assert_eq!(signer(overlap, heard), expected, "{overlap:?} {heard:?}");
    }
}

#[test]
fn nobody_is_left_behind_unless_somebody_says_so() {
    for (hosts, kept, force, expected) in [
        (0, 0, false, Ok(())),
        (3, 3, false, Ok(())),
        (3, 2, false, Err(NotKnown { missing: 1, hosts: 3 })),
        (3, 0, false, Err(NotKnown { missing: 3, hosts: 3 })),
        (3, 0, true, Ok(())),
    ] {
        assert_eq!(may_switch(Spread { hosts, kept }, force), expected);
    }
}
