use muster_ids::{ClaimId, TicketId};

use super::*;
use crate::failure::Exit;

const FIRST: &str = "host_0192f0c1a2b37c4d8e5f60718293a4b1";
const SECOND: &str = "host_0192f0c1a2b37c4d8e5f60718293a4b2";

fn candidate(id: &str, state: HostState) -> Candidate<HostId> {
    Candidate { id: id.parse().expect("an id"), note: word(&state), gone: state == HostState::Retired }
}

#[test]
fn a_unique_name_is_enough() {
    let chosen = choose("host", "web-1", &[candidate(FIRST, HostState::Active)]);
    assert_eq!(chosen.map(|id| id.to_string()).as_deref(), Ok(FIRST));
}

#[test]
fn the_living_host_is_meant() {
    let both = [candidate(FIRST, HostState::Retired), candidate(SECOND, HostState::Suspended)];
    assert_eq!(choose("host", "web-1", &both).map(|id| id.to_string()).as_deref(), Ok(SECOND));
    assert_eq!(choose("host", "web-1", &both[..1]).map(|id| id.to_string()).as_deref(), Ok(FIRST));
}

#[test]
fn an_ambiguous_name_lists_the_ids() {
    let both = [candidate(FIRST, HostState::Active), candidate(SECOND, HostState::Invited)];
    let failure = choose("host", "web-1", &both).expect_err("ambiguous").to_string();
    let expected = format!(
        "error: 2 hosts are called `web-1`: {FIRST} (active), {SECOND} (invited)\n next: name one by its id"
    );
    assert_eq!(failure, expected);
}

#[test]
fn an_unknown_name_points_to_the_list() {
    let failure = choose::<HostId>("site", "no\u{1b}where", &[]).expect_err("unknown");
    assert_eq!(failure.exit(), Exit::Failed);
    assert!(failure.to_string().contains("no site is called `no\\u{1b}where`"), "{failure}");
    assert!(failure.to_string().contains("`muster site list`"), "{failure}");
}

#[test]
fn an_id_of_another_kind_is_no_id() {
    assert!(id::<ClaimId>("claim", FIRST).is_err());
    assert!(id::<TicketId>("ticket", "0123456789AB").is_ok());
    assert_eq!(id::<TicketId>("ticket", "web").map_err(|failure| failure.exit()), Err(Exit::Usage));
}
