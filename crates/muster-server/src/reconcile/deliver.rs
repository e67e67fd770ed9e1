//! The deliverer: at least once, in the order of each line, as many lines at once as may be.
//!
//! It holds nothing but what is being sent just now: killed between a message and its record, it sends the message again,
//! under the same name. No team takes the places of all: see [`Turns`].

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use muster_ids::{EndpointId, TeamId, Timestamp};
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
/// Messages that are sent at once for one team.
const AT_ONCE_FOR_ONE: usize = 4;
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
    under_way: HashMap<Id, UnderWay>,
    turns: Turns,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct UnderWay {
    team_id: TeamId,
    line: Line,
}

/// When each team that has something to send had its last turn.
#[derive(Debug, Default)]
struct Turns {
    last: HashMap<TeamId, u64>,
    count: u64,
}

impl Turns {
    fn take(&mut self, team_id: TeamId) {
        self.count += 1;
        self.last.insert(team_id, self.count);
    }

    /// Puts what is due in the order in which it goes: one message of each team, then another one of each; of a team one
    /// of each endpoint, then another one of each. Who waits the longest for a turn is first.
    fn order(&mut self, due: Vec<(Timestamp, DueRow)>, under_way: &[UnderWay]) -> Vec<DueRow> {
        self.last.retain(|team_id, _| due.iter().any(|(_, due)| due.team_id == *team_id));
        let mut of_endpoint: HashMap<EndpointId, usize> = HashMap::new();
        let mut of_team: HashMap<TeamId, usize> = HashMap::new();
        for sending in under_way {
            *of_endpoint.entry(sending.line.0).or_default() += 1;
            *of_team.entry(sending.team_id).or_default() += 1;
        }
        let mut rank = |due: &DueRow| next_rank(&mut of_endpoint, due.endpoint_id);
        let mut due: Vec<_> = due.into_iter().map(|(since, due)| (rank(&due), since, due)).collect();
        due.sort_by_key(|(rank, since, _)| (*rank, *since));
        let mut rank = |due: &DueRow| next_rank(&mut of_team, due.team_id);
        let mut due: Vec<_> = due.into_iter().map(|(_, since, due)| (rank(&due), since, due)).collect();
        let last = |team_id: &TeamId| self.last.get(team_id).copied().unwrap_or_default();
        due.sort_by_key(|(rank, since, due)| (*rank, last(&due.team_id), *since));
        due.into_iter().map(|(_, _, due)| due).collect()
    }
}

fn next_rank<K: Eq + Hash>(ranks: &mut HashMap<K, usize>, of: K) -> usize {
    let rank = ranks.entry(of).or_default();
    *rank += 1;
    *rank
}

impl Round {
    fn new(app: App) -> Self {
        Self { app, sending: JoinSet::new(), under_way: HashMap::new(), turns: Turns::default() }
    }

    /// Starts what is due and may be sent now. Returns how many messages that are.
    async fn start_due(&mut self) -> Result<usize, Failure> {
        if self.sending.len() >= AT_ONCE {
            return Ok(0);
        }
        let now = self.app.clock.now();
        let due = self.app.look(move |tx| tx.deliveries_due(now, AT_ONCE_TO_ONE as i64)).await?;
        let before = self.sending.len();
        let under_way: Vec<UnderWay> = self.under_way.values().cloned().collect();
        for due in self.turns.order(due, &under_way) {
            if self.sending.len() >= AT_ONCE {
                break;
            }
            if self.may_send(&due) {
                let sending = UnderWay { team_id: due.team_id, line: line(&due) };
                self.turns.take(due.team_id);
                let task = self.sending.spawn(deliver_one(self.app.clone(), due));
                self.under_way.insert(task.id(), sending);
            }
        }
        Ok(self.sending.len() - before)
    }

    fn may_send(&self, due: &DueRow) -> bool {
        let under_way = || self.under_way.values();
        let to_the_same = under_way().filter(|sending| sending.line.0 == due.endpoint_id).count();
        let for_the_same = under_way().filter(|sending| sending.team_id == due.team_id).count();
        to_the_same < (if due.is_probe { 1 } else { AT_ONCE_TO_ONE })
            && for_the_same < AT_ONCE_FOR_ONE
            && !under_way().any(|sending| sending.line == line(due))
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
        self.under_way.remove(&id);
    }
}

/// What people get is one line, whatever it is about.
fn line(due: &DueRow) -> Line {
    let line = if due.kind.is_for_programs() { due.line.clone() } else { String::new() };
    (due.endpoint_id, line)
}
