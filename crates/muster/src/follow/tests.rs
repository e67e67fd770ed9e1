use std::cell::{Cell, RefCell};
use std::io;

use muster_client::DialError;

use super::*;

fn page(items: &[u64], next_cursor: Option<&str>) -> Page<u64> {
    Page { items: items.to_vec(), next_cursor: next_cursor.map(str::to_owned) }
}

#[tokio::test(start_paused = true)]
async fn every_item_is_shown_once_and_the_last_ones_too() {
    let looks = Cell::new(0);
    let shown = RefCell::new(Vec::new());
    let read = async |request: PageRequest| {
        looks.set(looks.get() + 1);
        Ok(match (looks.get(), request.cursor.as_deref()) {
            (1, None) => page(&[1, 2], Some("after-2")),
            (2, Some("after-2")) => page(&[3], None),
            (3, Some("after-2")) => page(&[3, 4], Some("after-4")),
            (4, Some("after-4")) => page(&[], None),
            (5, Some("after-4")) => page(&[5], None),
            other => panic!("not expected: {other:?}"),
        })
    };
    let show = |item: &u64| {
        shown.borrow_mut().push(*item);
        Ok(())
    };
    // It is over after the fourth look: what came between that and the fifth is still shown.
    follow(read, |item| *item, show, async || Ok(looks.get() >= 4)).await.expect("followed");
    assert_eq!(*shown.borrow(), [1, 2, 3, 4, 5]);
}

fn gone() -> ApiError {
    let source = io::Error::from(io::ErrorKind::ConnectionRefused);
    DialError::Refused { authority: "127.0.0.1:8600".into(), source }.into()
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_waited_for() {
    let asked = Cell::new(0);
    let answer = patiently(async || {
        asked.set(asked.get() + 1);
        if asked.get() < 10 { Err(gone()) } else { Ok(7) }
    });
    assert_eq!(answer.await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn patience_ends_and_is_not_for_refusals() {
    let answer: Result<(), Failure> = patiently(async || Err(gone())).await;
    assert_eq!(answer.expect_err("gone").exit(), Exit::Unreachable);
    let asked = Cell::new(0);
    let answer: Result<(), Failure> = patiently(async || {
        asked.set(asked.get() + 1);
        Err(ApiError::Refused { status: http::StatusCode::NOT_FOUND, problem: None, retry_after_secs: None })
    })
    .await;
    assert!(answer.is_err());
    assert_eq!(asked.get(), 1);
}
