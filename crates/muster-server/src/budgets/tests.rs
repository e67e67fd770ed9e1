use futures_util::FutureExt;
use muster_ids::PublicId;

use super::*;

fn ticket(n: u8) -> TicketId {
    TicketId::new(PublicId::from_entropy([n; 16]))
}

const WAIT: Duration = Duration::from_millis(100);

fn places(line: usize) -> Places {
    Places { wait: WAIT, ..Places::new(1, line) }
}

fn turns() -> Turns {
    Turns { wait: WAIT, ..Turns::default() }
}

fn is_over_budget<T>(result: &Result<T, Failure>) -> bool {
    matches!(result, Err(Failure::OverBudget))
}

#[tokio::test]
async fn who_finds_no_place_waits_a_while_and_is_sent_away() {
    let places = places(8);
    let held = places.take().await.unwrap();
    assert!(is_over_budget(&places.take().await));
    let (second, ()) = tokio::join!(places.take(), async { drop(held) });
    assert!(second.is_ok());
}

#[tokio::test]
async fn the_line_is_bounded() {
    let places = places(2);
    let _held = places.take().await.unwrap();
    let (first, second, third) = tokio::join!(places.take(), places.take(), async {
        tokio::task::yield_now().await;
        // Ready at once: the third of two does not wait.
        places.take().now_or_never().unwrap()
    });
    assert!(is_over_budget(&first) && is_over_budget(&second) && is_over_budget(&third));
}

#[tokio::test]
async fn one_machine_at_a_time_at_a_ticket_and_others_are_not_kept() {
    let turns = turns();
    let held = turns.take(ticket(1)).await.unwrap();
    assert!(turns.take(ticket(2)).await.is_ok());
    assert!(is_over_budget(&turns.take(ticket(1)).await));
    let (next, ()) = tokio::join!(turns.take(ticket(1)), async { drop(held) });
    drop(next.unwrap());
    assert!(turns.queues().is_empty(), "nobody waits, nothing is kept");
}

#[tokio::test]
async fn the_queue_at_a_ticket_is_bounded() {
    let turns = turns();
    let _held = turns.take(ticket(1)).await.unwrap();
    let waiting: Vec<_> = (0..LINE_AT_A_TICKET).map(|_| turns.enter(ticket(1)).unwrap()).collect();
    assert!(is_over_budget(&turns.enter(ticket(1))));
    assert!(turns.enter(ticket(2)).is_ok());
    drop(waiting);
    assert!(turns.enter(ticket(1)).is_ok());
}
