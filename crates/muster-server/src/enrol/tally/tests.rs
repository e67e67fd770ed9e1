use muster_ids::{AgentKeyId, PublicId};

use super::*;

fn add(tally: &Tally, ticket: u32, cause: RefusalCause, at: i64) {
    let mut entropy = [0; 16];
    entropy[12..].copy_from_slice(&ticket.to_be_bytes());
    let key = KeyName::Agent(AgentKeyId::new(PublicId::from_entropy([9; 16])));
    let (source, request) = (format!("192.0.2.{at}"), format!("req_{at}"));
    tally.add(
        TicketId::new(PublicId::from_entropy(entropy)),
        cause,
        key,
        source,
        request,
        Timestamp::from_millis(at),
    );
}

#[test]
fn refusals_are_gathered_by_ticket_and_cause() {
    let tally = Tally::default();
    for at in [5, 7, 6] {
        add(&tally, 1, RefusalCause::Expired, at);
    }
    add(&tally, 1, RefusalCause::Revoked, 1);
    add(&tally, 2, RefusalCause::Expired, 1);
    let batch = tally.take_batch();
    assert_eq!(batch.len(), 3);
    let expired = batch.iter().find(|one| one.row.count == 3).unwrap();
    let (first, last) = (expired.row.first_at.as_millis(), expired.row.last_at.as_millis());
    assert_eq!((first, last, expired.row.last_source.as_str()), (5, 7, "192.0.2.7"));
    let requests: Vec<_> = expired.requests.iter().map(|request| request.request_id.as_str()).collect();
    assert_eq!(requests, ["req_5", "req_6", "req_7"]);
    assert!(tally.take_batch().is_empty());
}

#[test]
fn the_last_requests_are_kept_and_no_more() {
    let tally = Tally::default();
    for at in 0..100 {
        add(&tally, 1, RefusalCause::Expired, at);
    }
    let batch = tally.take_batch();
    assert_eq!((batch.len(), batch[0].row.count), (1, 100));
    let requests = &batch[0].requests;
    assert_eq!((requests.len() as u64, requests[0].request_id.as_str()), (REQUESTS_KEPT, "req_68"));
}

#[test]
fn no_more_is_gathered_than_there_is_place_for() {
    let tally = Tally::default();
    for ticket in 0..2 * GATHERED as u32 {
        add(&tally, ticket, RefusalCause::Expired, 1);
    }
    add(&tally, 0, RefusalCause::Expired, 2);
    let gathered = tally.gathered();
    assert_eq!(gathered.len(), GATHERED);
    assert_eq!(gathered.values().map(|one| one.row.count).sum::<u64>(), GATHERED as u64 + 1);
}
