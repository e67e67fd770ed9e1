//! Who waits on this node for what the sealer and the fan-out bring.

use tokio::sync::{Notify, watch};

/// Wakes streams, the fan-out and the deliverer; nobody polls for events.
#[derive(Debug)]
pub struct News {
    head: watch::Sender<i64>,
    /// Wakes the fan-out: there are events.
    pub endpoints: Notify,
    /// Wakes the deliverer: something is due.
    pub deliveries: Notify,
}

impl Default for News {
    fn default() -> Self {
        Self { head: watch::Sender::new(0), endpoints: Notify::new(), deliveries: Notify::new() }
    }
}

impl News {
    /// Says that events up to this position have their places.
    pub fn sealed(&self, position: i64) {
        self.head.send_if_modified(|head| {
            let is_news = position > *head;
            *head = position.max(*head);
            is_news
        });
        self.endpoints.notify_one();
    }

    /// Waits with the receiver for what is sealed from now on.
    pub fn events(&self) -> watch::Receiver<i64> {
        self.head.subscribe()
    }
}
