use std::time::Duration;

use muster_edge::Clock;
use muster_ids::Timestamp;

/// Asks again and again until there is an answer.
///
/// # Panics
/// When there is none in time: `otherwise` says what is missing.
pub(crate) async fn until<T>(
    otherwise: &str,
    within: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(within, asking).await {
        Ok(answer) => answer,
        Err(_) => panic!("{otherwise} within {} s", within.as_secs()),
    }
}

/// Returns wall-clock time.
pub(crate) fn now() -> Timestamp {
    Clock::system().now()
}

/// Whether the loops should be long.
pub(crate) fn is_soak() -> bool {
    std::env::var_os("MUSTER_SOAK").is_some_and(|value| value == "1")
}
