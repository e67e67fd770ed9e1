//! The deliverer: at least once, in the order of each line, as many lines at once as may be.
//!
//! It holds nothing but what is being sent just now: killed between a message and its record, it sends the message again,
//! under the same name.

use std::collections::HashMap;
use std::time::Duration;

use muster_ids::EndpointId;
use muster_store::rows::DueRow;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::deliver_one::deliver_one;
use crate::app::App;
use crate::failure::Failure;
use crate::metrics::Reconciler;

/// For what is due because time passed.
const EVERY: Duration = Duration::from_secs(1);
/// Messages that are sent at once.
const AT_ONCE: usize = 16;
/// Messages that are sent at once to one endpoint.
const AT_ONCE_TO_ONE: usize = 4;
/// How long messages may take to arrive when the server stops.
const LAST_WITHIN: Duration = Duration::from_secs(5);

/// Delivers until `shutdown`.
pub async fn deliverer(app: App, shutdown: CancellationToken) {
    let mut round = Round::new(app.clone());
    while !shutdown.is_cancelled() {
        match round.start_due().await {
            Ok(_) => app.metrics.reconciled(Reconciler::Deliverer, app.clock.now()),
            Err(error) => tracing::warn!(%error, "looking for deliveries failed, trying again"),
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = app.news.deliveries.notified() => {}
            () = round.finish_one(), if !round.sending.is_empty() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    let last = async {
        while !round.sending.is_empty() {
            round.finish_one().await;
        }
    };
    if tokio::time::timeout(LAST_WITHIN, last).await.is_err() {
        tracing::warn!("some messages did not arrive in time; they are sent again at the next start");
    }
}

/// Delivers until nothing is due. Returns how many messages were tried.
pub async fn deliver(app: &App) -> Result<usize, Failure> {
    let mut round = Round::new(app.clone());
    let mut tried = 0;
    loop {
        tried += round.start_due().await?;
        if round.sending.is_empty() {
            return Ok(tried);
        }
        round.finish_one().await;
    }
}

/// What keeps its order: one at a time.
type Line = (EndpointId, String);

struct Round {
    app: App,
    sending: JoinSet<()>,
    lines: HashMap<Id, Line>,
}

impl Round {
    fn new(app: App) -> Self {
        Self { app, sending: JoinSet::new(), lines: HashMap::new() }
    }

    /// Starts what is due and may be sent now. Returns how many messages that are.
    async fn start_due(&mut self) -> Result<usize, Failure> {
        if self.sending.len() >= AT_ONCE {
            return Ok(0);
        }
        let now = self.app.clock.now();
        let due = self.app.look(move |tx| tx.deliveries_due(now, AT_ONCE_TO_ONE as i64)).await?;
        let before = self.sending.len();
        for due in due {
            if self.sending.len() >= AT_ONCE {
                break;
            }
            if self.may_send(&due) {
                let line = line(&due);
                let task = self.sending.spawn(deliver_one(self.app.clone(), due));
                self.lines.insert(task.id(), line);
            }
        }
        Ok(self.sending.len() - before)
    }

    fn may_send(&self, due: &DueRow) -> bool {
        let to_the_same = self.lines.values().filter(|(endpoint_id, _)| *endpoint_id == due.endpoint_id);
        to_the_same.count() < AT_ONCE_TO_ONE && !self.lines.values().any(|sending| *sending == line(due))
    }

    async fn finish_one(&mut self) {
        let id = match self.sending.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => {
                tracing::error!(%error, "a delivery failed in a way it must not");
                error.id()
            }
            None => return,
        };
        self.lines.remove(&id);
    }
}

/// What people get is one line, whatever it is about.
fn line(due: &DueRow) -> Line {
    let line = if due.kind.is_for_programs() { due.line.clone() } else { String::new() };
    (due.endpoint_id, line)
}
