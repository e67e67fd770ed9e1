use muster_ids::PublicId;

use super::*;

fn memory(when_full: WhenFull, capacity: usize) -> Memory {
    Memory { capacity, ..Memory::new(Duration::from_secs(600), when_full) }
}

/// The `n`th proof of a key, at a second.
fn proof(key: u8, n: u32, second: u64) -> Taken {
    let name = sha256(&[&[key][..], &n.to_be_bytes()].concat());
    let key = KeyThumbprint::from_digest([key; 32]);
    Taken { at: Duration::from_secs(second), name, key, by: None }
}

/// A proof by a key of its own, with a ticket.
fn throw_away(n: u32, ticket: u8) -> Taken {
    let digest = sha256(&n.to_be_bytes());
    let ticket_id = TicketId::new(PublicId::from_entropy([ticket; 16]));
    let by = Some(Vouched::Ticket(ticket_id));
    Taken { at: Duration::ZERO, name: digest, key: KeyThumbprint::from_digest(digest), by }
}

#[test]
fn a_proof_is_taken_once_until_it_lapses() {
    let mut memory = memory(WhenFull::Refuse, 100);
    assert_eq!(memory.take(proof(1, 1, 0)), Ok(()));
    assert_eq!(memory.take(proof(1, 1, 600)), Err(NotTaken::Used));
    assert_eq!(memory.take(proof(2, 1, 600)), Ok(()), "another key's proof of that name is another one");
    assert_eq!(memory.take(proof(1, 1, 601)), Ok(()));
    assert_eq!((memory.names.len(), memory.by_age.len(), memory.of_keys.len()), (2, 2, 2));
}

#[test]
fn one_key_fills_its_own_share_only() {
    let mut memory = memory(WhenFull::Refuse, 1000);
    let taken = (0..1000).filter(|n| memory.take(proof(1, *n, 0)).is_ok()).count();
    assert_eq!(taken, PER_KEY as usize);
    assert_eq!(memory.take(proof(1, 2000, 0)), Err(NotTaken::TooMany));
    assert_eq!(memory.take(proof(2, 1, 0)), Ok(()));
    assert_eq!(memory.take(proof(1, 2000, 601)), Ok(()), "its share is free again");
}

#[test]
fn throw_away_keys_with_one_ticket_fill_that_tickets_share_only() {
    let mut memory = memory(WhenFull::ForgetOldest, ALTOGETHER);
    let taken = (0..PER_TICKET + 10).filter(|n| memory.take(throw_away(*n, 1)).is_ok()).count();
    assert_eq!(taken, PER_TICKET as usize);
    assert_eq!(memory.take(throw_away(u32::MAX, 1)), Err(NotTaken::TooMany));
    assert_eq!(memory.take(throw_away(u32::MAX, 2)), Ok(()));
}

#[test]
fn a_full_memory_refuses_hosts_and_keeps_the_door_open() {
    let mut hosts = memory(WhenFull::Refuse, 3);
    let mut door = memory(WhenFull::ForgetOldest, 3);
    for key in 0..3 {
        assert_eq!((hosts.take(proof(key, 1, 0)), door.take(proof(key, 1, 0))), (Ok(()), Ok(())));
    }
    assert_eq!(hosts.take(proof(9, 1, 0)), Err(NotTaken::Full));
    assert_eq!(door.take(proof(9, 1, 0)), Ok(()));
    assert_eq!((door.names.len(), door.by_age.len(), door.of_keys.len()), (3, 3, 3));
    assert_eq!(door.take(proof(1, 1, 0)), Err(NotTaken::Used), "the oldest one went, no other");
}
