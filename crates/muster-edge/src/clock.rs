use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use muster_ids::Timestamp;

/// Reads wall-clock and monotonic time; the fake one stands still until it is told to move.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System { started: Instant },
    Fake(Arc<FakeTime>),
}

#[derive(Debug)]
struct FakeTime {
    wall_ms: AtomicI64,
    monotonic_ms: AtomicU64,
}

/// Moves the time of a fake [`Clock`].
#[derive(Debug, Clone)]
pub struct FakeClock(Arc<FakeTime>);

impl Clock {
    /// The real clock of this machine.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn system() -> Self {
        Self(Source::System { started: Instant::now() })
    }

    /// A clock that moves only by its [`FakeClock`].
    pub fn fake(start: Timestamp) -> (Self, FakeClock) {
        let time = Arc::new(FakeTime {
            wall_ms: AtomicI64::new(start.as_millis()),
            monotonic_ms: AtomicU64::new(0),
        });
        (Self(Source::Fake(Arc::clone(&time))), FakeClock(time))
    }

    /// Returns wall-clock time.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System { .. } => {
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
            }
            Source::Fake(time) => Timestamp::from_millis(time.wall_ms.load(Ordering::SeqCst)),
        }
    }

    /// Returns the time since this clock was made; never goes backwards.
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Source::System { started } => started.elapsed(),
            Source::Fake(time) => Duration::from_millis(time.monotonic_ms.load(Ordering::SeqCst)),
        }
    }
}

impl FakeClock {
    /// Lets time go by, on both clocks.
    pub fn advance(&self, span: Duration) {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.0.monotonic_ms.fetch_add(millis, Ordering::SeqCst);
        self.0.wall_ms.fetch_add(i64::try_from(millis).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Sets the wall clock alone, as an administrator or NTP may.
    pub fn set_wall(&self, moment: Timestamp) {
        self.0.wall_ms.store(moment.as_millis(), Ordering::SeqCst);
    }
}
