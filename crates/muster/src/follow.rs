//! Waiting for more: lists that grow at their end, and servers that are gone for a moment.

use std::time::Duration;

use muster_client::ApiError;
use muster_client::api::PageRequest;
use muster_wire::page::Page;

use crate::failure::{Exit, Failure};

/// Between two looks.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many looks in a row a server may miss while it restarts.
const MISSED_LOOKS: u32 = 60;

/// Reads a list to its end and then what is added to it, until `is_over` said so before a look.
///
/// `position` counts the items, so that none is shown twice.
pub(crate) async fn follow<T>(
    read: impl AsyncFn(PageRequest) -> Result<Page<T>, ApiError>,
    position: impl Fn(&T) -> u64,
    mut show: impl FnMut(&T) -> Result<(), Failure>,
    is_over: impl AsyncFn() -> Result<bool, ApiError>,
) -> Result<(), Failure> {
    let mut request = PageRequest::first();
    let mut seen = 0;
    loop {
        let was_over = patiently(&is_over).await?;
        let page = patiently(async || read(request.clone()).await).await?;
        for item in page.items.iter().filter(|item| position(item) > seen) {
            show(item)?;
        }
        seen = page.items.last().map_or(seen, |last| position(last).max(seen));
        match page.next_cursor {
            Some(cursor) => request.cursor = Some(cursor),
            None if was_over => return Ok(()),
            None => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// Asks again while the server restarts.
pub(crate) async fn patiently<T>(ask: impl AsyncFn() -> Result<T, ApiError>) -> Result<T, Failure> {
    let mut missed = 0;
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let is_busy = error.status() == Some(http::StatusCode::SERVICE_UNAVAILABLE);
        let failure = Failure::from(error);
        missed += 1;
        if missed > MISSED_LOOKS || !(is_busy || failure.exit() == Exit::Unreachable) {
            return Err(failure);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests;
